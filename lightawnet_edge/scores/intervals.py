"""A mean of paired differences, and how far it may lie from what more frames would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightawnet_edge.errors import SpecError

_RESAMPLES = 10_000
_BLOCK = 1_000_000
"""Indices drawn at once: bounds memory to 8 MB, whatever the number of frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its 95 % confidence interval."""

    mean: float
    ci95: tuple[float, float]
    """Lower and upper end."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % confidence interval; documents hold it as an `Estimate`."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the mean is more than chance."""
        return self.low > 0 or self.high < 0

    def written(self) -> Estimate:
        """What a document holds of it."""
        return Estimate(mean=self.mean, ci95=(self.low, self.high))

    @classmethod
    def from_written(cls, found: Estimate) -> Interval:
        """Inverse of `written`."""
        return cls(found.mean, *found.ci95)


def mean_interval(differences: ArrayLike, seed: int = 0) -> Interval:
    """Mean of paired differences with a 95 % percentile-bootstrap interval.

    Args:
        differences: One value per pair, shape (n,), n at least 1.
        seed: Of the resampling; equal inputs give equal intervals.

    Raises:
        SpecError: There is no pair.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", §13.3.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.size == 0:
        raise SpecError("No pair to compare. Give at least one frame.")
    low, high = np.percentile(_bootstrap_means(values, np.random.default_rng(seed)), (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))


def _bootstrap_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of `_RESAMPLES` samples of the same size, drawn with replacement."""
    rows = max(1, _BLOCK // values.size)
    counts = [min(rows, _RESAMPLES - done) for done in range(0, _RESAMPLES, rows)]
    return np.concatenate(
        [
            values[rng.integers(values.size, size=(count, values.size))].mean(axis=1)
            for count in counts
        ]
    )
