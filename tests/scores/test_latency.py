from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.latency import drift, is_steady, latency_doubts, summarize

seconds = st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=300)


@given(seconds)
def test_percentiles_are_ordered_and_within_the_samples(samples: list[float]) -> None:
    latency = summarize(samples)
    ordered = [latency.min_s, latency.p50_s, latency.p90_s, latency.p99_s, max(samples)]
    assert ordered == sorted(ordered)
    assert latency.n == len(samples)
    assert 0 <= latency.mad_s <= max(samples) - min(samples)


@given(seconds, st.randoms())
def test_the_order_of_samples_does_not_matter(samples: list[float], random: object) -> None:
    shuffled = sorted(samples)
    assert summarize(shuffled).p99_s == summarize(samples).p99_s


@given(seconds, st.floats(0.1, 10.0))
def test_a_slower_clock_scales_every_time(samples: list[float], factor: float) -> None:
    scaled = summarize(np.array(samples) * factor)
    assert scaled.p90_s == pytest.approx(summarize(samples).p90_s * factor)


def test_percentiles_of_a_known_sequence() -> None:
    latency = summarize(np.arange(1, 102))  # 1 to 101: percentiles fall on samples
    assert (latency.p50_s, latency.p90_s, latency.p99_s, latency.mad_s) == (51, 91, 100, 25)


def test_no_sample_is_refused() -> None:
    with pytest.raises(SpecError, match="No call was timed"):
        summarize([])


STEADY = [[0.01] * 20] * 10


def test_a_steady_engine_raises_no_doubt() -> None:
    assert latency_doubts(STEADY) == []


@pytest.mark.parametrize(
    ("rounds", "doubt"),
    [
        (STEADY[:5], r"^100 calls are few for a p99 \(at least 200\)$"),
        ([[0.01, 0.02] * 10] * 10, "^half of the calls are more than 33 % off p50$"),
        ([[0.01] * 19 + [0.03]] * 10, r"^p99 is 3\.0 times p50: calls were interrupted$"),
        ([[0.01] * 20] * 7 + [[0.0115] * 20] * 3, "^15 % slower in the last rounds"),
        ([[0.02] * 20] * 3 + [[0.01] * 20] * 7, "^50 % faster in the last rounds"),
    ],
)
def test_each_doubt_says_what_is_wrong(rounds: list[list[float]], doubt: str) -> None:
    (found,) = latency_doubts(rounds)
    with pytest.raises(AssertionError, match=doubt):
        raise AssertionError(found)


@pytest.mark.parametrize(
    ("rounds", "steady"),
    [
        (STEADY, True),
        (STEADY[:1], True),
        ([[0.01] * 19 + [0.03]] * 10, True),  # a p50 does not feel it
        ([[0.01, 0.02] * 10] * 10, False),
        ([[0.01] * 20] * 7 + [[0.0115] * 20] * 3, False),
        ([[0.02] * 20] * 3 + [[0.01] * 20] * 7, False),
    ],
)
def test_spread_and_drift_decide_whether_a_p50_is_steady(
    rounds: list[list[float]], steady: bool
) -> None:
    assert is_steady(rounds) is steady


def test_drift_needs_three_rounds() -> None:
    assert drift([[0.01], [0.02]]) == 0
    assert drift([[0.01], [0.5], [0.02]]) == pytest.approx(1.0)
