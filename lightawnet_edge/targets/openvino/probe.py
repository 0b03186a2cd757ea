"""Looking into OpenVINO's models, and putting single layers in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightawnet_edge.errors import SpecError
from lightawnet_edge.targets.base import PROBE


class OpenVinoProbe:
    """A `Probe` of OpenVINO's models."""

    def results(self, engine: Path, layers: Sequence[str]) -> list[str]:
        """As for a `Probe`: the layers, by which both models name their convolutions."""
        return list(layers)

    def watch(self, model: Path, places: Sequence[str], file: Path) -> None:
        """As for a `Probe`."""
        import openvino

        network = openvino.Core().read_model(model)
        convs = _convs(network)
        outputs = network.add_outputs([convs[layer].output(0) for layer in places])
        for number, output in enumerate(outputs):
            output.tensor.set_names({PROBE.format(number)})
        openvino.save_model(network, file, compress_to_fp16=False)

    def in_float(self, engine: Path, exact: Path, layer: str, file: Path) -> None:
        """As for a `Probe`."""
        import openvino

        core = openvino.Core()
        network = core.read_model(engine)
        conv = _convs(network).get(layer)
        quantizer = conv.input_value(0).get_node() if conv else None
        if conv is None or quantizer is None or quantizer.get_type_name() != "FakeQuantize":
            raise SpecError(f"'{layer}' is not quantized in '{engine}'.")
        original = _convs(core.read_model(exact))[layer]
        weights = openvino.opset13.constant(original.input_value(1).get_node().data)
        conv.input(0).replace_source_output(quantizer.input_value(0))
        conv.input(1).replace_source_output(weights.output(0))
        openvino.save_model(network, file, compress_to_fp16=False)


def _convs(network: Any) -> dict[str, Any]:
    """Convolutions by their name in the device graph."""
    return {
        node.get_friendly_name().removesuffix("/WithoutBiases"): node
        for node in network.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "GroupConvolution")
    }
