"""The way out of a stream: what sinks are given, in a thread that may fall behind."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.runtime.lens import Shot

_WAITING = 16
"""Pictures that may wait for a sink: half a second, and 100 MB at 1080p."""


@dataclass(frozen=True, slots=True)
class Screened:
    """A frame, and the mask that was on the screen over it."""

    shot: Shot
    mask: UInt8 | None
    """None: the overlay was hidden."""


@dataclass(frozen=True, slots=True)
class Masked:
    """The mask of a frame, shown or not."""

    number: int
    mask: UInt8


class Sink(Protocol):
    """Takes what a stream gives."""

    def screen(self, one: Screened) -> None:
        """Every frame of the source, as the screen showed it."""

    def mask(self, one: Masked) -> None:
        """Every mask of the engine."""

    def close(self, error: BaseException | None) -> None:
        """The stream has ended; with what, where it failed."""


class Nothing:
    """Throws everything away."""

    def screen(self, one: Screened) -> None:
        """Nothing."""

    def mask(self, one: Masked) -> None:
        """Nothing."""

    def close(self, error: BaseException | None) -> None:
        """Nothing."""


class Apart:
    """Hands on to sinks in a thread of its own, so that no encoder holds a frame up."""

    def __init__(self, sinks: list[Sink]) -> None:
        """Begin."""
        self._sinks = sinks
        self._waiting: queue.Queue[Screened | Masked | None] = queue.Queue(_WAITING)
        self._error: Exception | None = None
        self.lost = 0
        """Pictures and masks that came faster than they could be written."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def give(self, one: Screened | Masked) -> None:
        """Hand on, unless too many wait; never waits itself."""
        if not self._sinks:
            return
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            self.lost += 1

    def close(self, error: BaseException | None = None) -> None:
        """Write what waits, and end every sink.

        Raises:
            EdgeError: A sink could not write; the first such error, after all are closed.
        """
        self._waiting.put(None)
        self._thread.join()
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close, error or self._error)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (one := self._waiting.get()) is not None:
            if self._error is not None:
                continue
            try:
                for sink in self._sinks:
                    if isinstance(one, Screened):
                        sink.screen(one)
                    else:
                        sink.mask(one)
            except Exception as error:  # told at the end: the stream itself goes on
                self._error = error
