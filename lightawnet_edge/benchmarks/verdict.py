"""The summary that stands on top of a report, in sentences; from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightawnet_edge.benchmarks.records import BenchResult, Record
from lightawnet_edge.benchmarks.stats import Interval, mean_interval


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
    """Which engine is fastest, and what that costs, in one sentence."""
    best = _best(result)
    text = f"{best.bundle} is the fastest: {milliseconds(best.latency.p50_s)} ms per frame"
    if (baseline := result.baseline_of(best)) is None or best.dice_drop is None:
        return f"{text}."
    speed = baseline.latency.p50_s / best.latency.p50_s
    return f"{text}, {speed:.1f} times as fast as PyTorch, {_cost(best.dice_drop)}."


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
            f"p90 {milliseconds(latency.p90_s)} ms, p99 {milliseconds(latency.p99_s)} ms. "
            + _runner_up(best, result),
        ),
        Tile(
            f"p99 against {milliseconds(deadline_s)} ms",
            f"{latency.p99_s / deadline_s:.0%}",
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
    if (drop := best.dice_drop) is not None:
        mean, interval = dice_texts(drop)
        found.insert(
            2, Tile("Dice lost against FP32", mean, f"95 %: {interval}. {_meaning(best, drop)}")
        )
    return found


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with three significant digits."""
    value = 1000 * seconds
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def dice_texts(drop: Interval, digits: int = 4) -> tuple[str, str]:
    """A drop of Dice and its interval; a rounded zero has no sign."""
    mean, low, high = (_signed(value, digits) for value in (drop.mean, drop.low, drop.high))
    return mean, f"{low} … {high}"


def executed_text(record: Record) -> str:
    """Precisions with their shares of the MACs, the largest first."""
    shares = sorted(record.executed.items(), key=lambda item: -item[1])
    return ", ".join(f"{percent(share)} {name}" for name, share in shares if share > 0)


def percent(share: float) -> str:
    """A share in percent; only the whole is called 100 %."""
    if share >= 1:
        return "100 %"
    return f"{min(100 * share, 99.9):.1f}".removesuffix(".0") + " %"


def _best(result: BenchResult) -> Record:
    return fastest_first([record for record in result.records if not record.is_baseline])[0]


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _cost(drop: Interval) -> str:
    amount = f"{abs(drop.mean):.4f}"
    if not drop.excludes_zero:
        return "without a loss of Dice that can be measured here"
    return f"for {amount} Dice" if drop.mean > 0 else f"and {amount} Dice better"


def _meaning(record: Record, drop: Interval) -> str:
    count = len(record.scores)
    if not drop.excludes_zero:
        return f"Zero lies inside: on these {count} frames it can't be told from chance."
    return f"Zero lies outside: on these {count} frames the {_sign(drop)} is more than chance."


def _sign(drop: Interval) -> str:
    return "loss" if drop.mean > 0 else "gain"


def _runner_up(best: Record, result: BenchResult) -> str:
    """How sure the first place is: from the medians of interleaved rounds, paired."""
    others = [r for r in fastest_first(result.records) if r is not best and not r.is_baseline]
    if not others:
        return ""
    medians = ([float(np.median(s)) for s in r.timing.rounds_s] for r in (best, others[0]))
    lead = mean_interval([second - first for first, second in zip(*medians, strict=False)])
    if not lead.excludes_zero:
        return f"Not to be told apart from {others[0].bundle}."
    slower = others[0].latency.p50_s / best.latency.p50_s - 1
    return f"Next: {others[0].bundle}, {slower:.0%} slower."
