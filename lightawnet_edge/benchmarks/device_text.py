"""What the GPU said of the calls that it was timed by, in words and cells; from records alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.machine.gpu_state import GpuState
from lightawnet_edge.scores.text import milliseconds


def device_line(record: Record) -> str:
    """Where the time of a call went, and what the GPU was like, in one line."""
    found = record.device
    if found is None:
        times = "its own times are not known"
    else:
        times = (
            f"computes {milliseconds(found.compute.p50_s)} ms (p99 "
            f"{milliseconds(found.compute.p99_s)}), copies {milliseconds(found.copies.p50_s)}, "
            f"host {milliseconds(found.host.p50_s)}"
        )
    return f"{times}; {', '.join(conditions(record))}"


def gpu_text(result: BenchResult) -> str:
    """The GPU, its driver, and a Jetson's power mode; empty where no engine ran on a GPU."""
    if result.gpu is None:
        return ""
    mode = f", power mode {result.power_mode}" if result.power_mode else ""
    return f"{result.gpu.name}, SM{result.gpu.capability}, driver for CUDA {result.gpu.cuda}{mode}"


def conditions(record: Record) -> list[str]:
    """Clock, heat and power of the GPU over the rounds; what is not known is said to be so."""
    states = record.timing.gpu
    clock = _span((state.clock_hz for state in states), 1e-6, 0)
    heat = _span((state.temperature_c for state in states), 1, 0)
    rails = dict.fromkeys(name for state in states for name in state.power_w)
    power = [
        f"{name} {_span((state.power_w.get(name) for state in states), 1, 1)} W" for name in rails
    ]
    return [
        f"clock {clock} MHz{_held(states)}" if clock else "clock not known",
        f"{heat} °C" if heat else "heat not known",
        *(power or ["power not known"]),
    ]


def _held(states: Sequence[GpuState]) -> str:
    """Whether the system may move the clock; nothing where it does not tell."""
    spans = [state.clock_range_hz for state in states if state.clock_range_hz]
    if not spans:
        return ""
    low, high = spans[-1]
    return " (held)" if low == high else f" (free, {low / 1e6:.0f} to {high / 1e6:.0f})"


def _span(values: Iterable[float | None], scale: float, digits: int) -> str:
    """Least and most of what is known, once where they read the same; empty where nothing is."""
    known = [scale * value for value in values if value is not None]
    if not known:
        return ""
    return " to ".join(dict.fromkeys(f"{value:.{digits}f}" for value in (min(known), max(known))))
