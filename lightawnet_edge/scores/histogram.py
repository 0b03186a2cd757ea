"""Latencies of a stream that may run for days: a histogram in fixed memory."""

from __future__ import annotations

import math

import numpy as np

from lightawnet_edge.errors import SpecError

_PER_OCTAVE = 64
"""Buckets to a doubling: each is 1.1 % wide, so that its middle is at most 0.55 % off."""
_SHORTEST_S = 1e-6
_OCTAVES = 32
"""From a microsecond to 71 minutes; what lies beyond counts into the outermost buckets."""


class Histogram:
    """Counts of seconds in buckets whose widths grow with them: 16 kB, however many are added.

    Least, most and mean are exact; quantiles are off by 0.55 % at most.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_PER_OCTAVE * _OCTAVES, np.int64)
        self._sum_s = 0.0
        self.count = 0
        self.min_s = math.inf
        self.max_s = -math.inf

    def add(self, seconds: float) -> None:
        """Count a value.

        Raises:
            SpecError: It is negative, or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise SpecError(f"{seconds} s is no latency: expected a finite value of at least 0.")
        self._counts[_bucket(seconds)] += 1
        self._sum_s += seconds
        self.count += 1
        self.min_s = min(self.min_s, seconds)
        self.max_s = max(self.max_s, seconds)

    def merge(self, other: Histogram) -> None:
        """Count all values of another histogram, too."""
        self._counts += other._counts
        self._sum_s += other._sum_s
        self.count += other.count
        self.min_s = min(self.min_s, other.min_s)
        self.max_s = max(self.max_s, other.max_s)

    @property
    def mean_s(self) -> float | None:
        """Mean seconds; None where nothing was counted."""
        return self._sum_s / self.count if self.count else None

    def quantile_s(self, share: float) -> float | None:
        """Seconds that at least `share` of the values do not exceed; None where there are none.

        Raises:
            SpecError: `share` does not lie between 0 and 1.
        """
        if not 0 <= share <= 1:
            raise SpecError(f"share={share} must lie between 0 and 1.")
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        if rank == self.count:
            return self.max_s
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle = _SHORTEST_S * 2 ** ((bucket + 0.5) / _PER_OCTAVE)
        return min(max(middle, self.min_s), self.max_s)


def _bucket(seconds: float) -> int:
    if seconds <= _SHORTEST_S:
        return 0
    number = math.floor(math.log2(seconds / _SHORTEST_S) * _PER_OCTAVE)
    return min(number, _PER_OCTAVE * _OCTAVES - 1)
