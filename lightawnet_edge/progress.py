"""How long work tells of itself: in sentences, and in steps that a bar can draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Narrate = Callable[[str], None]
"""Told what is going on, in a few words without a full stop."""


@dataclass(frozen=True, slots=True)
class Step:
    """`done` of `total` in a stage."""

    stage: str
    done: int
    total: int


OnStep = Callable[[Step], None]
"""Told of each step."""
