"""What the quantizers of all toolchains share: frames, what stays in float, and how to call a tool.

OpenVINO is quantized as an OpenVINO model, by rules of our own; ONNX Runtime and TensorRT as ONNX
graphs, where ONNX Runtime's tool places quantizers. Weights are symmetric per channel; the ranges
of activations are ours (`calibration/ranges.py`), so that a method means the same for all.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError, EdgeError
from lightawnet_edge.specs import Precision

Frames = Callable[[], Iterable[UInt8]]
"""Starts over with each call: frames (H, W, 3) or (H, W), shaped like the graph's input."""

Masks = list[NDArray[np.bool_]]
MasksOf = Callable[[Path, Precision, Frames], Masks]
"""Runs a device graph, quantized or not, on frames."""

FLOAT_NODES = (
    r"/preprocess/.*",
    r"/network/attention/(MatMul|Softmax).*",
    r"out|out/border/.*|/network/out/.*",
    r"/mask/.*",
    r"/[^/]+",
)
"""Patterns of nodes that stay in float: preprocessing, whose range is the camera's; the softmax
attention; the last convolution, or the border of logits in tiles, and what adds these up; and what
is made of the logits, the mask and the probability. The latter matter: ONNX Runtime turns a float
convolution between quantized neighbours into an integer one."""


def float_patterns(convs: Collection[str] = ()) -> list[str]:
    """Patterns of all nodes that stay in float: `FLOAT_NODES`, these convolutions, their routing.

    A name is matched as a whole. A matrix product that mixes a kernel goes by its module's path,
    '/network/NAME/MatMul'.
    """
    names = [re.escape(name) for name in sorted(convs)]
    return [*FLOAT_NODES, *(f"(/network/)?{name}(/.*)?" for name in names)]


@contextlib.contextmanager
def tool_errors(target: str, device_graph: Path) -> Iterator[None]:
    """Keep a quantizer quiet, and turn what comes up from its depths into one sentence.

    Raises:
        ArtifactError: The quantizer raised something that is not ours.
    """
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
