"""A kit: what a device needs to build an engine, and to tell whether it computes right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import Kit, Tolerance
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.codec import encode
from lightawnet_edge.data.likeness import find_matches
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.errors import SpecError
from lightawnet_edge.export.tensorrt import Request, TypedGraph, typed_graph, without_probability
from lightawnet_edge.graph.simulation import Runs, simulated
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import Method, Precision
from lightawnet_edge.targets.tensorrt.builder import ENGINE
from lightawnet_edge.targets.tensorrt.devices import RTX
from lightawnet_edge.targets.tensorrt.golden import GOLDEN, Golden, shows_lesion
from lightawnet_edge.targets.tensorrt.trtexec import trtexec_line

if TYPE_CHECKING:
    import onnx

TYPED_GRAPH = "typed.onnx"
GOLDEN_FRAMES = 4
_ROOM = 3.0
"""How much farther from FP32 than its simulation a good engine may be on the same frames. OpenVINO
with its integer kernels never was, of seven graphs on any four of 120 or 146 frames (2000 draws
each); with a factor 2 it was once in 67 of one graph's draws, with 1 in every fifth."""
_FLOOR = Tolerance(mean_abs_probability=1e-3, mask_disagreement=1e-3, dice=0.98)
"""What kernels may differ by where the simulation sees nothing, as in FP32."""
_LEAST_DICE = 0.5
"""An engine that finds less than that of a lesion's mask never passes, whatever is simulated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitOrder:
    """What a kit shall hold."""

    request: Request
    precision: Precision
    method: Method | None
    """Of INT8 ranges; None where the frames shall choose."""
    min_int8_share: float | None
    """Of the MACs that the device's engine must run in INT8; None: the usual."""
    contract: Contract
    calibration: CalibrationSet
    check: CalibrationSet
    """Frames that the typed graph is compared with FP32 on; some of them become golden."""
    device_graph: str
    """Name of the FP32 graph's file."""


def check_set(
    calibration: CalibrationSet, folder: Path | None, *, packaged: bool
) -> CalibrationSet:
    """Frames to compare graphs on.

    Args:
        calibration: The frames that set scales.
        folder: Yours; None: the packaged evaluation frames, or the calibration set where it is
            yours.
        packaged: Whether the calibration set is the packaged one.

    Raises:
        ArtifactError: There is no such folder.
        SpecError: It holds no image, or pictures of the calibration set.
    """
    if folder is not None:
        found = CalibrationSet.open(folder)
        if matches := find_matches(found.prints(), calibration.prints()):
            raise SpecError(
                f"--check '{folder}': {len(matches)} of {found.source.frames} frames are in the "
                f"calibration set, too, e.g. {matches[0]}. Give frames that it does not hold, or "
                "leave --check out."
            )
        return found
    if not packaged:
        return calibration
    apart = CalibrationSet.open(EVALUATION)
    return replace(apart, source=replace(apart.source, name="packaged evaluation frames"))


def make_kit(
    folder: Path, graph: onnx.ModelProto, order: KitOrder, narrate: Narrate
) -> tuple[Kit, TypedGraph]:
    """Write typed graph and golden frames beside the device graph.

    Args:
        folder: Holds the device graph's file.
        graph: The FP32 device graph with both outputs; what is written has those of the contract.
        order: What the kit shall hold.
        narrate: Told what is going on.

    Returns:
        The kit, and the graph that it was made from, with both outputs.

    Raises:
        CheckFailedError: The typed graph gives values that are not finite.
    """
    import onnx

    contract, platform = order.contract, order.request.platform
    frames = partial(order.calibration.frames, contract.frame, contract.color)
    check = partial(order.check.frames, contract.frame, contract.color)
    truths = partial(order.check.truths, contract.frame) if order.check.has_masks else None
    typed = typed_graph(
        graph, platform, order.precision, frames, check, narrate, truths=truths, method=order.method
    )
    golden = golden_of(_spread(order), simulated(graph))
    if not any(map(shows_lesion, golden.masks)):
        narrate("no check frame shows a lesion: the device cannot tell whether one is lost")
    tolerance = tolerance_for(golden, typed.simulation)
    if not contract.probability:
        golden = replace(golden, probabilities=None)
    golden.write(folder / GOLDEN)
    model, name = typed.model, TYPED_GRAPH
    if not contract.probability:
        onnx.save(without_probability(graph), folder / order.device_graph)
        model = without_probability(model)
    if typed.model is graph:
        name = order.device_graph
    else:
        onnx.save(model, folder / name)
    return _kit(typed, order, name, tolerance), typed


def golden_of(frames: Iterable[UInt8], run: Runs) -> Golden:
    """The first frames that show a lesion to the FP32 device graph, or any where these are few."""
    lesions: list[tuple[UInt8, UInt8, NDArray[np.float32]]] = []
    others: list[tuple[UInt8, UInt8, NDArray[np.float32]]] = []
    for frame in frames:
        given = (frame, *run(frame))
        if shows_lesion(given[1]):
            lesions.append(given)
        elif len(others) < GOLDEN_FRAMES:
            others.append(given)
        if len(lesions) == GOLDEN_FRAMES:
            break
    shown, masks, probabilities = zip(*(lesions + others)[:GOLDEN_FRAMES], strict=True)
    return Golden(
        frames=np.stack(shown), masks=np.stack(masks), probabilities=np.stack(probabilities)
    )


def tolerance_for(golden: Golden, simulation: Runs) -> Tolerance:
    """How far an engine may be from FP32 on any golden frame, from how far its simulation is."""
    masks, probabilities = zip(*map(simulation, golden.frames), strict=True)
    assert golden.probabilities is not None
    loss = 1 - min(golden.dices(masks), default=1.0)
    return Tolerance(
        mean_abs_probability=_FLOOR.mean_abs_probability
        + _ROOM * _worst(np.abs(np.stack(probabilities) - golden.probabilities)),
        mask_disagreement=_FLOOR.mask_disagreement
        + _ROOM * _worst(np.stack(masks) != golden.masks),
        dice=max(_LEAST_DICE, _FLOOR.dice - _ROOM * loss),
    )


def _worst(values: NDArray[Any]) -> float:
    """Mean over the pixels of the frame where it is largest; the first axis counts frames."""
    return float(values.mean(axis=tuple(range(1, values.ndim))).max())


def _spread(order: KitOrder) -> Iterator[UInt8]:
    """All check frames, those first that lie evenly among them."""
    step = max(1, len(order.check) // GOLDEN_FRAMES)
    for start in range(step):
        some = order.check.every(step, start)
        yield from some.frames(order.contract.frame, order.contract.color)


def _kit(typed: TypedGraph, order: KitOrder, graph: str, tolerance: Tolerance) -> Kit:
    request, platform = order.request, order.request.platform
    line = None
    if platform.device != RTX:
        line = trtexec_line(
            platform,
            order.precision,
            graph=graph,
            engine=ENGINE,
            float_layers=typed.float_layers,
            dla=request.dla,
            settings=request.builder,
        )
    return Kit(
        graph=graph,
        golden=GOLDEN,
        device=platform.device,
        jetpack=platform.jetpack,
        tensorrt=platform.tensorrt,
        capabilities=platform.capabilities,
        typed=platform.typed,
        float_layers=typed.float_layers,
        dla=request.dla,
        builder=request.builder,
        numerics={
            **encode(typed.numerics),
            "openvino": encode(typed.second),
            "on": encode(order.check.source),
        },
        tolerance=tolerance,
        min_int8_share=order.min_int8_share,
        trtexec=line,
    )
