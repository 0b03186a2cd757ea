"""INT8 in the representation of each target: a device graph and real frames in, a Q/DQ model out.

OpenVINO is quantized as an OpenVINO model by NNCF, ONNX Runtime as an ONNX graph by its own tool:
the detour of NNCF over ONNX gives other results in OpenVINO on the same frames.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError
from lightawnet_edge.frames import UInt8
from lightawnet_edge.specs import Target

if TYPE_CHECKING:
    import onnx

Frames = Callable[[], Iterable[UInt8]]
"""Starts over with each call: quantizers read the frames more than once."""

FLOAT_NODES = (r"/preprocess/.*", r"/network/attention/(MatMul|Softmax).*", r"out", r"/[^/]+")
"""Patterns of nodes that stay in float: preprocessing, whose range is the camera's; the softmax
attention; the last convolution; and the head after it, which has no module in its name. The head
matters: ONNX Runtime turns a float convolution between quantized neighbours into an integer one."""

_INPUT = "frame"


def quantize(
    device_graph: Path,
    folder: Path,
    target: Target,
    frames: Frames,
    floats: Collection[str] = (),
) -> Path:
    """Quantize a device graph to INT8, and return the model file in `folder`.

    Weights are symmetric per channel.

    Args:
        device_graph: FP32 device graph.
        folder: Where the model is written.
        target: Decides the quantizer and the representation.
        frames: Set the ranges of activations: uint8, (H, W, 3) or (H, W).
        floats: Names of convolutions that stay in float, with what computes their kernels.

    Raises:
        BackendUnavailableError: The quantizer of `target` is not installed.
        ArtifactError: The quantizer refuses the graph.
    """
    quantizers = {Target.OPENVINO: _with_nncf, Target.ONNX: _with_onnxruntime}
    with tool_errors(target, device_graph):
        return quantizers[target](device_graph, folder, frames, float_patterns(floats))


def computed_kernels(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the convolutions whose kernel is computed per frame: their routing is dynamic."""
    constants = {tensor.name for tensor in model.graph.initializer}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    return frozenset(node.name for node in convs if node.input[1] not in constants)


def float_patterns(convs: Collection[str] = ()) -> list[str]:
    """Patterns of all nodes that stay in float: `FLOAT_NODES`, these convolutions, their routing.

    NNCF calls a convolution 'NAME/WithoutBiases', and a matrix product that mixes a kernel goes by
    its module's path, '/network/NAME/MatMul'.
    """
    names = [re.escape(name) for name in sorted(convs)]
    return [*FLOAT_NODES, *(f"(/network/)?{name}(/.*)?" for name in names)]


@contextlib.contextmanager
def tool_errors(target: Target, device_graph: Path) -> Iterator[None]:
    """Keep a quantizer quiet, and turn what comes up from its depths into one sentence."""
    try:
        with _quiet():
            yield
    except EdgeError:
        raise
    except Exception as error:  # the tools raise whatever their depths raise
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ArtifactError(f"{target}: cannot quantize '{device_graph}': {reason}") from error


def _with_nncf(device_graph: Path, folder: Path, frames: Frames, floats: list[str]) -> Path:
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise BackendUnavailableError(
            "openvino int8", f"{error}. Install it: pip install 'lightawnet-edge[openvino,export]'"
        ) from error
    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(device_graph)
    count = sum(1 for _ in frames())
    quantized = nncf.quantize(
        model,
        nncf.Dataset(_Again(frames)),
        subset_size=count,
        preset=nncf.QuantizationPreset.MIXED,  # LeakyReLU leaves negative values: asymmetric
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(patterns=floats, validate=False),
    )
    file = folder / "quantized.xml"
    openvino.save_model(quantized, file, compress_to_fp16=False)
    return file


def _with_onnxruntime(
    device_graph: Path, folder: Path, frames: Frames, patterns: list[str]
) -> Path:
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    names = [node.name for node in onnx.load(device_graph, load_external_data=False).graph.node]
    floats = [name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)]
    file = folder / "quantized.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        aside = Path(scratch) / "graph.onnx"  # the tool writes its own files beside its input
        aside.write_bytes(device_graph.read_bytes())
        quantize_static(
            aside,
            file,
            frame_reader(frames),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Signed activations keep a third of the convolutions in float: no kernel takes them.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=floats,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
        )
    return file


class _Again:
    """An iterable that starts over, as NNCF expects of a data source."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[UInt8]:
        return iter(self._frames())


def frame_reader(frames: Frames) -> Any:
    """The frames as ONNX Runtime's calibration data reader, whose class is theirs to import."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc] # their class is untyped
        def __init__(self) -> None:
            self._frames = iter(frames())

        def get_next(self) -> dict[str, UInt8] | None:
            frame = next(self._frames, None)
            return None if frame is None else {_INPUT: frame}

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizers' progress bars and advice off stdout and the root logger."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
