"""INT8 in the representation of each target: a device graph and real frames in, a Q/DQ model out.

OpenVINO is quantized as an OpenVINO model by NNCF, ONNX Runtime as an ONNX graph by its own tool:
the detour of NNCF over ONNX gives other results in OpenVINO on the same frames. The tools place
quantizers and quantize weights, symmetric per channel; the ranges of activations are ours
(`ranges.py`), so that a method means the same for all. TensorRT gets an ONNX graph of its own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError, EdgeError
from lightawnet_edge.specs import Method, Target

if TYPE_CHECKING:
    import onnx

Frames = Callable[[], Iterable[UInt8]]
"""Starts over with each call: a quantizer reads the frames more than once."""

FLOAT_NODES = (r"/preprocess/.*", r"/network/attention/(MatMul|Softmax).*", r"out", r"/[^/]+")
"""Patterns of nodes that stay in float: preprocessing, whose range is the camera's; the softmax
attention; the last convolution; and the head after it, which has no module in its name. The head
matters: ONNX Runtime turns a float convolution between quantized neighbours into an integer one."""


class Draft(Protocol):
    """A graph whose quantizers are placed, and whose activations were counted."""

    def write(self, folder: Path, method: Method) -> Path:
        """Write the model with the ranges of a method into `folder`, and return its file."""


def draft(
    device_graph: Path, target: Target, frames: Frames, floats: Collection[str] = ()
) -> Draft:
    """Prepare a device graph for INT8: one pass over the frames serves every method.

    Memory does not grow with the number of frames.

    Args:
        device_graph: FP32 device graph.
        target: Decides the quantizer and the representation.
        frames: Set the ranges of activations: uint8, (H, W, 3) or (H, W).
        floats: Names of convolutions that stay in float, with what computes their kernels; for
            TensorRT these and others are found in the graph.

    Raises:
        BackendUnavailableError: The quantizer of `target` is not installed.
        ArtifactError: The quantizer refuses the graph.
    """
    from lightawnet_edge.targets.onnx.int8 import OnnxDraft
    from lightawnet_edge.targets.openvino.int8 import OpenVinoDraft
    from lightawnet_edge.targets.tensorrt.int8 import TensorRtDraft

    drafts: dict[Target, type[OnnxDraft | OpenVinoDraft | TensorRtDraft]] = {
        Target.OPENVINO: OpenVinoDraft,
        Target.ONNX: OnnxDraft,
        Target.TENSORRT: TensorRtDraft,
        Target.TENSORRT_RTX: TensorRtDraft,
    }
    with tool_errors(target, device_graph):
        return drafts[target](device_graph, frames, float_patterns(floats))


def quantize(
    device_graph: Path,
    folder: Path,
    target: Target,
    frames: Frames,
    floats: Collection[str] = (),
    method: Method = Method.MIN_MAX,
) -> Path:
    """Quantize a device graph to INT8 with one method, and return the model file in `folder`.

    Arguments and errors are those of `draft`.
    """
    prepared = draft(device_graph, target, frames, floats)
    with tool_errors(target, device_graph):
        return prepared.write(folder, method)


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
