"""INT8 for OpenVINO: NNCF places the quantizers and quantizes weights, the ranges are ours.

NNCF averages the extremes of frames by default. On the trained network that clipped what decides
masks: 1.6 % of the pixels changed, against 0.6 % with true extremes (docs/quantization.md).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightawnet_edge.calibration.ranges import LEVELS, Histogram, clip
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.machine.machine import int8_saturates
from lightawnet_edge.specs import Method

if TYPE_CHECKING:
    from lightawnet_edge.graph.quantization import Frames

FLOAT_NODES = (r".*/depthwise(/.*)?",)
"""Patterns that stay in float here beside those of every target: OpenVINO's CPU plugin has no
integer depthwise kernel for activations with a zero point, and quantizers around a float one cost
time for nothing."""


class OpenVinoDraft:
    """A model with quantizers, whose ranges are set when it is written."""

    def __init__(self, device_graph: Path, frames: Frames, floats: Sequence[str]) -> None:
        """Place quantizers, and count the values that reach them.

        Raises:
            BackendUnavailableError: NNCF or OpenVINO is not installed.
        """
        try:
            import nncf
            import openvino
        except ImportError as error:
            raise BackendUnavailableError(
                "openvino int8",
                f"{error}. Install it: pip install 'lightawnet-edge[openvino,export]'",
            ) from error
        nncf.set_log_level(logging.ERROR)
        first = next(iter(frames()))
        self._model = nncf.quantize(
            openvino.Core().read_model(device_graph),
            nncf.Dataset([first]),  # weights need no frames, and ranges are replaced
            subset_size=1,
            preset=nncf.QuantizationPreset.MIXED,  # LeakyReLU leaves negative values: asymmetric
            ignored_scope=nncf.IgnoredScope(patterns=[*floats, *FLOAT_NODES], validate=False),
            # On this network it changes no mask (docs/quantization.md).
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True,
                # Without VNNI products of two bytes are added in 16 bits: weights get 7 of theirs.
                overflow_fix=nncf.OverflowFix.ENABLE
                if int8_saturates()
                else nncf.OverflowFix.FIRST_LAYER,
            ),
        )
        sources = {_source(fq).get_friendly_name() for fq in _quantizers(self._model)}
        self._seen = _observe(openvino.Core().read_model(device_graph), sources, frames)

    def write(self, folder: Path, method: Method) -> Path:
        """Write the model with the ranges of a method, and return its file."""
        import openvino

        ranges = {name: clip(histogram, method) for name, histogram in self._seen.items()}
        for fq in _quantizers(self._model):
            for place, end in zip(
                (1, 2, 3, 4), ranges[_source(fq).get_friendly_name()] * 2, strict=True
            ):
                old = fq.input(place)
                constant = openvino.opset13.constant(
                    np.full(list(old.get_shape()), end, dtype=np.float32)
                )
                old.replace_source_output(constant.output(0))
        file = folder / "quantized.xml"
        openvino.save_model(self._model, file, compress_to_fp16=False)
        return file


def _quantizers(model: Any) -> list[Any]:
    """Quantizers of activations; those of weights read a constant."""
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    found = [fq for fq in found if _source(fq).get_type_name() not in ("Constant", "Convert")]
    assert all(fq.get_attributes()["levels"] == LEVELS for fq in found)
    return found


def _source(quantizer: Any) -> Any:
    return quantizer.input_value(0).get_node()


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
