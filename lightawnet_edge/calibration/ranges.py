"""Which part of an activation's values gets the 256 steps of INT8: four methods on one histogram.

A range that holds every value wastes steps on outliers, one that is too narrow clips what matters.
Zero always lies in the range: padding and the zeros of ReLU stay exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.specs import Method

BINS = 2048
LEVELS = 256
TAIL = 1e-4
"""Share of the values that 'percentile' gives up at either end."""
_SAMPLES = 1 << 15
"""Values of one frame that reach the histogram; minimum and maximum see all of them."""
_SHARES = np.linspace(1.0, 0.1, 48)
"""Ends that 'entropy' and 'mse' try on either side, as shares of it."""
_EMPTY = 1e-9

Values = NDArray[np.float32]
Range = tuple[float, float]


class Histogram:
    """Counts of values as they come; memory does not grow with their number."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS)
        self.low = self.high = 0.0

    def add(self, values: Values) -> None:
        """Count values of any shape, at least one; zero belongs to the range from the start."""
        low, high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if (low, high) != (self.low, self.high):
            old = self.centers
            self.low, self.high = low, high
            self.counts = self._counted(old, self.counts)
        # An odd step does not stay on one channel of a channel-last layout.
        step = max(1, values.size // _SAMPLES) | 1
        self.counts += self._counted(values.reshape(-1)[::step])

    @property
    def centers(self) -> NDArray[np.float64]:
        """Middle of each bin."""
        return self.low + (np.arange(BINS) + 0.5) * (self.high - self.low) / BINS

    def _counted(
        self, values: NDArray[np.floating], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        limits = (self.low, max(self.high, self.low + _EMPTY))
        return np.histogram(values, BINS, limits, weights=weights)[0].astype(np.float64)


def clip(histogram: Histogram, method: Method) -> Range:
    """Ends of the range that a method gives; zero is one of the 256 steps.

    References:
        'entropy': Migacz 2017, "8-bit inference with TensorRT". 'mse': Banner et al. 2019, "Post
        training 4-bit quantization of convolutional networks", arXiv 1810.05723.
    """
    low, high = _METHODS[method](histogram)
    return with_zero(low, high)


def reach(histogram: Histogram, method: Method) -> float:
    """Half the width of the range that a method gives around zero, for symmetric quantizers."""
    cost = _COSTS.get(method)
    if cost is None:
        low, high = _METHODS[method](histogram)
        return max(-low, high, _EMPTY)
    widest = max(-histogram.low, histogram.high, _EMPTY)
    tried = [float(share * widest) for share in _SHARES]
    return min(tried, key=lambda width: cost(histogram, (-width, width)))


def with_zero(low: float, high: float) -> Range:
    """Move the ends a little, so that one of the 256 steps is exactly zero."""
    step = max(high - low, _EMPTY) / (LEVELS - 1)
    zero = round(-low / step)
    return -zero * step, (LEVELS - 1 - zero) * step


def _min_max(histogram: Histogram) -> Range:
    return histogram.low, histogram.high


def _percentile(histogram: Histogram) -> Range:
    share = np.cumsum(histogram.counts) / max(histogram.counts.sum(), 1)
    edges = np.linspace(histogram.low, histogram.high, BINS + 1)
    first = int(np.searchsorted(share, TAIL, side="right"))
    last = int(np.searchsorted(share, 1 - TAIL))
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last + 1, BINS)]))


def _least(histogram: Histogram, cost: Callable[[Histogram, Range], float]) -> Range:
    """Range of the least cost: first the upper end is sought, then the lower one."""
    uppers = [(histogram.low, float(share * histogram.high)) for share in _SHARES]
    _, high = min(uppers, key=lambda ends: cost(histogram, ends))
    lowers = [(float(share * histogram.low), high) for share in _SHARES]
    return min(lowers, key=lambda ends: cost(histogram, ends))


def _squared_error(histogram: Histogram, ends: Range) -> float:
    """Sum of squares of what rounding and clipping change."""
    low, high = ends
    centers = histogram.centers
    beyond = centers - np.clip(centers, low, high)
    rounding = ((high - low) / (LEVELS - 1)) ** 2 / 12
    return float(histogram.counts @ (beyond**2 + rounding * (beyond == 0)))


def _divergence(histogram: Histogram, ends: Range) -> float:
    """Kullback-Leibler divergence of the quantized from the clipped distribution."""
    low, high = ends
    if high - low < _EMPTY:
        return np.inf
    counts, centers = histogram.counts, histogram.centers
    inside = (centers >= low) & (centers <= high)
    if not inside.any():
        return np.inf
    kept = np.where(inside, counts, 0.0)
    first, last = np.flatnonzero(inside)[[0, -1]]
    clipped = kept.copy()
    clipped[first] += counts[:first].sum()
    clipped[last] += counts[last + 1 :].sum()
    level = ((np.clip(centers, low, high) - low) / (high - low) * (LEVELS - 1) + 0.5).astype(int)
    filled = inside & (clipped > 0)
    mass = np.bincount(level[inside], kept[inside], LEVELS)
    places = np.bincount(level[filled], minlength=LEVELS)
    spread = np.where(filled, mass[level] / np.maximum(places[level], 1), 0.0)
    wanted, got = clipped / clipped.sum(), spread / max(spread.sum(), _EMPTY)
    return float(np.sum(wanted[filled] * np.log(wanted[filled] / np.maximum(got[filled], _EMPTY))))


_COSTS = {Method.ENTROPY: _divergence, Method.MSE: _squared_error}
_METHODS: Mapping[Method, Callable[[Histogram], Range]] = {
    Method.MIN_MAX: _min_max,
    Method.PERCENTILE: _percentile,
    Method.ENTROPY: lambda histogram: _least(histogram, _divergence),
    Method.MSE: lambda histogram: _least(histogram, _squared_error),
}
