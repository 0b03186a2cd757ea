from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.benchmarks.report import html
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.benchmarks.verdict import executed_text, headline, lead, tiles
from lightawnet_edge.scores.intervals import Interval
from lightawnet_edge.scores.text import change_texts, milliseconds, percent


def test_the_headline_names_speed_and_cost(make_result: Any) -> None:
    assert headline(make_result()) == (
        "polyp-openvino-int8 is the fastest: 8.08 ms per frame, 10.0 times as fast as PyTorch; "
        "its Dice changes by −0.020 on 4 frames (95 %: −0.040 … −0.005)."
    )


def test_a_gpu_is_not_compared_with_pytorch_as_if_that_ran_there(
    make_result: Any, make_record: Any
) -> None:
    engine = make_record("plan", 0.002, (0.88, 0.79, 0.7, 0.55), target="tensorrt")
    text = headline(make_result(records=(make_result().records[0], engine)))
    assert "40.0 times as fast as PyTorch on the CPU; its Dice" in text


def test_a_loss_that_may_be_chance_is_called_so(make_result: Any, make_record: Any) -> None:
    baseline = make_result().records[0]
    even = make_record("even", 0.008, (0.89, 0.81, 0.69, 0.61))
    better = make_record("better", 0.008, (0.92, 0.81, 0.72, 0.61))
    assert headline(make_result(records=(baseline, even))).endswith(
        "; its Dice cannot be told from that of FP32 on 4 frames (95 %: −0.010 … +0.010)."
    )
    assert "; its Dice changes by +0.015 on 4 frames (95 %: +0.0" in headline(
        make_result(records=(baseline, better))
    )


def test_without_a_baseline_only_speed_is_told(make_result: Any, make_record: Any) -> None:
    lone = make_record("lone", 0.008, (0.9, 0.8, 0.7, 0.6), baseline=None)
    scores = tuple(replace(score, dice_drop=None) for score in lone.scores)
    result = make_result(records=(replace(lone, scores=scores),))
    assert headline(result) == "lone takes 8.08 ms per frame.", "one engine is no winner"
    assert [tile.label for tile in tiles(result)] == [
        "Latency, p50", "p99 against 33.3 ms", "Really executed",
    ]  # fmt: skip


def test_engines_that_take_turns_in_being_faster_are_not_told_apart(
    make_result: Any, make_record: Any
) -> None:
    first = make_record("first", 0.008, (0.9, 0.8, 0.7, 0.6))
    factors = (0.98, 1.03) * 5
    rounds = tuple(
        tuple(sample * factor for sample in samples)
        for samples, factor in zip(first.timing.rounds_s, factors, strict=True)
    )
    second = replace(first, bundle="second", timing=replace(first.timing, rounds_s=rounds))
    assert not lead(first, second).excludes_zero
    text = headline(make_result(records=(make_result().records[0], first, second)))
    assert text.startswith("first and second are the fastest, not to be told apart: 8.08 ms and 8.")


def test_an_engine_that_is_as_fast_as_pytorch_is_not_called_faster(
    make_result: Any, make_record: Any
) -> None:
    baseline = make_result().records[0]
    even = make_record("even", 0.08, (0.9, 0.8, 0.7, 0.6))
    text = headline(make_result(records=(baseline, even)))
    assert text.startswith("even takes 80.8 ms per frame, not to be told apart from PyTorch; ")


def busy(result: BenchResult) -> BenchResult:
    """Beside another busy program."""
    records = tuple(
        replace(record, timing=replace(record.timing, others=(0.8,) * 10))
        for record in result.records
    )
    return replace(result, records=records)


def throttled(result: BenchResult) -> BenchResult:
    """In a container whose CPU quota ran out."""
    return replace(
        result,
        before=replace(result.before, quota_throttled=2, quota_throttled_s=0.1),
        after=replace(result.after, quota_throttled=9, quota_throttled_s=0.7),
    )


def restless(*places: int) -> Callable[[BenchResult], BenchResult]:
    """With a few engines whose calls take turns in being slow."""

    def make(result: BenchResult) -> BenchResult:
        records = list(result.records)
        for place in places:
            rounds = tuple(
                tuple(sample * (1 + call % 2) for call, sample in enumerate(samples))
                for samples in records[place].timing.rounds_s
            )
            timing = replace(records[place].timing, rounds_s=rounds)
            records[place] = replace(records[place], timing=timing)
        return replace(result, records=tuple(records))

    return make


@pytest.mark.parametrize(
    ("disturb", "reason"),
    [
        (busy, "other programs kept 0.8 CPUs busy"),
        (throttled, "the CPU quota stopped programs 7 times"),
        (restless(0), "the times of pytorch-eager were not steady"),
        (restless(0, 1), "the times of polyp-openvino-int8 and pytorch-eager were not steady"),
    ],
)
def test_no_ratio_is_told_where_the_machine_was_not_quiet(
    make_result: Any, disturb: Callable[[BenchResult], BenchResult], reason: str
) -> None:
    text = headline(disturb(make_result()))
    assert text.startswith("polyp-openvino-int8 is the fastest: ")
    assert text.endswith(f" … −0.005). How much faster is left out: {reason}.")


@pytest.mark.parametrize("disturb", [busy, throttled, restless(1), restless(2)])
def test_a_tile_names_the_next_engine_by_its_own_time_where_the_machine_was_not_quiet(
    make_result: Any, disturb: Callable[[BenchResult], BenchResult]
) -> None:
    note = tiles(disturb(make_result()))[0].note
    assert "slower" not in note
    assert re.search(r"Next: polyp-openvino-fp32, [\d.]+ ms\.$", note)


def test_engines_that_are_not_compared_may_be_unsteady(make_result: Any) -> None:
    assert "10.0 times as fast as PyTorch" in headline(restless(2)(make_result()))
    assert "150 % slower" in tiles(restless(0)(make_result()))[0].note


def test_a_page_about_a_busy_machine_has_no_ratio(make_result: Any) -> None:
    page = html(busy(make_result()))
    assert "How much faster is left out" in page
    assert not re.search(r"\d times as fast|% slower", page)


def test_tiles_say_what_to_make_of_each_number(make_result: Any) -> None:
    speed, budget, cost, executed = tiles(make_result())
    assert speed.note == "p90 8.14 ms, p99 8.15 ms. Next: polyp-openvino-fp32, 150 % slower."
    assert budget.value == "24 %"
    assert "holds the deadline" in budget.note
    assert (cost.label, cost.value) == ("Dice change against FP32", "−0.0200")
    assert "Zero lies outside: on these 4 frames the loss is more than chance." in cost.note
    assert executed.value == "96.7 % INT8"
    assert executed.note.startswith("of the convolution MACs, asked for INT8.")


def test_a_missed_deadline_is_told(make_result: Any, make_record: Any) -> None:
    slow = make_record("slow", 0.05, (0.9, 0.8, 0.7, 0.6))
    assert "misses the deadline" in tiles(make_result(records=(slow,)))[1].note


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123456, "1.23"), (0.0123456, "12.3"), (0.123456, "123"), (2.109, "2109")],
)
def test_milliseconds_keep_three_digits(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


@given(st.floats(0.0, 1.0))
def test_only_the_whole_is_called_a_hundred_percent(share: float) -> None:
    assert (percent(share) == "100 %") == (share == 1.0)


def test_executed_precisions_come_by_their_share(make_record: Any) -> None:
    record = make_record("a", 0.01, (0.9, 0.8, 0.7, 0.6))
    assert executed_text(record) == "96.7 % int8, 3.3 % fp32"


def test_a_rounded_zero_has_no_sign() -> None:
    assert change_texts(Interval(-0.00001, -0.0123, 0.00001)) == ("0.0000", "0.0000 … +0.0123")


def test_a_drop_is_a_change_with_a_minus() -> None:
    assert change_texts(Interval(0.01, -0.0123, 0.02), 3) == ("−0.010", "−0.020 … +0.012")
