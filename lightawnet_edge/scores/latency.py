"""From raw samples to numbers and doubts: arrays in, values out; no clock, file or device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lightawnet_edge.errors import SpecError

MIN_CALLS = 200
"""A 99th percentile rests on the slowest hundredth: of 200 calls these are two."""
MAX_SPREAD = 0.1
"""Median absolute deviation, as a share of p50. Engines that had a two-core virtual machine for
themselves stayed within 7 %; beside another busy program, none stayed within 11 %."""
MAX_DRIFT = 0.1
"""Change of p50 from the first to the last third of the rounds, as a share."""
MAX_TAIL = 2.0
"""p99 over p50: computing has no branch that doubles its time. It was up to 1.5 on that machine
when it was quiet, and 2 to 18 beside another busy program."""
MAX_OTHERS = 0.1
"""CPUs that others kept busy while engines were timed: a quiet system needs less than this. On two
cores, one busy thread of others slowed OpenVINO down to a half, eager PyTorch to a fifteenth."""
MIN_FRAMES = 100
"""A bootstrap interval is too narrow for few frames, all the more where most frames lose nothing
and a few lose much. With one frame in eight losing 0.08 Dice on average, nominal 95 % covered 69 %
at 16 frames, 79 % at 30 and 89 % at 100 (simulated)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Summary of the kept calls of one engine; every time is seconds per call."""

    n: int
    min_s: float
    mean_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    mad_s: float
    """Median absolute deviation from p50: the spread, deaf to outliers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLatency(Latency):
    """The same, with what an engine takes beside its calls."""

    cold_start_s: float
    """From nothing loaded to the first mask."""
    peak_memory_bytes: int | None
    """Of the engine's process; None where the system does not say."""


def summarize(samples_s: ArrayLike) -> Latency:
    """Summarize seconds per call; percentiles interpolate linearly between samples.

    Raises:
        SpecError: There is no sample.
    """
    samples = np.asarray(samples_s, dtype=np.float64)
    if samples.size == 0:
        raise SpecError("No call was timed. Allow at least one call.")
    p50, p90, p99 = np.percentile(samples, (50, 90, 99))
    return Latency(
        n=samples.size,
        min_s=float(samples.min()),
        mean_s=float(samples.mean()),
        p50_s=float(p50),
        p90_s=float(p90),
        p99_s=float(p99),
        mad_s=float(np.median(np.abs(samples - p50))),
    )


def latency_doubts(rounds_s: Sequence[Sequence[float]]) -> list[str]:
    """List the reasons not to trust a latency, in words; empty when there are none.

    Args:
        rounds_s: Seconds per call, by round, in the order in which they were measured.
    """
    latency = summarize([sample for samples in rounds_s for sample in samples])
    found = []
    if latency.n < MIN_CALLS:
        found.append(f"{latency.n} calls are few for a p99 (at least {MIN_CALLS})")
    if (spread := latency.mad_s / latency.p50_s) > MAX_SPREAD:
        found.append(f"half of the calls are more than {100 * spread:.0f} % off p50")
    if (tail := latency.p99_s / latency.p50_s) > MAX_TAIL:
        found.append(f"p99 is {tail:.1f} times p50: calls were interrupted")
    change = drift(rounds_s)
    if change > MAX_DRIFT:
        found.append(
            f"{100 * change:.0f} % slower in the last rounds than in the first: disturbed, or hot"
        )
    elif change < -MAX_DRIFT:
        found.append(
            f"{-100 * change:.0f} % faster in the last rounds than in the first: disturbed, or cold"
        )
    return found


def is_steady(rounds_s: Sequence[Sequence[float]]) -> bool:
    """Whether calls and rounds agree well enough for their p50 to be divided by another's."""
    latency = summarize([sample for samples in rounds_s for sample in samples])
    return latency.mad_s / latency.p50_s <= MAX_SPREAD and abs(drift(rounds_s)) <= MAX_DRIFT


def drift(rounds_s: Sequence[Sequence[float]]) -> float:
    """Relative change of the median call from the first third of the rounds to the last third.

    Zero for fewer than three rounds.
    """
    third = len(rounds_s) // 3
    if third == 0:
        return 0.0
    first, last = (
        float(np.median(np.concatenate([np.asarray(samples) for samples in part])))
        for part in (rounds_s[:third], rounds_s[-third:])
    )
    return last / first - 1
