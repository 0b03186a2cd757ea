"""The convolutions of an OpenVINO model: what each is asked for, and whether its integers fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lightawnet_edge.bundle.layers import CONVOLUTION
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.base import kind_of
from lightawnet_edge.targets.openvino.scaling import scales

# The ONNX reader splits Conv with a bias into a convolution of this suffix and an addition.
SUFFIX = "/WithoutBiases"
MOVERS = frozenset({"Reshape", "Slice", "Squeeze", "StridedSlice", "Transpose", "Unsqueeze"})
"""Operators that move values and change none."""
_KEEPERS = MOVERS | {"Convert", "MaxPool", "Split", "VariadicSplit"}
"""Operators through which integers reach a convolution, whatever they are called on the way."""
_SCALERS = frozenset({"Multiply", "Subtract"})
"""The same where the other operand is a constant: scale and zero point."""
SAFE_PEAK = 64
"""Greatest weight with which two products of 255 fit into 16 bits with a sign."""


def asked(model: Any, unquantized: Precision) -> dict[str, Precision]:
    """Each convolution of a model, by its name in the device graph, to what it is asked for."""
    return {
        name: Precision.INT8 if _is_integer(op) else unquantized
        for name, op in _convolutions(model)
    }


def refuse_saturation(model: Any) -> None:
    """Refuse a model whose integer products may saturate on a CPU that adds them in 16 bits.

    Raises:
        BackendUnavailableError: Of some convolution, integers are multiplied by weights that need
            8 bits.
    """
    wide = [name for name, op in _convolutions(model) if _is_integer(op) and _peak(op) > SAFE_PEAK]
    if wide:
        raise BackendUnavailableError(
            "openvino int8",
            "this CPU has no VNNI and adds products of 8-bit integers in 16 bits, where those of "
            f"{len(wide)} convolutions may saturate, e.g. '{wide[0]}'. Export the bundle on such a "
            "CPU, where weights get 7 bits, or with --target onnx.",
        )


def _convolutions(model: Any) -> Iterator[tuple[str, Any]]:
    """Those of the network: what sums the frame's bytes by ones is none of them."""
    for op in model.get_ordered_ops():
        name = op.get_friendly_name()
        if kind_of(op.get_type_name()) == CONVOLUTION and not scales(name):
            yield name.removesuffix(SUFFIX), op


def _is_integer(convolution: Any) -> bool:
    """Whether frame and kernel both come from a quantizer, or from stored integers."""
    return all(_is_quantized(_origin(convolution.input_value(place))) for place in (0, 1))


def _origin(value: Any) -> Any:
    """The node that a tensor's integers come from."""
    node = value.get_node()
    while node.get_type_name() in _KEEPERS or _scales(node):
        node = node.input_value(0).get_node()
    return node


def _scales(node: Any) -> bool:
    if node.get_type_name() not in _SCALERS:
        return False
    return bool(_origin(node.input_value(1)).get_type_name() == "Constant")


def _is_quantized(node: Any) -> bool:
    if node.get_type_name() in ("Constant", "Parameter"):  # a frame comes as bytes
        return node.get_output_element_type(0).get_type_name() in ("i8", "u8")
    return bool(node.get_type_name() == "FakeQuantize")


def _peak(convolution: Any) -> int:
    """Greatest magnitude of a kernel's integers; all that 8 bits hold where they are not stored."""
    node = _origin(convolution.input_value(1))
    if node.get_type_name() != "Constant":
        return 128
    return int(np.abs(node.data.astype(np.int16)).max(initial=0))
