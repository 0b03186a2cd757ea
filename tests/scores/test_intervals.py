from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores import intervals
from lightawnet_edge.scores.intervals import mean_interval

differences = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60)


@given(differences)
def test_an_interval_lies_within_the_differences_and_around_their_mean(values: list[float]) -> None:
    interval = mean_interval(values)
    slack = 1e-12
    assert min(values) - slack <= interval.low <= interval.high <= max(values) + slack
    assert interval.mean == pytest.approx(np.mean(values))


@given(st.floats(-1.0, 1.0), st.integers(1, 50))
def test_equal_differences_leave_no_doubt(value: float, count: int) -> None:
    interval = mean_interval([value] * count)
    assert interval.low == pytest.approx(value) == interval.high


def test_an_interval_is_reproducible_and_covers_what_a_normal_law_would_give() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.1, 400)
    interval = mean_interval(values)
    assert interval == mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=half / 20)
    assert interval.high == pytest.approx(values.mean() + half, abs=half / 20)


def test_resampling_in_blocks_draws_as_many_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "_BLOCK", 7_000)
    interval = mean_interval([0.0, 1.0])
    assert 0 <= interval.low < 0.5 < interval.high <= 1


def test_zero_is_excluded_only_when_it_lies_outside() -> None:
    assert mean_interval([0.1, 0.2, 0.3]).excludes_zero
    assert mean_interval([-0.1, -0.2, -0.3]).excludes_zero
    assert not mean_interval([-0.1, 0.1, 0.0]).excludes_zero


def test_no_pair_is_refused() -> None:
    with pytest.raises(SpecError, match="No pair to compare"):
        mean_interval([])
