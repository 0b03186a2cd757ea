"""The summary that stands on top of a report, in sentences; from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.scores.intervals import Interval, mean_interval
from lightawnet_edge.scores.latency import MAX_OTHERS, is_steady
from lightawnet_edge.scores.text import change_texts, milliseconds, percent


@dataclass(frozen=True, slots=True)
class Tile:
    """One fact: what it is about, the number, and what to make of it."""

    label: str
    value: str
    note: str


def fastest_first(records: Sequence[Record]) -> list[Record]:
    """Records by their p50."""
    return sorted(records, key=lambda record: record.latency.p50_s)


def headline(result: BenchResult) -> str:
    """Which engine is fastest, and how its Dice changes where its frames are known to fit."""
    best = _best(result)
    text = _fastest(best, _second(result))
    doubted = best.bundle in result.unfit
    drop = None if doubted else best.dice_drop
    change = "" if drop is None else f"; {_change(best, drop)}"
    if doubted:
        text += " (its Dice is left out: the frames may be of another domain)"
    baseline = result.baseline_of(best)
    if (unrest := disturbance(result, *filter(None, (best, baseline)))) is not None:
        return f"{text}{change}. How much faster is left out: {unrest}."
    if baseline is None or baseline is best:
        return f"{text}{change}."
    return f"{text}, {_against(best, baseline)}{change}."


def _fastest(best: Record, second: Record | None) -> str:
    time = f"{milliseconds(best.latency.p50_s)} ms"
    if second is None:
        return f"{best.bundle} takes {time} per frame"
    if lead(best, second).excludes_zero:
        return f"{best.bundle} is the fastest: {time} per frame"
    return (
        f"{best.bundle} and {second.bundle} are the fastest, not to be told apart: {time} and "
        f"{milliseconds(second.latency.p50_s)} ms per frame"
    )


def _against(best: Record, baseline: Record) -> str:
    called = _called(baseline, best)
    if not lead(best, baseline).excludes_zero:
        return f"not to be told apart from {called}"
    return f"{baseline.latency.p50_s / best.latency.p50_s:.1f} times as fast as {called}"


def _called(baseline: Record, best: Record) -> str:
    if not baseline.is_baseline:
        return baseline.bundle
    return "PyTorch on the CPU" if best.runs_on_gpu else "PyTorch"  # it never runs elsewhere


def disturbance(result: BenchResult, *records: Record) -> str | None:
    """Why the times of these engines may not be divided by each other; None where they may.

    Engines are not slowed down alike. On busy machines one that is 8 times as fast as eager PyTorch
    was seen at 20 to 71 times.
    """
    if result.others > MAX_OTHERS:
        return f"other programs kept {result.others:.1f} CPUs busy"
    if result.throttled.times > 0:
        return f"the CPU quota stopped programs {result.throttled.times} times"
    unsteady = [record.bundle for record in records if not is_steady(record.timing.rounds_s)]
    return f"the times of {' and '.join(unsteady)} were not steady" if unsteady else None


def tiles(result: BenchResult) -> list[Tile]:
    """Speed, frame budget, cost and executed precision of the fastest engine."""
    best = _best(result)
    latency, deadline_s = best.latency, result.settings["deadline_s"]
    holds = latency.p99_s <= deadline_s
    shares = sorted(best.executed.items(), key=lambda item: -item[1])
    found = [
        Tile(
            "Latency, p50",
            f"{milliseconds(latency.p50_s)} ms",
            f"p90 {milliseconds(latency.p90_s)} ms, p99 {milliseconds(latency.p99_s)} ms."
            + _next(result),
        ),
        Tile(
            f"p99 against {milliseconds(deadline_s)} ms",
            f"{100 * latency.p99_s / deadline_s:.0f} %",
            f"of the time that one frame has: {'holds' if holds else 'misses'} the deadline, "
            "without capture and display.",
        ),
        Tile(
            "Really executed",
            f"{percent(shares[0][1])} {shares[0][0].upper()}",
            f"of the convolution MACs, asked for {best.precision.upper()}. "
            f"All: {executed_text(best)}. Routing: {best.routing}.",
        ),
    ]
    if (drop := best.dice_drop) is not None and best.bundle not in result.unfit:
        mean, interval = change_texts(drop)
        found.insert(
            2, Tile("Dice change against FP32", mean, f"95 %: {interval}. {_meaning(best, drop)}")
        )
    return found


def executed_text(record: Record) -> str:
    """Precisions with their shares of the MACs, the largest first."""
    shares = sorted(record.executed.items(), key=lambda item: -item[1])
    return ", ".join(f"{percent(share)} {name}" for name, share in shares if share > 0)


def _best(result: BenchResult) -> Record:
    return fastest_first([record for record in result.records if not record.is_baseline])[0]


def _change(record: Record, drop: Interval) -> str:
    mean, interval = change_texts(drop, 3)
    frames = f"{len(record.scores)} frames (95 %: {interval})"
    if not drop.excludes_zero:
        return f"its Dice cannot be told from that of FP32 on {frames}"
    return f"its Dice changes by {mean} on {frames}"


def _meaning(record: Record, drop: Interval) -> str:
    count = len(record.scores)
    if not drop.excludes_zero:
        return f"Zero lies inside: on these {count} frames it can't be told from chance."
    return f"Zero lies outside: on these {count} frames the {_sign(drop)} is more than chance."


def _sign(drop: Interval) -> str:
    return "loss" if drop.mean > 0 else "gain"


def lead(first: Record, second: Record) -> Interval:
    """Seconds that `second` takes longer, from the medians of interleaved rounds, paired."""
    medians = ([float(np.median(s)) for s in r.timing.rounds_s] for r in (first, second))
    return mean_interval([slow - fast for fast, slow in zip(*medians, strict=True)])


def _second(result: BenchResult) -> Record | None:
    engines = fastest_first([record for record in result.records if not record.is_baseline])
    return engines[1] if len(engines) > 1 else None


def _next(result: BenchResult) -> str:
    best, second = _best(result), _second(result)
    if second is None:
        return ""
    if disturbance(result, best, second) is not None:
        return f" Next: {second.bundle}, {milliseconds(second.latency.p50_s)} ms."
    slower = 100 * (second.latency.p50_s / best.latency.p50_s - 1)
    return f" Next: {second.bundle}, {slower:.0f} % slower."
