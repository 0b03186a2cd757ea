"""Bundles whose engine is built where it is exported: quantized, built, compared with PyTorch."""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import mac_shares
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.graph.quantization import Frames, Masks
from lightawnet_edge.graph.simulation import OUTPUTS
from lightawnet_edge.progress import Stage
from lightawnet_edge.scores.agreement import Agreement, Comparison
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import Builder, Built
from lightawnet_edge.targets.making import DEVICE_GRAPH, Made, Order, Prepared, Request, conv_layers

_COMPARED_FRAMES = 16


def prepare(request: Request) -> Prepared:
    """Prepare an engine that this machine builds and runs.

    Raises:
        BackendUnavailableError: The toolchain is missing, or cannot execute the precision here.
    """
    backend = table.builder_for(request.target, request.precision)
    return Prepared(
        contract=request.contract,
        calibrated=request.precision is Precision.INT8,
        make=partial(_make, backend, request),
    )


def _make(backend: Builder, request: Request, order: Order) -> Made:
    """Build the engine, and compare it with the FP32 network.

    Raises:
        CheckFailedError: The engine is farther from the network than its limits allow.
    """
    built, method = _engine(backend, request, order)
    layers = conv_layers(built.layers, order.graph)
    order.narrate("comparing the engine with the FP32 network")
    agreement = _agreement(backend, request, order, order.folder / built.engine)
    _check(agreement, request, order)
    return Made(
        engine=built.engine,
        layers=layers,
        executed=mac_shares(layers),
        agreement=agreement,
        method=method,
    )


def _engine(backend: Builder, request: Request, order: Order) -> tuple[Built, MethodRecord | None]:
    """Quantize where the precision asks for it, and build."""
    graph, record = order.folder / DEVICE_GRAPH, None
    with tempfile.TemporaryDirectory() as scratch:
        if request.precision is Precision.INT8:
            masks = partial(engine_masks, backend)
            graph, record = order.quantize(graph, Path(scratch), masks)
        order.narrate(f"building the {request.target} engine")
        return backend.build(graph, order.folder, request.precision), record


def engine_masks(backend: Builder, source: Path, precision: Precision, frames: Frames) -> Masks:
    """Masks by an engine that is built here and now."""
    with tempfile.TemporaryDirectory() as folder:
        built = backend.build(source, Path(folder), precision)
        session = backend.load(Engine.read(Path(folder) / built.engine, precision), None)
        try:
            return [session.infer(frame, ("mask",))["mask"] > 0 for frame in frames()]
        finally:
            session.close()


def _agreement(backend: Builder, request: Request, order: Order, engine: Path) -> Agreement:
    """Compare the engine with the unlowered FP32 network on calibration frames, evenly spaced."""
    contract = request.contract
    outputs = OUTPUTS if contract.probability else OUTPUTS[:1]
    step = max(1, len(request.calibration) // _COMPARED_FRAMES)
    frames = request.calibration.every(step, 0).frames(contract.camera)
    count = min(len(request.calibration), _COMPARED_FRAMES)
    stage = Stage("comparing with FP32", count, order.on_step)
    comparison = Comparison()
    session = backend.load(Engine.read(engine, request.precision), None)
    try:
        for frame in stage.over(islice(frames, count)):
            mask, probability = order.reference(frame)
            found = session.infer(frame, outputs)
            comparison.add((mask, probability), (found["mask"], found.get("probability")))
    finally:
        session.close()
    return comparison.agreement()


def _check(found: Agreement, request: Request, order: Order) -> None:
    exact = request.precision is Precision.FP32 and not order.frozen
    if out := list(request.limits.agreement(exact=exact).shortfalls(found)):
        versions = ", ".join(f"{name} {known}" for name, known in order.tools.items())
        remedy = (
            ""
            if exact
            else (
                " Give calibration frames of the kind that the network was trained on, export with "
                "--fp32, or take it as it is with --max-disagreement 1."
            )
        )
        raise CheckFailedError(
            f"The {str(request.precision).upper()} engine is not what its network is in PyTorch, "
            f"on {found.frames} calibration frames: {'; '.join(out)}. No bundle was written; the "
            f"versions were {versions}.{remedy}"
        )
