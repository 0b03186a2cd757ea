"""The scaling of frames and masks as the CPU plugin runs it fastest; exact, as what it replaces.

The plugin multiplies bytes where quantizers say that they are bytes, keeps rows of pixels in their
order where a convolution made them, and then interpolates whole rows at once. It takes pixels
apart, row by row and layer by layer, where it is asked for a transposition and a Resize.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FRAME, MASK = "/preprocess/", "/mask/"
"""What the names of nodes begin with that scale the frame, and its mask."""
_VECTOR = 16
"""Channels that fill a vector."""
_MAX_BILINEAR = 2
"""Shrinking by more than this is no interpolation alone."""
_FINEST = 2.0**-100
"""Logits that are nearer to the threshold than 255 of this, and less, may become gray: float32
logits of a network are equal to it or farther away."""


def scales(name: str) -> bool:
    """Whether a node of this name belongs to the scaling, and not to the network."""
    return name.startswith((FRAME, MASK))


def specialize(model: Any) -> None:
    """Rewrite the products that scale frames and masks, in place; other models stay as they are."""
    _sum_boxes(model)
    _compare_rows(model)


def _sum_boxes(model: Any) -> None:
    """Sum boxes of bytes by strided convolutions of integers, one for each plane of a frame."""
    places: dict[str, list[Any]] = {}
    for node in model.get_ordered_ops():
        before, found, _ = node.get_friendly_name().partition("/boxes/")
        if found and node.get_type_name() != "Constant":
            places.setdefault(f"{before}{found}", []).append(node)
    for place, nodes in places.items():
        _convolve(place, nodes)


def _convolve(place: str, nodes: list[Any]) -> None:
    """Put a convolution over runs of pixels in the place of what makes sums of a plane."""
    import openvino.opset13 as op

    source, last = nodes[0].input_value(0), nodes[-1]
    made = {node.get_type_name(): node for node in nodes}
    if source.get_element_type().get_type_name() != "u8" or not {"MatMul", "ReduceSum"} & {*made}:
        return
    rows, values = last.output(0).get_shape()
    down = made["ReduceSum"].input_value(0).get_shape()[1] if "ReduceSum" in made else 1
    across, channels = _runs(made.get("MatMul"), values)
    runs = _constant([1, rows * down, values // channels, across * channels])
    x = op.transpose(op.reshape(source, runs, False), _constant([0, 3, 1, 2]))
    x = _quantizer(op.convert(x, "f32"), 0, 255)
    ones = np.tile(np.eye(channels, dtype=np.float32), across)[:, :, None, None].repeat(down, 2)
    kernel = _quantizer(op.constant(ones), -127, 127, levels=255)
    x = op.convolution(x, kernel, [down, 1], [0, 0], [0, 0], [1, 1])
    x = op.transpose(x, _constant([0, 2, 3, 1]))
    _replace(last, op.reshape(x, _constant([rows, values]), False), place)


def _runs(product: Any, values: int) -> tuple[int, int]:
    """Pixels of a run and values of a pixel, from the ones that a product adds runs with.

    Where there is no product, rows are added as they are: any number of values may be a pixel.
    """
    if product is None:
        return 1, max(count for count in range(1, _VECTOR + 1) if values % count == 0)
    ones = product.input_value(1).get_node().data
    channels = int(ones[:, 0].nonzero()[0][1])  # how far it is to the next value of a kind
    return ones.shape[0] // ones.shape[1], channels


def _compare_rows(model: Any) -> None:
    """Interpolate rows with all their columns as channels, and make bytes of them on the way."""
    import openvino.opset13 as op

    nodes = {one.get_friendly_name(): one for one in model.get_ordered_ops()}
    first, above = (nodes.get(f"{MASK}{name}") for name in ("rows/Gather", "GreaterOrEqual"))
    if first is None or above is None:
        return
    last = _reader(_reader(above))  # a cast, and the product with 255
    source, (height, width) = first.input_value(0), above.output(0).get_shape()
    count = source.get_shape()[0]
    if count > _MAX_BILINEAR * height:
        return
    x = op.reshape(source, _constant([1, count, 1, width]), False)
    x = op.transpose(x, _constant([0, 3, 1, 2]))
    # Changes nothing but the order in which the plugin keeps what follows: channels last.
    ones = op.constant(np.ones((width, 1, 1, 1, 1), np.float32))
    x = op.group_convolution(x, ones, [1, 1], [0, 0], [0, 0], [1, 1])
    x = op.interpolate(
        x, _constant([height, 1]), "linear_onnx", "sizes", axes=_constant([2, 3]),
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    low, *ends = (op.constant(np.float32(end)) for end in (-255 * _FINEST, 0, 0, 255))
    x = op.convert(op.fake_quantize(x, low, *ends, 256), "u8")
    x = op.transpose(x, _constant([0, 2, 3, 1]))
    _replace(last, op.reshape(x, _constant([height, width]), False), MASK)


def _reader(node: Any) -> Any:
    """The one node that reads another."""
    (found,) = node.output(0).get_target_inputs()
    return found.get_node()


def _quantizer(x: Any, low: float, high: float, levels: int = 256) -> Any:
    """What tells the plugin that these are whole numbers; it changes none of them."""
    import openvino.opset13 as op

    ends = [op.constant(np.float32(end)) for end in (low, high)]
    return op.fake_quantize(x, *ends, *ends, levels)


def _constant(values: list[int]) -> Any:
    import openvino.opset13 as op

    return op.constant(np.array(values, np.int64))


def _replace(old: Any, new: Any, place: str) -> None:
    """Give all that read a node another; what led to the new one gets names of a place."""
    pending, names = [new], old.output(0).get_names()
    while pending:
        node = pending.pop()
        if scales(node.get_friendly_name()) or node.get_type_name() in ("Constant", "Parameter"):
            continue
        node.set_friendly_name(f"{place}{node.get_friendly_name()}")
        pending += [value.get_node() for value in node.input_values()]
    for reader in old.output(0).get_target_inputs():
        reader.replace_source_output(new.output(0))
    new.output(0).set_names(names)
