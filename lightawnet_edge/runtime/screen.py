"""What is seen of a stream: the last mask, where the watchdog lets it be."""

from __future__ import annotations

import threading

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.runtime.watchdog import Change, Watchdog
from lightawnet_edge.scores.histogram import Histogram


class Screen:
    """Holds one mask, for a thread that brings masks and one that shows frames."""

    def __init__(self, watchdog: Watchdog) -> None:
        """Begin without a mask."""
        self._watchdog = watchdog
        self._mask: UInt8 | None = None
        self._turn = threading.Lock()
        """Held while a mask takes the place of another: no verdict is shown with another's mask."""
        self.ages = Histogram()
        """Of the mask, at each frame that was shown with one."""

    def put(
        self, mask: UInt8, now_s: float, captured_s: float, *, plausible: bool, repeats: bool
    ) -> Change | None:
        """Take a mask, with what `Watchdog.answered` is told of it."""
        with self._turn:
            self._mask = mask
            return self._watchdog.answered(now_s, captured_s, plausible=plausible, repeats=repeats)

    def clear(self) -> None:
        """Show nothing until the next mask."""
        with self._turn:
            self._mask = None

    def over(self, at_s: float) -> UInt8 | None:
        """The mask to be shown over a frame of this time; None where there is none."""
        with self._turn:
            age_s = self._watchdog.age_s(at_s)
            if self._mask is None or age_s is None or not self._watchdog.shows(at_s):
                return None
            self.ages.add(max(0.0, age_s))
            return self._mask
