"""What a bundle was asked for, what it executes on this machine, and where its time goes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.layers import LayerRecord, mac_shares, parts_of
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.machine.cgroup import read_throttled
from lightawnet_edge.machine.machine import busy_seconds, default_threads, machine_summary
from lightawnet_edge.options import option
from lightawnet_edge.scores.latency import MAX_OTHERS
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import WARMUP, ReadBack

SCHEMA = 1  # 1: first version. Say here what every later number changed.
FRAMES = 8
"""Packaged frames that are profiled, in turn."""
_OFF = "times are too long, shares may be off"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectSpec:
    """What to inspect, and how long."""

    bundle: Path
    profile: bool = option("Time every layer, on packaged frames.", default=True)
    calls: int = option("Profiled calls; times are their means.", default=30)
    threads: int | None = option(
        "CPU threads; 0: the physical cores, within a CPU quota.", default=None, none=0
    )

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise SpecError(f"calls={self.calls} must be at least 1.")
        if self.threads is not None and self.threads < 1:
            raise SpecError(f"threads={self.threads} must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How the layers were timed; every time in seconds, a mean over the calls."""

    calls: int
    frames: int
    call_s: float
    """Of a call as a whole."""
    layers_s: float
    """Sum over the layers."""
    others: float | None
    """CPUs that other programs kept busy meanwhile; None where the system does not say."""
    throttled: int = 0
    """Times that a CPU quota stopped programs meanwhile."""


@dataclass(frozen=True, slots=True)
class Work:
    """All layers of one kind that were timed."""

    kind: str
    layers: int
    seconds: float
    share: float
    """Of the time of all layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A bundle, inspected."""

    manifest: Manifest
    layers: tuple[LayerRecord, ...]
    """Every convolution, in the order of the device graph; then, if timed, all other layers that
    ran, in the order of the engine."""
    here: bool
    """Whether `layers` were read back on this machine; else they stand as the bundle was built."""
    toolchain: str | None
    """Name and version of what was asked; None where nothing was."""
    machine: Mapping[str, Any]
    profile: Profile | None
    missing: tuple[str, ...]
    """What could not be found out, with the reason."""

    @property
    def convolutions(self) -> list[LayerRecord]:
        """The layers that have multiply-accumulates."""
        return [layer for layer in self.layers if layer.macs]

    @property
    def executed(self) -> dict[str, float]:
        """Precision to share of the convolution MACs; sums to 1."""
        return mac_shares(self.layers)

    @property
    def work(self) -> list[Work]:
        """Time by kind of work, the longest first; empty without a profile."""
        if self.profile is None:
            return []
        kinds: dict[str, list[float]] = {}
        for layer in self.layers:
            if layer.seconds is not None:
                kinds.setdefault(layer.kind, []).append(layer.seconds)
        total = self.profile.layers_s
        found = [Work(kind, len(s), sum(s), sum(s) / total) for kind, s in kinds.items()]
        return sorted(found, key=lambda work: -work.seconds)

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of a call by its parts; empty without a profile."""
        return parts_of(self.layers, None if self.profile is None else self.profile.call_s)

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust the times."""
        if self.profile is None:
            return []
        found = []
        if (others := self.profile.others) is not None and others > MAX_OTHERS:
            found.append(
                f"other programs kept {others:.1f} CPUs busy: {_OFF}. Inspect on a quiet machine"
            )
        if times := self.profile.throttled:
            found.append(
                f"the CPU quota stopped programs {times} times: {_OFF}. Raise it, or give fewer "
                "--threads"
            )
        return found

    def mac_share(self, layer: LayerRecord) -> float:
        """Share of a layer in the convolution MACs."""
        return layer.macs / sum(other.macs for other in self.layers)

    def time_share(self, layer: LayerRecord) -> float | None:
        """Share of a layer in the time of all layers; None where it was not timed."""
        if self.profile is None or layer.seconds is None:
            return None
        return layer.seconds / self.profile.layers_s


def inspect(spec: InspectSpec) -> Inspection:
    """Read back what a bundle executes here, and time its layers on packaged frames.

    Where the bundle cannot run on this machine, or no frame can be read, what is left is told from
    its manifest, and `missing` says why.

    Raises:
        ArtifactError: The folder is no bundle, a file of it has changed, or it was made before
            bundles held a table of their layers.
    """
    bundle = Bundle.open(spec.bundle)
    manifest = bundle.manifest
    if not manifest.layers:
        raise ArtifactError(
            f"Bundle '{bundle.path}' has no table of its layers: an earlier version made it. "
            "Export it again."
        )
    frames, no_frames = _frames(manifest.contract) if spec.profile else ([], None)
    before, stopped = _used(), _stopped()
    found, toolchain, no_engine = _read_back(bundle, spec, frames)
    others = _others(before, _used())
    layers = manifest.layers if found is None else _joined(manifest.layers, found)
    profile = None
    if found is not None and found.call_s is not None:
        profile = Profile(
            calls=spec.calls,
            frames=len(frames),
            call_s=found.call_s,
            layers_s=sum(layer.seconds or 0.0 for layer in layers),
            others=others,
            throttled=_stopped() - stopped,
        )
    return Inspection(
        manifest=manifest,
        layers=layers,
        here=found is not None,
        toolchain=toolchain,
        machine=machine_summary(),
        profile=profile,
        missing=tuple(reason for reason in (no_engine, no_frames) if reason is not None),
    )


def read_layers(
    bundle: Bundle, threads: int, frames: Sequence[UInt8] = ()
) -> tuple[tuple[LayerRecord, ...], dict[str, float]]:
    """The convolutions of a bundle as this machine executes them; none if it holds no table.

    Beside them the seconds of a call by its parts, where the toolchain times layers: a call for
    each of the frames, of which the first `WARMUP` do not count.

    Raises:
        BackendUnavailableError: The bundle cannot run here.
    """
    manifest = bundle.manifest
    if not manifest.layers:
        return (), {}
    backend = table.get_for(manifest.target, manifest.precision)
    found = backend.read_back(bundle.unchecked_engine, threads, frames)
    layers = _joined(manifest.layers, found)
    convolutions = tuple(replace(one, seconds=None) for one in layers if one.macs)
    return convolutions, parts_of(layers, found.call_s)


def _frames(contract: Contract) -> tuple[list[UInt8], str | None]:
    """A few packaged frames, as the bundle takes them; or none, and the reason."""
    frames = FrameSet.open(EVALUATION, limit=FRAMES)
    try:
        return list(frames.frames(contract.camera)), None
    except BackendUnavailableError as error:
        return [], f"time per layer: {error}"


def _read_back(
    bundle: Bundle, spec: InspectSpec, frames: list[UInt8]
) -> tuple[ReadBack | None, str | None, str | None]:
    """What the engine says of itself, and the toolchain that was asked; or why it was not."""
    manifest = bundle.manifest
    calls = list(islice(cycle(frames), WARMUP + spec.calls))
    try:
        backend = table.get_for(manifest.target, manifest.precision)
        found = backend.read_back(bundle.unchecked_engine, spec.threads or default_threads(), calls)
    except BackendUnavailableError as error:
        return None, None, f"what runs on this machine: {error}"
    return found, f"{manifest.target} {backend.version()}", None


def _joined(recorded: tuple[LayerRecord, ...], found: ReadBack) -> tuple[LayerRecord, ...]:
    """The recorded convolutions as they run here, then every other layer; with times, if any."""
    ran = {layer.name: layer for layer in found.layers}
    convolutions = [
        replace(
            ran.get(layer.name, replace(layer, executed=None, kernel=None)),
            requested=layer.requested,
            macs=layer.macs,
            computed=layer.computed,
        )
        for layer in recorded
    ]
    known = {layer.name for layer in recorded}
    others = [layer for layer in found.layers if layer.name not in known]
    return tuple(
        replace(layer, seconds=found.layer_s.get(layer.name)) for layer in (*convolutions, *others)
    )


def _used() -> tuple[float | None, float, float]:
    """CPU seconds of all programs, CPU seconds of this one, and the time."""
    return busy_seconds(), time.process_time(), time.perf_counter()


def _stopped() -> int:
    """Times that a CPU quota has stopped programs; 0 where the system does not say."""
    found = read_throttled()
    return 0 if found is None else found.times


def _others(
    before: tuple[float | None, float, float], after: tuple[float | None, float, float]
) -> float | None:
    """CPUs that other programs kept busy in between."""
    if before[0] is None or after[0] is None:
        return None
    return (after[0] - before[0] - (after[1] - before[1])) / (after[2] - before[2])
