"""INT8 for ONNX Runtime: its own tool places Q/DQ pairs and quantizes weights, the ranges are ours.

The tool would keep every activation of every frame for the methods other than min-max.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightawnet_edge.calibration.ranges import Histogram, Range, clip
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.specs import Method

if TYPE_CHECKING:
    import onnx

    from lightawnet_edge.graph.quantization import Frames

_INPUT = "frame"


class OnnxDraft:
    """A device graph whose quantized tensors are known, and the values that they take."""

    def __init__(self, device_graph: Path, frames: Frames, floats: Sequence[str]) -> None:
        """Find out which tensors are quantized, and count their values."""
        import onnx

        self._graph = device_graph
        graph = onnx.load(device_graph, load_external_data=False).graph
        self._floats = [
            node.name
            for node in graph.node
            if any(re.fullmatch(pattern, node.name) for pattern in floats)
        ]
        self._first = next(iter(frames()))
        with tempfile.TemporaryDirectory() as scratch:
            drafted = onnx.load(self._quantized(Path(scratch), {}))
        self._seen = observe(device_graph, quantized_tensors(drafted.graph), frames)

    def write(self, folder: Path, method: Method) -> Path:
        """Write the model with the ranges of a method, and return its file."""
        ranges = {name: clip(histogram, method) for name, histogram in self._seen.items()}
        return self._quantized(folder, ranges)

    def _quantized(self, folder: Path, ranges: Mapping[str, Range]) -> Path:
        """Let the tool do its work; it wants a frame even where every range is given."""
        import numpy as np
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        given = {
            name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
            for name, (low, high) in ranges.items()
        }
        file = folder / "quantized.onnx"
        with tempfile.TemporaryDirectory() as scratch:
            aside = Path(scratch) / "graph.onnx"  # the tool writes its own files beside its input
            aside.write_bytes(self._graph.read_bytes())
            quantize_static(
                aside,
                file,
                frame_reader([self._first]),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                # Signed activations keep a third of the convolutions in float: no kernel for them.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=self._floats,
                extra_options={
                    "WeightSymmetric": True,
                    "ActivationSymmetric": False,
                    "TensorQuantOverrides": given,
                },
            )
        return file


def frame_reader(frames: Iterable[UInt8]) -> Any:
    """The frames as ONNX Runtime's calibration data reader, whose class is theirs to import."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc] # their class is untyped
        def __init__(self) -> None:
            self._frames = iter(frames)

        def get_next(self) -> dict[str, UInt8] | None:
            frame = next(self._frames, None)
            return None if frame is None else {_INPUT: frame}

    return Reader()


def quantized_tensors(graph: onnx.GraphProto) -> set[str]:
    """Float tensors that a quantizer reads, weights and biases left out."""
    constants = {tensor.name for tensor in graph.initializer}
    read = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    return read - constants


def observe(device_graph: Path, tensors: set[str], frames: Frames) -> dict[str, Histogram]:
    """Run the float graph, and count the values of the named tensors."""
    import onnx
    import onnxruntime

    model = onnx.load(device_graph)
    names = sorted(tensors)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    seen = {name: Histogram() for name in names}
    for frame in frames():
        found = session.run(names, {_INPUT: frame})
        for name, values in zip(names, found, strict=True):
            seen[name].add(values)
    return seen
