"""A histogram of latencies: fixed memory, exact ends, quantiles within a step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.histogram import Histogram

SECONDS = st.lists(st.floats(1e-6, 3600), min_size=1, max_size=50)


def filled(samples: list[float]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    return histogram


@given(SECONDS, st.floats(0, 1))
def test_a_quantile_is_within_a_step_of_the_sample_of_its_rank(
    samples: list[float], share: float
) -> None:
    found = filled(samples).quantile_s(share)
    exact = float(np.quantile(samples, share, method="inverted_cdf"))
    assert found == pytest.approx(exact, rel=0.0056)


@given(SECONDS)
def test_ends_and_mean_are_exact_and_quantiles_stay_between_them(samples: list[float]) -> None:
    histogram = filled(samples)
    assert (histogram.count, histogram.min_s, histogram.max_s) == (
        len(samples), min(samples), max(samples),
    )  # fmt: skip
    assert histogram.mean_s == pytest.approx(np.mean(samples))
    assert histogram.quantile_s(1) == max(samples)
    found = [histogram.quantile_s(share) or 0.0 for share in (0, 0.1, 0.5, 0.9, 0.99, 1)]
    assert found == sorted(found)
    assert min(samples) <= found[0]


@given(SECONDS, SECONDS)
def test_merged_histograms_are_one_of_all_samples(a: list[float], b: list[float]) -> None:
    merged, whole = filled(a), filled(a + b)
    merged.merge(filled(b))
    assert merged.count == whole.count
    assert merged.mean_s == pytest.approx(whole.mean_s)
    for share in (0, 0.5, 0.99, 1):
        assert merged.quantile_s(share) == whole.quantile_s(share)


def test_what_lies_beyond_the_buckets_counts_and_ends_stay_exact() -> None:
    histogram = filled([0.0, 1e-9, 1e6, 2e6])
    assert (histogram.min_s, histogram.max_s) == (0.0, 2e6)
    assert histogram.quantile_s(0.75) == pytest.approx(2**32 * 1e-6, rel=0.01)


def test_memory_does_not_grow() -> None:
    histogram = Histogram()
    size = histogram._counts.nbytes
    for sample in np.linspace(0, 10, 5000):
        histogram.add(float(sample))
    assert histogram._counts.nbytes == size == 16384


def test_an_empty_histogram_has_no_numbers() -> None:
    assert Histogram().mean_s is None
    assert Histogram().quantile_s(0.5) is None


@pytest.mark.parametrize("seconds", [-1e-9, float("nan"), float("inf")])
def test_what_is_no_latency_is_refused(seconds: float) -> None:
    with pytest.raises(SpecError, match="is no latency: expected a finite value of at least 0"):
        Histogram().add(seconds)


def test_a_share_lies_between_0_and_1() -> None:
    with pytest.raises(SpecError, match=r"share=1\.5 must lie between 0 and 1"):
        Histogram().quantile_s(1.5)
