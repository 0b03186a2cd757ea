"""How far a typed graph is from its FP32 original, on real frames and without a GPU.

ONNX Runtime's CPU provider has no FP16 convolution: it computes in FP32, and drops the rounding
between two such nodes, so that neither the error nor an overflow shows. So an FP16 graph is first
rewritten into an FP32 one in which every FP16 tensor is rounded, and that one is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.frames import UInt8
from lightawnet_edge.intervals import mean_interval
from lightawnet_edge.metrics import score_mask
from lightawnet_edge.specs import Precision

if TYPE_CHECKING:
    import onnx

_MASK, _PROBABILITY = "mask", "probability"
Truths = Callable[[], Iterable[NDArray[np.bool_]]]
"""Starts over with each call: the true mask of every frame, in the order of the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """Differences between two device graphs over frames; probabilities lie in [0, 1]."""

    frames: int
    max_abs_probability: float
    """Largest difference at any pixel of any frame."""
    mean_abs_probability: float
    """Mean over pixels and frames."""
    mask_disagreement: float
    """Share of mask pixels that differ, mean over frames."""
    max_mask_disagreement: float
    """The same on the worst frame."""
    non_finite: int = 0
    """Probabilities that are NaN or infinite, over all frames; a kit is not made with any."""
    dice_fp32: float | None = None
    """Mean Dice of the FP32 graph; None where the frames have no masks, as all that follows."""
    dice_drop: float | None = None
    """Mean over frames of the Dice that FP32 has more on the same frame; negative is a gain."""
    dice_drop_low: float | None = None
    """Lower end of its 95 % interval."""
    dice_drop_high: float | None = None
    worst_dice_drop: float | None = None
    """The drop of the frame that loses most."""

    def to_json(self) -> dict[str, float | None]:
        """Plain values, for a manifest."""
        return asdict(self)


def compare(
    reference: onnx.ModelProto,
    candidate: onnx.ModelProto,
    frames: Callable[[], Iterable[UInt8]],
    truths: Truths | None = None,
) -> Numerics:
    """Run both graphs on each frame; FP16 tensors of the candidate are rounded, Q/DQ pairs kept.

    Args:
        reference: FP32 device graph with both outputs, mask and probability.
        candidate: The same graph, typed or quantized.
        frames: Starts over with each call; uint8, shaped like the graphs' input.
        truths: True masks, as many and as large as the frames; None where there are none.

    Raises:
        CheckFailedError: The candidate gives probabilities that are not finite; counted over all
            frames.
        SpecError: There are no frames.
    """
    exact, typed = _session(reference), _session(rounded(candidate))
    found: list[_Difference] = []
    broken: dict[int, int] = {}
    pairs = zip(frames(), truths() if truths else repeat(None), strict=truths is not None)
    for index, (frame, truth) in enumerate(pairs):
        expected = exact.run([_MASK, _PROBABILITY], _feed(exact, frame))
        given = typed.run([_MASK, _PROBABILITY], _feed(typed, frame))
        if count := int((~np.isfinite(given[1])).sum()):
            broken[index] = count
        else:
            found.append(_difference(expected, given, truth))
    if broken:
        raise CheckFailedError(
            f"The typed graph gives {sum(broken.values())} probabilities that are not finite on "
            f"frame {', '.join(map(str, broken))}. Calibrate on frames that include such a one, or "
            "export with --fp32."
        )
    if not found:
        raise SpecError("The numeric check needs frames, and there are none.")
    return _summary(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """What one frame shows; `dice` holds that of FP32 and that of the candidate."""

    worst: float
    mean: float
    disagreement: float
    dice: tuple[float, float] | None


def _difference(expected: Any, given: Any, truth: NDArray[np.bool_] | None) -> _Difference:
    error = np.abs(given[1] - expected[1])
    dice = None
    if truth is not None:
        exact, typed = (score_mask(one[0].astype(bool), truth).dice for one in (expected, given))
        dice = (exact, typed)
    return _Difference(
        worst=float(error.max()),
        mean=float(error.mean()),
        disagreement=float(np.mean(given[0] != expected[0])),
        dice=dice,
    )


def _summary(found: list[_Difference]) -> Numerics:
    scores = [one.dice for one in found if one.dice is not None]
    drops = [exact - typed for exact, typed in scores]
    drop = mean_interval(drops) if drops else None
    return Numerics(
        frames=len(found),
        max_abs_probability=max(one.worst for one in found),
        mean_abs_probability=float(np.mean([one.mean for one in found])),
        mask_disagreement=float(np.mean([one.disagreement for one in found])),
        max_mask_disagreement=max(one.disagreement for one in found),
        dice_fp32=float(np.mean([exact for exact, _ in scores])) if scores else None,
        dice_drop=None if drop is None else drop.mean,
        dice_drop_low=None if drop is None else drop.low,
        dice_drop_high=None if drop is None else drop.high,
        worst_dice_drop=max(drops, default=None),
    )


def run(model: onnx.ModelProto, frames: Iterable[UInt8]) -> Iterator[tuple[UInt8, Any]]:
    """Yield mask and probability of each frame, as a graph says, without any optimization."""
    session = _session(model)
    for frame in frames:
        mask, probability = session.run([_MASK, _PROBABILITY], _feed(session, frame))
        yield mask, probability


def simulated_masks(
    source: Path, _: Precision, frames: Callable[[], Iterable[UInt8]]
) -> list[NDArray[np.bool_]]:
    """Masks of a device graph's file, its Q/DQ pairs run as they stand, on this CPU."""
    import onnx

    return [mask > 0 for mask, _ in run(onnx.load(source), frames())]


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors alone
    # Optimized, Q/DQ pairs become integer convolutions with another rounding than TensorRT's.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _feed(session: Any, frame: UInt8) -> dict[str, UInt8]:
    return {session.get_inputs()[0].name: frame}


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """An FP32 graph that computes what an FP16 graph does: every FP16 tensor passes two casts.

    Sums inside a node are FP32, as in tensor cores. A graph without FP16 comes back as it is.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    typed = onnx.shape_inference.infer_shapes(model)
    halves = {
        value.name for value in typed.graph.value_info if value.type.tensor_type.elem_type == half
    }
    nodes: list[onnx.NodeProto] = []
    for source in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(source)
        if node.op_type == "Cast" and node.input[0] in halves:
            node.CopyFrom(helper.make_node("Identity", node.input, node.output, name=node.name))
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name not in halves:
                continue
            node.output[index] = f"{name}/exact"
            nodes.append(helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], to=half))
            nodes.append(helper.make_node("Cast", [f"{name}/half"], [name], to=single))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.value_info[:]
    result.graph.node.extend(nodes)
    for tensor in result.graph.initializer:
        if tensor.data_type == half:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return result
