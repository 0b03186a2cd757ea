"""Checkpoint to bundle: resolve what is asked for, make the files, write the manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.layers import int8_shortfall, mac_shares
from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.bundle.manifest import Manifest, write_manifest
from lightawnet_edge.bundle.store import sha256_of, staged_folder
from lightawnet_edge.calibration.frames import tell_of
from lightawnet_edge.data.likeness import PRINTS, write_prints
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.export.judged import Judged, judge_frames
from lightawnet_edge.export.resolve import Resolved, resolve
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.export.standing import standing_bundle
from lightawnet_edge.machine.machine import machine_summary
from lightawnet_edge.progress import Narrate, OnStep
from lightawnet_edge.specs import State
from lightawnet_edge.targets.making import DEVICE_GRAPH

if TYPE_CHECKING:
    from lightawnet_edge.export.stages import Export

_OTHER_FRAMES = (
    "the packaged frames have not the border of this camera, and the region cuts into them: give "
    "frames of it with --calibration"
)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Where the bundle is, and whether this call built it."""

    bundle: Bundle
    built: bool


def export(
    spec: ExportSpec,
    *,
    narrate: Narrate = lambda _: None,
    on_step: OnStep = lambda _: None,
) -> ExportResult:
    """Make the bundle that `spec` asks for, unless it is there already.

    Args:
        spec: What to make.
        narrate: Told what goes on, and what is to be doubted.
        on_step: Told of each step of what takes seconds.

    Raises:
        SpecError: The request contradicts itself, the checkpoint, or a bundle of the same name; or
            another process writes that bundle; or the calibration frames show too little.
        ArtifactError: The checkpoint or a calibration frame cannot be read.
        BackendUnavailableError: The target cannot execute the precision here.
        CheckFailedError: The engine was built, but disagrees with the FP32 network, or too little
            of it runs in INT8; the second also of a bundle that stands there already.
    """
    resolved = resolve(spec)
    if spec.crop is not None and spec.crop.region is None:
        narrate(_proposed(resolved))
    with writing(resolved.path):
        return _export(resolved, narrate, on_step)


def _proposed(resolved: Resolved) -> str:
    """What `--crop auto` came to."""
    crop, frames = resolved.contract.crop, f"{len(resolved.calibration)} calibration frames"
    if crop is None:
        return f"the picture fills the frame in the {frames}: no region is cut out"
    return f"--crop {crop}: the field of view of {frames}"


def _export(resolved: Resolved, narrate: Narrate, on_step: OnStep) -> ExportResult:
    spec, path = resolved.spec, resolved.path
    if (standing := standing_bundle(path, resolved.inputs_sha256, spec)) is not None:
        _check_int8(standing.manifest, spec, f"The bundle '{path}' stands there")
        return ExportResult(standing, built=False)
    tell_of(resolved.calibration, narrate, masks=resolved.weighs_masks)
    if spec.calibration is None and resolved.contract.crop is not None:
        narrate(_OTHER_FRAMES)
    judged = judge_frames(resolved, narrate, on_step)
    from lightawnet_edge.export.stages import make  # torch: seconds, once nothing is refused

    with staged_folder(path) as folder:
        made = make(resolved, judged.judgement, folder, narrate, on_step)
        _write(folder, resolved, judged, made, narrate)
    return ExportResult(Bundle.open(path), built=True)


def _write(
    folder: Path, resolved: Resolved, judged: Judged, export: Export, narrate: Narrate
) -> None:
    """Write the manifest of a bundle whose files are there."""
    if resolved.calibrated is not None:
        write_prints(folder / PRINTS, judged.prints)
    manifest = _manifest(folder, resolved, judged, export)
    if resolved.prepared.finish is not None:
        manifest = resolved.prepared.finish(folder, manifest, resolved.path, narrate)
    _check_int8(manifest, resolved.spec, "No bundle was written")
    write_manifest(folder, manifest)


def _manifest(folder: Path, resolved: Resolved, judged: Judged, export: Export) -> Manifest:
    spec, made = resolved.spec, export.made
    return Manifest(
        name=resolved.path.name,
        target=spec.target,
        precision=spec.precision,
        routing=resolved.routing,
        contract=resolved.contract,
        engine=made.engine,
        device_graph=DEVICE_GRAPH,
        files={file.name: sha256_of(file) for file in sorted(folder.iterdir())},
        checkpoint=resolved.source,
        calibration=resolved.calibrated,
        executed=made.executed,
        agreement=made.agreement,
        inputs_sha256=resolved.inputs_sha256,
        tools=resolved.tools,
        machine=machine_summary(),
        layers=made.layers,
        state=made.state,
        kit=made.kit,
        chosen=export.chosen,
        judged=judged.record(export.mismatch),
        method=made.method,
    )


def _check_int8(manifest: Manifest, spec: ExportSpec, outcome: str) -> None:
    layers, executed, clause = manifest.layers, manifest.executed, ""
    if manifest.state is State.PENDING:  # an engine cannot do better than its graph asks for
        layers = tuple(replace(layer, executed=layer.requested) for layer in layers)
        executed, clause = mac_shares(layers), "If all runs as the graph asks, "
    shortfall = int8_shortfall(manifest.precision, executed, layers, spec.min_int8_share)
    if shortfall is not None:
        raise CheckFailedError(
            f"{manifest.name}: {clause}{shortfall} {outcome}; --min-int8-share 0 takes it as it "
            "is, for 'lightawnet-edge inspect' to look at."
        )
