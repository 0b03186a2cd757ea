"""Quantizers in an OpenVINO model: where they stand, and what else carries integers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lightawnet_edge.calibration.ranges import LEVELS, Range
from lightawnet_edge.targets.openvino.convolutions import MOVERS, SUFFIX

SHIFT = "/shift"
"""Suffix of what is added to the result of a convolution whose integers are off by a constant."""
ENTRY = "/exact"
"""Suffix of the float frame beside a convolution that reads the frame's bytes."""
_SHAPERS = MOVERS - {"Slice", "StridedSlice"}
"""Those that keep all values."""
_SCALERS = frozenset({"Add", "Divide", "Multiply", "Subtract"})
"""Operators of a normalization, whose second operand is a constant."""


def source(conv: Any) -> Any:
    """The tensor that a convolution reads, before what moves it to convolutions alone."""
    value = conv.input_value(0)
    while value.get_node().get_type_name() in MOVERS and all(map(_passes, _readers(value))):
        value = value.get_node().input_value(0)
    return value


def quantize(value: Any, ends: Range) -> None:
    """Put a quantizer between a tensor and the convolutions that read it.

    Where all of these are 1x1, it gives values from zero on, and their results are shifted: no
    integer kernel needs a zero point then.
    """
    from openvino import opset13 as ops

    low, high = ends
    readers = [reader for reader in _readers(value) if _passes(reader)]
    convs = [conv for reader in readers for conv in _convolved(reader.get_node())]
    lifted = low < 0 and all(_is_pointwise(conv) for conv in convs)
    given = (0.0, high - low) if lifted else ends
    constants = [np.float32(end) for end in (*ends, *given)]
    quantizer = ops.fake_quantize(value, *constants, LEVELS)
    quantizer.set_friendly_name(f"{value.get_node().get_friendly_name()}/quantized")
    for reader in readers:
        reader.replace_source_output(quantizer.output(0))
    if lifted:
        for conv in convs:
            _shift(conv, low)


def store_integers(conv: Any, peak: int) -> None:
    """Store a kernel as integers of up to `peak`, symmetric, with a step for each channel."""
    from openvino import opset13 as ops

    kernel = conv.input_value(1).get_node().data.astype(np.float64)
    step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / peak
    step[step == 0] = 1
    integers = ops.convert(ops.constant(np.rint(kernel / step).astype(np.int8)), "f32")
    dequantized = ops.multiply(integers, ops.constant(step.astype(np.float32)))
    conv.input(1).replace_source_output(dequantized.output(0))


def enter_as_bytes(conv: Any) -> bool:
    """Let a convolution read the frame's own bytes, where it reads nothing but their normalization.

    Its zero is the nearest byte: half a step off for a mean of 1/2. The result is shifted by as
    much, and so is what else reads the same tensor; but padding stands for that byte, too.

    Returns:
        Whether the convolution is one of these.
    """
    from openvino import opset13 as ops

    steps = _from_frame(conv)
    if steps is None:
        return False
    scale, offset = 1.0, 0.0
    for node in steps:
        scale, offset = _scaled(node, scale, offset)
    zero = float(np.clip(np.rint(-offset / scale), 0, LEVELS - 1))
    left = offset + zero * scale
    convert, last = steps[0], conv.input_value(0)
    others = [reader for reader in _readers(last) if reader.get_node() != conv]
    value = ops.subtract(convert, np.float32(zero))
    value = ops.multiply(value, np.float32(scale))
    value = ops.reshape(value, _rows(last), special_zero=False)
    value = ops.transpose(value, np.array([0, 3, 1, 2]))
    conv.input(0).replace_source_output(value.output(0))
    _shift(conv, left)
    shifted = ops.add(value, np.float32(left))
    shifted.set_friendly_name(conv.get_friendly_name().removesuffix(SUFFIX) + ENTRY)
    for reader in others:
        reader.replace_source_output(shifted.output(0))
    return True


def _from_frame(conv: Any) -> list[Any] | None:
    """The operators from the frame to a convolution, where each scales or moves every value."""
    found, value = [], conv.input_value(0)
    while (node := value.get_node()).get_type_name() in _SCALERS | _SHAPERS:
        found.append(node)
        value = node.input_value(0)
    if node.get_type_name() != "Convert":
        return None
    steps = [node, *reversed(found)]
    is_frame = node.input_value(0).get_node().get_type_name() == "Parameter"
    alone = all(len(_readers(one.output(0))) == 1 for one, _ in pairwise(steps))
    known = all(one.input_value(1).get_node().get_type_name() == "Constant" for one in found)
    return steps if is_frame and alone and known and _keeps_rows(steps) else None


def _keeps_rows(steps: list[Any]) -> bool:
    """Whether the moves on the way put pixel after pixel into channels, row by row."""
    first, last = steps[0].output(0), steps[-1].output(0)
    pixels = np.arange(np.prod(first.get_shape())).reshape(first.get_shape())
    moved = pixels
    for node in steps:
        if node.get_type_name() == "Transpose":
            moved = moved.transpose(node.input_value(1).get_node().data)
        elif node.get_type_name() in _SHAPERS:
            moved = moved.reshape(node.get_output_shape(0))
    return bool(np.array_equal(moved, pixels.reshape(_rows(last)).transpose(0, 3, 1, 2)))


def _rows(value: Any) -> Any:
    """Shape (1, H, W, C) of a tensor (1, C, H, W)."""
    batch, channels, height, width = value.get_shape()
    return np.array([batch, height, width, channels])


def _scaled(node: Any, scale: float, offset: float) -> tuple[float, float]:
    """Scale and offset after one more operator, which may be none that scales."""
    kind = node.get_type_name()
    if kind not in _SCALERS:
        return scale, offset
    operand = node.input_value(1).get_node().data
    number = float(operand.reshape(-1)[0])
    if kind in ("Add", "Subtract"):
        return scale, offset + (number if kind == "Add" else -number)
    factor = number if kind == "Multiply" else 1 / number
    return scale * factor, offset * factor


def _shift(conv: Any, offset: float) -> None:
    """Add to a convolution's result what it gives for a constant."""
    from openvino import opset13 as ops

    dequantized = conv.input_value(1).get_node()
    integers, step = (dequantized.input_value(place).get_node() for place in (0, 1))
    kernel = integers.input_value(0).get_node().data.astype(np.float64) * step.data
    change = offset * kernel.sum(axis=(1, 2, 3)).reshape(1, -1, 1, 1)
    readers = _readers(conv.output(0))
    shifted = ops.add(conv, ops.constant(change.astype(np.float32)))
    shifted.set_friendly_name(conv.get_friendly_name().removesuffix(SUFFIX) + SHIFT)
    for reader in readers:
        reader.replace_source_output(shifted.output(0))


def _readers(value: Any) -> list[Any]:
    """Inputs of nodes that a tensor goes to."""
    return sorted(value.get_target_inputs(), key=lambda one: one.get_node().get_friendly_name())


def _passes(reader: Any) -> bool:
    """Whether integers may go in: into a convolution, or into what moves them on."""
    kind = reader.get_node().get_type_name()
    return reader.get_index() == 0 and (kind == "Convolution" or kind in MOVERS)


def _convolved(node: Any) -> list[Any]:
    """The convolutions that a node is, or moves values to; other nodes that it does."""
    if node.get_type_name() not in MOVERS:
        return [node]
    return [conv for one in _readers(node.output(0)) for conv in _convolved(one.get_node())]


def _is_pointwise(node: Any) -> bool:
    """Whether a node is a convolution of stored integers that reads pixel by pixel."""
    return (
        node.get_type_name() == "Convolution"
        and node.input_value(1).get_node().get_type_name() == "Multiply"
        and list(node.input_value(1).get_shape())[2:] == [1, 1]
    )
