"""A kit becomes a bundle, on its device: build the plan, replay the golden frames, tell of both.

Needs numpy and the device's own TensorRT; the replay needs cuda-python. No torch, no onnx.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.device_record import ANOTHER, RECORD, DeviceRecord, write_record
from lightawnet_edge.bundle.kit import Binding, Kit
from lightawnet_edge.bundle.layers import LayerRecord, fp16_shortfall, int8_shortfall, mac_shares
from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.errors import (
    BackendUnavailableError,
    CheckFailedError,
    SpecError,
)
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device
from lightawnet_edge.machine.machine import machine_summary
from lightawnet_edge.progress import Narrate
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import Precision, State
from lightawnet_edge.targets.base import Built, Session
from lightawnet_edge.targets.tensorrt.builder import build, import_tensorrt, timing_cache_name
from lightawnet_edge.targets.tensorrt.engine import inspect
from lightawnet_edge.targets.tensorrt.golden import Golden, replay
from lightawnet_edge.targets.tensorrt.log import convolution_records, parse_inspector
from lightawnet_edge.targets.tensorrt.options import (
    BuildOptions,
    describe,
    is_portable,
    is_strongly_typed,
)
from lightawnet_edge.targets.tensorrt.session import open_session

OpenSession = Callable[[Any, bytes, Binding, Path], Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A plan, and the manifest that tells of it; neither is written yet."""

    plan: bytes
    manifest: Manifest
    not_replayed: str | None
    """Why the golden frames could not be replayed; None where they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What `build_kit` left behind."""

    bundle: Bundle
    built: bool
    """False where the bundle was built already, and stays as it was."""
    not_replayed: str | None = None
    """Why the bundle is left unchecked; None where it is built."""


def build_kit(
    path: Path,
    *,
    force: bool = False,
    narrate: Narrate = lambda _: None,
    open_session: OpenSession = open_session,
) -> BuildResult:
    """Build the engine of a kit in place; what was there stays until the new engine is proven.

    Args:
        path: The kit's folder; a timing cache is kept beside it.
        force: Build again what is built.
        narrate: Told what is going on.
        open_session: Loads a plan for the replay.

    Raises:
        SpecError: The bundle is no kit, or made for another device or kind of TensorRT; or another
            process writes it.
        ArtifactError: A file has changed, or TensorRT does not take the graph.
        BackendUnavailableError: TensorRT or the device is missing, or an engine would be replaced
            that was proven by one that cannot be; nothing was changed.
        CheckFailedError: The engine computes something else, or in another precision; nothing was
            changed.
    """
    Bundle.open(path, remakes_engine=True)  # no lock beside nothing
    with writing(path):
        return _build_kit(path, force, narrate, open_session)


def _build_kit(path: Path, force: bool, narrate: Narrate, open_session: OpenSession) -> BuildResult:
    bundle = Bundle.open(path, remakes_engine=True)
    manifest = bundle.manifest
    if manifest.kit is None:
        raise SpecError(
            f"'{path}' is no kit: its {manifest.target} engine was built when it was exported."
        )
    if manifest.state is State.BUILT and not force:
        return BuildResult(bundle=Bundle.open(path), built=False)
    try:
        made = finish(manifest, bundle.read, shown=path, narrate=narrate, open_session=open_session)
    except BackendUnavailableError as error:
        # The reason may end in a command.
        reason = (
            f"{error.reason}\n'{path}' is for {manifest.kit.device}, and left as it was (state: "
            f"{manifest.state})."
        )
        raise BackendUnavailableError(error.name, reason) from error
    except CheckFailedError as error:
        raise CheckFailedError(
            f"{error} '{path}' is left as it was (state: {manifest.state})."
        ) from error
    if manifest.state is State.BUILT and made.not_replayed is not None:
        raise BackendUnavailableError(
            "replay",
            f"{made.not_replayed}\n'{path}' keeps its engine (state: {manifest.state}).",
        )
    _put(bundle, made)
    return BuildResult(bundle=Bundle.open(path), built=True, not_replayed=made.not_replayed)


def _put(bundle: Bundle, made: Finished) -> None:
    """Write engine and record; killed in between, the bundle is as it was exported."""
    exported, path = bundle.exported, bundle.path
    assert exported is not None
    sha256 = hashlib.sha256(made.plan).hexdigest()
    # What was exported is never touched: an engine that differs from it stands beside it.
    engine = exported.engine if exported.files.get(exported.engine, sha256) == sha256 else ANOTHER
    told = replace(made.manifest, engine=engine, files={**exported.files, engine: sha256})
    (path / RECORD).unlink(missing_ok=True)
    if engine not in exported.files:
        replace_file(path / engine, made.plan)
    record = DeviceRecord.of(
        told,
        manifest_sha256=bundle.exported_sha256,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine_summary(),
    )
    write_record(path, record)


def finish(
    manifest: Manifest,
    read: Callable[[str], bytes],
    *,
    shown: Path,
    narrate: Narrate = lambda _: None,
    open_session: OpenSession = open_session,
) -> Finished:
    """Build the engine of a kit and replay its golden frames; writes no file into it.

    Args:
        manifest: Of the kit.
        read: Gives the verified bytes of a file of the kit, by its name.
        shown: The kit's folder, as messages name it; a timing cache is kept beside it.
        narrate: Told what is going on.
        open_session: Loads a plan for the replay.

    Raises:
        SpecError, ArtifactError, BackendUnavailableError, CheckFailedError: As for `build_kit`.
    """
    kit = manifest.kit
    assert kit is not None
    trt = import_tensorrt(manifest.target)
    device = None if is_portable(trt) else find_device()
    _check_fit(trt, kit, device)
    narrate(f"building the engine with {describe(trt)}")
    plan, layers = _built(trt, read(kit.graph), manifest, kit, shown, device)
    bound = Binding(
        tensorrt=describe(trt),
        capabilities=kit.capabilities,
        device=device.name if device else None,
        cuda=device.cuda if device else None,
        version_compatible=kit.builder.version_compatible,
        hardware_compatible=kit.builder.hardware_compatible,
    )
    narrate("replaying the golden frames")
    found, not_replayed = None, None
    golden = Golden.parse(read(kit.golden), kit.golden)
    try:
        session = open_session(trt, plan, bound, shown)
        found, layers = _replayed(trt, session, kit, golden, layers)
    except BackendUnavailableError as error:
        not_replayed = error.reason
    told = _told(manifest, replace(kit, bound=bound, replay=found), plan, layers)
    _check_precision(told, kit, narrate)
    return Finished(plan=plan, manifest=told, not_replayed=not_replayed)


def _check_fit(trt: Any, kit: Kit, device: CudaDevice | None) -> None:
    """Refuse a device or a TensorRT that the kit is not made for."""
    if device is not None and device.capability not in kit.capabilities:
        named = ", ".join(f"SM{capability}" for capability in kit.capabilities)
        raise SpecError(
            f"This kit is made for {kit.device} ({named}), the {device.name} here is "
            f"SM{device.capability}. Export a kit for this device: see --device."
        )
    if kit.typed != is_strongly_typed(trt):
        raise SpecError(
            f"This kit is made for TensorRT {kit.tensorrt}, found {describe(trt)}: the one takes "
            "precisions from the graph, the other from builder flags. Export it again with "
            "--jetpack for the version that is here."
        )


def _built(
    trt: Any, graph: bytes, manifest: Manifest, kit: Kit, shown: Path, device: CudaDevice | None
) -> tuple[bytes, tuple[LayerRecord, ...]]:
    options = BuildOptions(
        precision=manifest.precision,
        float_layers=frozenset(kit.float_layers),
        capabilities=kit.capabilities if is_portable(trt) else (),
        settings=kit.builder,
        dla_core=0 if kit.dla else None,
    )
    requested = _requested(manifest)
    cache = shown.absolute().parent / timing_cache_name(trt, device) if device else None
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / kit.graph
        source.write_bytes(graph)
        made: Built = build(trt, source, Path(scratch), requested, options, timing_cache=cache)
        return (Path(scratch) / made.engine).read_bytes(), made.layers


def _replayed(
    trt: Any, session: Session, kit: Kit, golden: Golden, layers: tuple[LayerRecord, ...]
) -> tuple[Agreement, tuple[LayerRecord, ...]]:
    """Run the golden frames, refuse what is out of tolerance, and ask the engine for its layers."""
    try:
        found = replay(session, golden)
        layers = _inspected(trt, session, layers)
    finally:
        session.close()
    if out := list(kit.tolerance.shortfalls(found)):
        raise CheckFailedError(
            f"The engine does not compute what its FP32 graph does: {'; '.join(out)} (worst of "
            f"{found.frames} golden frames)."
        )
    return found, layers


def _inspected(
    trt: Any, session: Session, layers: tuple[LayerRecord, ...]
) -> tuple[LayerRecord, ...]:
    """What the engine says of itself, where it tells more than its builder's log did."""
    engine = getattr(session, "engine", None)
    if engine is None or all(layer.executed for layer in layers):
        return layers
    asked = {layer.name: layer.requested for layer in layers if layer.requested}
    try:
        return convolution_records(parse_inspector(inspect(trt, engine)), asked)
    except json.JSONDecodeError:
        return layers


def _requested(manifest: Manifest) -> dict[str, Precision]:
    return {layer.name: layer.requested for layer in manifest.layers if layer.requested}


def _told(manifest: Manifest, kit: Kit, plan: bytes, built: tuple[LayerRecord, ...]) -> Manifest:
    """The manifest of the engine that was built, and perhaps replayed."""
    found = {layer.name: layer for layer in built}
    layers = tuple(
        replace(found[layer.name], macs=layer.macs, computed=layer.computed)
        if layer.name in found
        else layer
        for layer in manifest.layers
    )
    assert kit.bound is not None
    tool, _, version = kit.bound.tensorrt.partition(" ")
    return replace(
        manifest,
        state=State.BUILT if kit.replay else State.UNCHECKED,
        kit=kit,
        layers=layers,
        executed=mac_shares(layers),
        agreement=kit.replay,
        files={**manifest.files, manifest.engine: hashlib.sha256(plan).hexdigest()},
        tools={**manifest.tools, tool.lower(): version},
    )


def _check_precision(manifest: Manifest, kit: Kit, narrate: Narrate) -> None:
    """Refuse an engine that runs too little in the precision that was asked for.

    A layer of which neither log nor inspector tells is no proof of a fault: it is named.
    """
    layers = [
        replace(layer, executed=layer.executed or layer.requested) for layer in manifest.layers
    ]
    if unknown := [layer.name for layer in manifest.layers if not layer.executed]:
        narrate(f"the engine does not tell what it executes of {', '.join(unknown)}")
    shortfall = int8_shortfall(
        manifest.precision, mac_shares(layers), layers, kit.min_int8_share
    ) or fp16_shortfall(manifest.precision, layers)
    if shortfall is not None:
        raise CheckFailedError(f"The engine runs in another precision than its graph: {shortfall}")
