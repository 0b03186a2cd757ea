"""Ranges of activations: what each method keeps, gives up, and never does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.calibration.ranges import LEVELS, Histogram, Range, clip, reach, with_zero
from lightawnet_edge.specs import Method

OUTLIER = 100.0


def counted(*parts: NDArray[np.float64]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def squared_error(values: NDArray[np.float64], ends: Range) -> float:
    low, high = ends
    step = (high - low) / (LEVELS - 1)
    rounded = low + step * np.round((np.clip(values, low, high) - low) / step)
    return float(((rounded - values) ** 2).sum())


@pytest.fixture
def bell() -> NDArray[np.float64]:
    """Many small values, one far away."""
    values = np.random.default_rng(0).normal(size=30_000)
    values[-1] = OUTLIER
    return values


def test_min_max_holds_every_value(bell: NDArray[np.float64]) -> None:
    low, high = clip(counted(bell), Method.MIN_MAX)
    assert low == pytest.approx(bell.min(), abs=0.5)
    assert high == pytest.approx(OUTLIER, abs=0.5)


@pytest.mark.parametrize("method", [Method.PERCENTILE, Method.ENTROPY])
def test_shares_and_entropy_give_up_an_outlier(method: Method, bell: NDArray[np.float64]) -> None:
    _, high = clip(counted(bell), method)
    assert 2 < high < OUTLIER / 2


def test_mse_errs_less_than_min_max_and_than_its_neighbours() -> None:
    values = np.random.default_rng(1).laplace(size=200_000)
    histogram = counted(values)
    low, high = clip(histogram, Method.MSE)
    least = squared_error(values, (low, high))
    assert least < 0.9 * squared_error(values, clip(histogram, Method.MIN_MAX))
    for factor in (0.7, 1.4):
        assert least < squared_error(values, with_zero(low * factor, high * factor))


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("ends", [(0.0, 6.0), (-1.0, 3.0), (-5.0, 0.0), (2.0, 3.0)])
def test_zero_is_one_of_the_steps(method: Method, ends: tuple[float, float]) -> None:
    low, high = clip(counted(np.linspace(*ends, 5000)), method)
    steps = -low / ((high - low) / (LEVELS - 1))
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert low <= 0 <= high
    if ends[0] >= 0:
        assert low == 0, "values without a sign lose no step to one"


@pytest.mark.parametrize("method", Method)
def test_a_symmetric_range_reaches_as_far_as_its_longer_side(
    method: Method, bell: NDArray[np.float64]
) -> None:
    lone = counted(bell / 50, np.array([-3.0]))
    assert 0 < reach(lone, method) <= 3.001
    if method is Method.MIN_MAX:
        assert reach(lone, method) == pytest.approx(3.0)
    mirrored = counted(-bell / 50, np.array([3.0]))
    assert reach(mirrored, method) == pytest.approx(reach(lone, method), rel=0.05)
    assert reach(counted(np.zeros(10)), method) > 0


def test_a_symmetric_mse_range_errs_less_than_its_neighbours() -> None:
    values = np.random.default_rng(1).laplace(size=200_000)
    width = reach(counted(values), Method.MSE)
    least = squared_error(values, (-width, width))
    for factor in (0.7, 1.4):
        assert least < squared_error(values, (-width * factor, width * factor))


def test_a_tensor_of_zeros_has_a_range() -> None:
    for method in Method:
        low, high = clip(counted(np.zeros(10)), method)
        assert low <= 0 < high


def test_parts_in_any_order_count_like_the_whole() -> None:
    values = np.random.default_rng(2).normal(size=20_000)
    small, large = values[np.abs(values) < 1], values[np.abs(values) >= 1]
    for method in (Method.PERCENTILE, Method.MSE):
        whole = clip(counted(values), method)
        for parts in ((small, large), (large, small)):
            assert clip(counted(*parts), method) == pytest.approx(whole, rel=0.05)


def test_extremes_are_seen_wherever_they_stand() -> None:
    for place in range(9):
        values = np.zeros(500_000)
        values[place] = OUTLIER
        assert clip(counted(values), Method.MIN_MAX)[1] == pytest.approx(OUTLIER)
