"""Looking into OpenVINO's models, and putting single layers in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightawnet_edge.errors import SpecError
from lightawnet_edge.targets.base import PROBE
from lightawnet_edge.targets.openvino.convolutions import MOVERS, SUFFIX
from lightawnet_edge.targets.openvino.quantizers import ENTRY, SHIFT


class OpenVinoProbe:
    """A `Probe` of OpenVINO's models."""

    def results(self, engine: Path, layers: Sequence[str]) -> list[str]:
        """As for a `Probe`: the layers, by which both models name their convolutions."""
        return list(layers)

    def watch(self, model: Path, places: Sequence[str], file: Path) -> None:
        """As for a `Probe`."""
        import openvino

        network = openvino.Core().read_model(model)
        convs, shifts = _convs(network), _named(network, SHIFT)
        seen = [shifts.get(layer, convs[layer]).output(0) for layer in places]
        for number, output in enumerate(network.add_outputs(seen)):
            output.tensor.set_names({PROBE.format(number)})
        openvino.save_model(network, file, compress_to_fp16=False)

    def in_float(self, engine: Path, exact: Path, layer: str, file: Path) -> None:
        """As for a `Probe`."""
        import openvino

        core = openvino.Core()
        network = core.read_model(engine)
        conv = _convs(network).get(layer)
        value = _unquantized(conv, _named(network, ENTRY).get(layer)) if conv else None
        if conv is None or value is None:
            raise SpecError(f"'{layer}' is not quantized in '{engine}'.")
        original = _convs(core.read_model(exact))[layer]
        weights = openvino.opset13.constant(original.input_value(1).get_node().data)
        conv.input(0).replace_source_output(value)
        conv.input(1).replace_source_output(weights.output(0))
        shift = _named(network, SHIFT).get(layer)
        if shift is not None:
            none = np.zeros(list(shift.get_input_shape(1)), np.float32)
            shift.input(1).replace_source_output(openvino.opset13.constant(none).output(0))
        openvino.save_model(network, file, compress_to_fp16=False)


def _unquantized(conv: Any, entry: Any) -> Any:
    """What a convolution reads, as it was before its quantizer; None where there is none."""
    from openvino.utils.node_factory import NodeFactory

    if entry is not None:
        return entry.output(0)
    movers, node = [], conv.input_value(0).get_node()
    while node.get_type_name() in MOVERS:
        movers.append(node)
        node = node.input_value(0).get_node()
    if node.get_type_name() != "FakeQuantize":
        return None
    value = node.input_value(0)
    for mover in reversed(movers):  # copies: others read quantized values through these
        operands = [value, *mover.input_values()[1:]]
        copy = NodeFactory("opset13").create(
            mover.get_type_name(), operands, mover.get_attributes()
        )
        value = copy.output(0)
    return value


def _convs(network: Any) -> dict[str, Any]:
    """Convolutions by their name in the device graph."""
    return {
        node.get_friendly_name().removesuffix(SUFFIX): node
        for node in network.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "GroupConvolution")
    }


def _named(network: Any, suffix: str) -> dict[str, Any]:
    """Nodes of a suffix, by the convolution that they belong to."""
    return {
        name.removesuffix(suffix): node
        for node in network.get_ordered_ops()
        if (name := node.get_friendly_name()).endswith(suffix)
    }
