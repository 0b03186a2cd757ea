"""Bundles whose engine is built where it is exported: quantized, built, compared with PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import mac_shares
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.graph.quantization import Frames, Masks
from lightawnet_edge.graph.simulation import OUTPUTS
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import Builder, Built
from lightawnet_edge.targets.making import DEVICE_GRAPH, Made, Order, Prepared, Request, conv_layers

_COMPARED_FRAMES = 4
_FP32_MASK_TOLERANCE = 1e-3
"""Share of pixels whose side of the threshold may differ between an exact FP32 engine and PyTorch.
Rewrites and kernels move logits by about 1e-5, and few pixels lie that close to the threshold."""


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
        CheckFailedError: An exact engine gives other masks than the network.
    """
    built, method = _engine(backend, request, order)
    layers = conv_layers(built.layers, order.graph)
    order.narrate("comparing the engine with the FP32 network")
    return Made(
        engine=built.engine,
        layers=layers,
        executed=mac_shares(layers),
        agreement=_agreement(backend, request, order, order.folder / built.engine),
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


def _agreement(
    backend: Builder, request: Request, order: Order, engine: Path
) -> Mapping[str, float]:
    """Compare the engine with the unlowered FP32 network on a few calibration frames."""
    contract = request.contract
    outputs = OUTPUTS if contract.probability else OUTPUTS[:1]
    frames = request.calibration.frames(contract.frame, contract.color)
    disagreement, difference = [], []
    session = backend.load(Engine.read(engine, request.precision), None)
    try:
        for frame in islice(frames, _COMPARED_FRAMES):
            mask, probability = order.reference(frame)
            found = session.infer(frame, outputs)
            disagreement.append(float(np.mean(found["mask"] != mask)))
            if contract.probability:
                difference.append(float(np.abs(found["probability"] - probability).mean()))
    finally:
        session.close()
    share = float(np.mean(disagreement))
    exact = request.precision is Precision.FP32 and not order.frozen
    if exact and not share <= _FP32_MASK_TOLERANCE:
        versions = ", ".join(f"{name} {known}" for name, known in order.tools.items())
        raise CheckFailedError(
            f"The FP32 engine's masks differ from PyTorch's in {share:.2%} of the pixels, expected "
            f"at most {_FP32_MASK_TOLERANCE:.1%}. No bundle was written; the versions were "
            f"{versions}."
        )
    means = {"mean_abs_probability": float(np.mean(difference))} if difference else {}
    return {"frames": len(disagreement), "mask_disagreement": share, **means}
