"""k-centre covers better than chance, repeats itself, and takes no near-copy twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lightawnet_edge.calibration.coverage import AlikeTo, choose, radius, random_radius

Points = NDArray[np.float64]


def nothing_alike(points: Points) -> AlikeTo:
    return lambda _index: np.zeros(len(points), np.bool_)


def cloud(count: int = 300, seed: int = 0) -> Points:
    return np.random.default_rng(seed).standard_normal((count, 4))


def test_the_same_seed_chooses_the_same() -> None:
    points = cloud()
    first, again, other = (choose(points, 20, seed, nothing_alike(points)) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@given(seed=st.integers(0, 50), count=st.integers(2, 40))
@settings(max_examples=15)
def test_a_choice_covers_better_than_chance(seed: int, count: int) -> None:
    points = cloud(120, seed)
    chosen = choose(points, count, seed, nothing_alike(points))
    assert len(set(chosen.tolist())) == count
    assert radius(points, chosen) < random_radius(points, count, seed)


def test_the_first_half_of_a_choice_covers_better_than_chance_too() -> None:
    points = cloud()
    half = choose(points, 40, 0, nothing_alike(points))[:20]
    assert radius(points, half) < random_radius(points, 20, 0)


def test_all_points_leave_nothing_uncovered() -> None:
    points = cloud(10)
    assert radius(points, choose(points, 10, 0, nothing_alike(points))) == pytest.approx(0)


def test_of_points_that_are_alike_one_is_taken() -> None:
    points = cloud(30)
    pair = np.arange(30) // 2  # 0 and 1 are alike, 2 and 3 are, ...
    chosen = choose(points, 30, 0, lambda index: pair == pair[index])
    assert len(chosen) == 15, "there are no more"
    assert len(set(pair[chosen].tolist())) == 15
