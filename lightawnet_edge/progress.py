"""How long work tells of itself: in sentences, and in steps that a bar can draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Narrate = Callable[[str], None]
"""Told what is going on, in a few words without a full stop."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Step:
    """`done` of `total` in a stage."""

    stage: str
    done: int
    total: int


OnStep = Callable[[Step], None]
"""Told of each step."""


@dataclass(slots=True)
class Stage:
    """Work of a known length, which goes over its items in one pass or in several."""

    name: str
    total: int
    """Items of all passes."""
    on_step: OnStep
    done: int = 0

    def over(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yield items, and tell of each when it is done with."""
        self.tell()
        for item in items:
            yield item
            self.tell(1)

    def tell(self, more: int = 0) -> None:
        """Tell how far it is, with so many items more."""
        self.done += more
        self.on_step(Step(self.name, self.done, self.total))
