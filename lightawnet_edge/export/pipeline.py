"""Checkpoint to bundle: lowering, device graph, precision, engine, manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.layers import int8_shortfall, mac_shares
from lightawnet_edge.bundle.manifest import Manifest, Source, write_manifest
from lightawnet_edge.bundle.store import digest_of, sha256_of, staged_folder
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.codec import encode
from lightawnet_edge.data.likeness import PRINTS, write_prints
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.export.kit import check_set
from lightawnet_edge.export.routing import plan_routing
from lightawnet_edge.export.spec import ExportSpec, contract_of, default_name
from lightawnet_edge.export.stages import DEVICE_GRAPH, Stages, tool_versions
from lightawnet_edge.export.standing import standing_bundle
from lightawnet_edge.export.tensorrt import finish_here, request_of
from lightawnet_edge.machine.machine import machine_summary
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.packaged import resolve
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import TENSORRT_TARGETS, Precision, Routing, State
from lightawnet_edge.targets import table


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Where the bundle is, and whether this call built it."""

    bundle: Bundle
    built: bool


def export(spec: ExportSpec, *, narrate: Narrate = lambda _: None) -> ExportResult:
    """Make the bundle that `spec` asks for, unless it is there already.

    Raises:
        SpecError: The request contradicts itself, the checkpoint, or a bundle of the same name.
        ArtifactError: The checkpoint or a calibration frame cannot be read.
        BackendUnavailableError: The target cannot execute the precision here.
        CheckFailedError: The engine was built, but disagrees with the FP32 network, or too little
            of it runs in INT8; the second also of a bundle that stands there already.
    """
    backend = None
    if spec.target not in TENSORRT_TARGETS:  # their engines may be built elsewhere
        backend = table.get_for(spec.target, spec.precision)
    checkpoint = resolve(spec.weights)
    meta = read_metadata(checkpoint)
    contract = contract_of(spec, checkpoint.stem, meta)
    routing = spec.routing_for(meta.experts)
    freezes = routing is not Routing.DYNAMIC and meta.experts > 1
    calibration = CalibrationSet.open(spec.calibration)
    request = request_of(spec, routing)
    check = check_set(calibration, spec.tensorrt.check, packaged=spec.calibration is None)
    # FP16 for TensorRT leaves in FP32 what overflows on calibration frames.
    typed = request is not None and spec.precision is Precision.FP16
    is_calibrated = freezes or typed or spec.precision is Precision.INT8
    calibrated = calibration.source if is_calibrated else None
    source = Source(name=checkpoint.stem, sha256=sha256_of(checkpoint))
    tools = {**tool_versions(), **(request.tools if request else {})}
    auto = {}
    if routing is Routing.AUTO or spec.max_dice_drop is not None:
        auto = {"auto": [spec.max_dice_drop, calibration.listed.masks_digest()]}
    kit = {}
    if request is not None:
        frames = [check.source.sha256, check.listed.masks_digest()]
        kit = {"kit": [repr(request), *frames, spec.min_int8_share]}
    inputs = digest_of(
        {
            "target": str(spec.target),
            "precision": str(spec.precision),
            "routing": str(routing),
            "contract": encode(contract),
            "checkpoint": source.sha256,
            "calibration": calibrated and calibrated.sha256,
            "tools": tools,
            **kit,
            **auto,
            **({"method": str(spec.method)} if spec.precision is Precision.INT8 else {}),
        }
    )
    unusual = routing if meta.experts > 1 and routing is not spec.usual_routing else None
    path = spec.out / (
        spec.name
        or default_name(spec, checkpoint, contract, unusual, request.label if request else None)
    )
    if (standing := standing_bundle(path, inputs, spec)) is not None:
        _check_int8(standing.manifest, spec, f"The bundle '{path}' stands there")
        return ExportResult(standing, built=False)

    _tell_of(calibration, narrate, masks=bool(auto))
    if request is not None and check is not calibration:
        _tell_of(check, narrate, masks=True)
    network = load_checkpoint(checkpoint)
    # A kit is checked by its probability, whether or not its engine gives one.
    traced = replace(contract, probability=True) if request else contract
    with staged_folder(path) as folder:
        plan = plan_routing(network, routing, contract, calibration, spec.routing_budget, narrate)
        spent = plan.chosen.dice_drop if plan.chosen else 0.0
        stages = Stages(spec, traced, calibration, network, backend, narrate, plan.frozen, spent)
        graph = stages.device_graph(folder)
        made = stages.kit(folder, graph, request, check) if request else stages.made(folder, graph)
        if is_calibrated:
            write_prints(folder / PRINTS, calibration.prints())
        files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
        manifest = Manifest(
            name=path.name,
            target=spec.target,
            precision=spec.precision,
            routing=routing,
            contract=contract,
            engine=made.engine,
            device_graph=DEVICE_GRAPH,
            files=files,
            checkpoint=source,
            calibration=calibrated,
            executed=made.executed,
            agreement=made.agreement,
            inputs_sha256=inputs,
            tools=tools,
            machine=machine_summary(),
            layers=made.layers,
            state=made.state,
            kit=made.kit,
            chosen=plan.chosen,
            method=made.method,
        )
        if request is not None and request.builds_here:
            manifest = finish_here(folder, manifest, path, narrate)
        _check_int8(manifest, spec, "No bundle was written")
        write_manifest(folder, manifest)
    return ExportResult(Bundle(path, manifest), built=True)


def _tell_of(frames: CalibrationSet, narrate: Narrate, *, masks: bool) -> None:
    """Say what lies beside these frames and is not used, and what is to be doubted of masks."""
    doubts = frames.listed.mask_doubts() if masks else []
    for text in (*describe_unused(frames.listed.unused), *doubts):
        narrate(text)


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
