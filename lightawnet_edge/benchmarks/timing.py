"""What the clocks said of one engine, and the reasons not to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightawnet_edge.errors import SpecError
from lightawnet_edge.machine.gpu_state import GpuState
from lightawnet_edge.scores.latency import Latency, summarize

MAX_CLOCK_CHANGE = 0.02
"""Change of a GPU's clock over the rounds, as a share of the highest: less is the clock's own
step."""
_GPU_SILENT = (
    "clock, heat and power of the GPU are not known: for any GPU but a Jetson's own, "
    "pip install nvidia-ml-py"
)

_MOST = 1e6
"""Seconds of a call, or CPUs: more is a mistake in a file."""

Rounds = tuple[tuple[float, ...], ...]
"""Seconds of each call, by round, in the order of measuring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What the clocks said of one engine; every time in seconds."""

    load_s: float
    """Import of the toolchain, hash check, reading and compiling."""
    first_s: float
    """From the first frame to its mask."""
    rounds_s: Rounds
    """Of whole calls."""
    others: tuple[float, ...]
    """CPUs that other programs kept busy, by round; empty where the system does not say."""
    peak_memory_bytes: int | None
    """Of the engine's process: Python, toolchain, engine and a few frames."""
    compute_s: Rounds = ()
    """Of the same calls, what the device computed, by its own clock; empty for engines of the CPU,
    and where the device does not tell."""
    copy_s: Rounds = ()
    """Of the same calls, the copies to the device and back."""
    gpu: tuple[GpuState, ...] = ()
    """State of the GPU right after each round; empty for engines of the CPU."""

    def __post_init__(self) -> None:
        if not all((self.rounds_s, *self.rounds_s)):
            raise SpecError("An engine was timed in one round at least, by one call at least each.")
        for name, times in (
            ("load_s", (self.load_s,)),
            ("first_s", (self.first_s,)),
            ("rounds_s", _flat(self.rounds_s)),
            ("compute_s", _flat(self.compute_s)),
            ("copy_s", _flat(self.copy_s)),
            ("others", map(abs, self.others)),
        ):
            if not all(0 <= time <= _MOST for time in times):
                raise SpecError(f"{name} holds what is no time, or no number of CPUs.")
        if not all(_flat(self.rounds_s)):
            raise SpecError("rounds_s holds a call that took no time.")
        if list(map(len, self.compute_s)) != list(map(len, self.copy_s)):
            raise SpecError("compute_s and copy_s are not of the same calls.")

    @property
    def device(self) -> DeviceLatency | None:
        """Summary of the device's own times; None where there are none."""
        walls, compute, copies = map(_flat, (self.rounds_s, self.compute_s, self.copy_s))
        if not walls or len(compute) != len(walls):  # a device that fell silent meanwhile
            return None
        calls = zip(walls, compute, copies, strict=True)
        return DeviceLatency(
            compute=summarize(compute),
            copies=summarize(copies),
            host=summarize([call - computed - copied for call, computed, copied in calls]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLatency:
    """Where the calls' time went, call by call: the three add up to a call's wall time."""

    compute: Latency
    copies: Latency
    host: Latency
    """Wall time less the two others: the launch, the wait, and copies within host memory."""


def gpu_doubts(timing: Timing) -> list[str]:
    """Reasons not to trust the times of an engine that ran on a GPU; empty when there are none."""
    found = []
    if timing.device is None:
        found.append("the device did not tell its own times: computing and copying are not apart")
    if not any(state.clock_hz for state in timing.gpu):
        return [*found, _GPU_SILENT]
    return found + _clock_doubts(timing.gpu) + _slowed_doubts(timing.gpu)


def _clock_doubts(states: Sequence[GpuState]) -> list[str]:
    found = []
    clocks = [state.clock_hz for state in states if state.clock_hz]
    if (low := min(clocks)) < (1 - MAX_CLOCK_CHANGE) * (high := max(clocks)):
        found.append(f"the GPU's clock went between {_megahertz(low, high)} while it was timed")
    spans = {state.clock_range_hz for state in states if state.clock_range_hz}
    if free := next((span for span in sorted(spans) if span[0] < span[1]), None):
        found.append(
            f"the GPU's clock may go between {_megahertz(*free)}: 'sudo jetson_clocks' holds it"
        )
    return found


def _slowed_doubts(states: Sequence[GpuState]) -> list[str]:
    reasons = dict.fromkeys(reason for state in states for reason in state.slowed)
    if not reasons:
        return []
    rounds = sum(bool(state.slowed) for state in states)
    return [f"the GPU was slowed down after {rounds} of {len(states)} rounds: {', '.join(reasons)}"]


def _megahertz(low: float, high: float) -> str:
    return f"{low / 1e6:.0f} and {high / 1e6:.0f} MHz"


def _flat(rounds: Rounds) -> list[float]:
    return [sample for samples in rounds for sample in samples]
