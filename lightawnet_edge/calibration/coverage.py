"""Which points stand for all of them: k-centre, and what a choice covers. Pure: arrays in and out.

Greedy farthest-point choice: each step takes the point that is farthest from all taken before. Its
radius is at most twice the smallest that any choice of as many points has (Gonzalez 1985,
"Clustering to minimize the maximum intercluster distance"). The first n points of a choice are a
choice of n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Indices = NDArray[np.intp]
AlikeTo = Callable[[int], NDArray[np.bool_]]
"""Index of a point to the points (N,) that are taken for the same as it."""

_STARTS = 8
"""First points that are tried: the best of a few choices is a little tighter than one."""
_DRAWS = 21
"""Random sets that a choice is compared with."""


def choose(points: Values, count: int, seed: int, alike_to: AlikeTo) -> Indices:
    """Indices of `count` points by k-centre in the order of choice; no two of them are alike.

    Of a few first points, drawn with `seed`, the one whose choice has the smallest radius counts.
    Fewer come back where no more points are left that are not alike.

    Args:
        points: Shape (N, D).
        count: At least 1.
        seed: Equal seeds and points give equal choices.
        alike_to: Says which points must not be taken beside one that was.
    """
    rng = np.random.default_rng(seed)
    starts = rng.permutation(len(points))[:_STARTS]
    choices = [_farthest_first(points, count, int(start), alike_to) for start in starts]
    return min(choices, key=lambda chosen: (-len(chosen), radius(points, chosen)))


def radius(points: Values, chosen: Indices) -> float:
    """Largest distance of a point to the nearest that is chosen."""
    nearest = np.full(len(points), np.inf)
    for index in chosen:
        nearest = np.minimum(nearest, _squared(points, int(index)))
    return float(np.sqrt(nearest.max()))


def random_radius(points: Values, count: int, seed: int) -> float:
    """Median radius of random sets of `count` points."""
    rng = np.random.default_rng(seed)
    draws = [rng.choice(len(points), count, replace=False) for _ in range(_DRAWS)]
    return float(np.median([radius(points, draw) for draw in draws]))


def _farthest_first(points: Values, count: int, start: int, alike_to: AlikeTo) -> Indices:
    nearest = np.full(len(points), np.inf)
    free = np.ones(len(points), np.bool_)
    chosen = [start]
    while True:
        nearest = np.minimum(nearest, _squared(points, chosen[-1]))
        free &= ~alike_to(chosen[-1])
        free[chosen[-1]] = False
        if len(chosen) == count or not free.any():
            return np.array(chosen)
        chosen.append(int(np.where(free, nearest, -1.0).argmax()))


def _squared(points: Values, index: int) -> Values:
    found: Values = ((points - points[index]) ** 2).sum(1)
    return found
