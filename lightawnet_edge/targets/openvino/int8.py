"""INT8 for OpenVINO: quantizers where convolutions read, weights as integers, the ranges are ours.

A quantizer stands before every convolution and nowhere else: what is between two convolutions runs
in float, and fuses with one of them. Tools that also quantize sums, gates and resizes gave an
engine that was no more exact, and a tenth slower (docs/quantization.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightawnet_edge.calibration.ranges import Histogram, clip
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.machine.machine import int8_saturates
from lightawnet_edge.specs import Method
from lightawnet_edge.targets.openvino.convolutions import SAFE_PEAK, SUFFIX
from lightawnet_edge.targets.openvino.quantizers import (
    enter_as_bytes,
    quantize,
    source,
    store_integers,
)

if TYPE_CHECKING:
    from lightawnet_edge.graph.quantization import Frames

FLOAT_NODES = (r"u\d/(squeeze|excite)",)
"""Patterns that stay in float here beside those of every target: convolutions of one pixel, which
cost nothing and were the noisiest."""
_PEAK = 127
"""Greatest weight in integers, where the CPU adds products in 32 bits."""


class OpenVinoDraft:
    """A model whose convolutions are to be quantized, and the values that they read."""

    def __init__(self, device_graph: Path, frames: Frames, floats: Sequence[str]) -> None:
        """Count the values that convolutions read.

        Raises:
            BackendUnavailableError: OpenVINO is not installed.
        """
        try:
            import openvino
        except ImportError as error:
            raise BackendUnavailableError(
                "openvino int8", f"{error}. Install it: pip install 'lightawnet-edge[openvino]'"
            ) from error
        self._data = device_graph.read_bytes()
        self._floats = re.compile("|".join(f"(?:{one})" for one in (*floats, *FLOAT_NODES)))
        self._core = openvino.Core()
        model = self._core.read_model(self._data)
        names = {source(conv).get_node().get_friendly_name() for conv in self._convs(model)}
        self._seen = _observe(model, names, frames)

    def write(self, folder: Path, method: Method) -> Path:
        """Write the model with the ranges of a method, and return its file."""
        import openvino

        model = self._core.read_model(self._data)
        ranges = {name: clip(histogram, method) for name, histogram in self._seen.items()}
        peak = SAFE_PEAK if int8_saturates() else _PEAK
        convs = self._convs(model)
        for conv in convs:
            store_integers(conv, peak)
        entered = {conv: enter_as_bytes(conv) for conv in convs}
        sources = {source(conv): None for conv in convs if not entered[conv]}
        for one in sources:
            quantize(one, ranges[one.get_node().get_friendly_name()])
        file = folder / "quantized.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        return file

    def _convs(self, model: Any) -> list[Any]:
        """Convolutions that are quantized; grouped ones are of another type.

        OpenVINO has no integer kernel for those whose activations have a zero point.
        """
        return [
            node
            for node in model.get_ordered_ops()
            if node.get_type_name() == "Convolution"
            and not self._floats.fullmatch(node.get_friendly_name().removesuffix(SUFFIX))
        ]


def _observe(model: Any, names: set[str], frames: Frames) -> dict[str, Histogram]:
    """Run a float model, and count the values of the named nodes."""
    import openvino

    nodes = [node for node in model.get_ordered_ops() if node.get_friendly_name() in names]
    before = len(model.outputs)
    model.add_outputs([node.output(0) for node in nodes])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    seen = {node.get_friendly_name(): Histogram() for node in nodes}
    for frame in frames():
        request.infer([frame], share_inputs=True)
        for number, histogram in enumerate(seen.values(), before):
            histogram.add(request.get_output_tensor(number).data)
    return seen
