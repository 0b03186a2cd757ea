"""INT8 for any target: a device graph and real frames in, a quantized model out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.graph.quantization import Frames, float_patterns, tool_errors
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.specs import Method, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import Draft


def draft(device_graph: Path, target: Target, frames: Frames) -> Draft:
    """Prepare a device graph for INT8; convolutions with a computed kernel stay in float.

    Args:
        device_graph: FP32 device graph.
        target: Decides the quantizer and the representation.
        frames: Set the ranges of activations: uint8, (H, W, 3) or (H, W).

    Raises:
        BackendUnavailableError: The quantizer of `target` is not installed.
        ArtifactError: The quantizer refuses the graph; so does `write` of what is returned.
    """
    import onnx

    quantizer = table.quantizer(target)
    with tool_errors(target, device_graph):
        computed = GraphView(onnx.load(device_graph, load_external_data=False)).computed
        prepared = quantizer(device_graph, frames, float_patterns(computed))
    return _Guarded(prepared, target, device_graph)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A draft whose tool is kept quiet, and whose errors are one sentence."""

    draft: Draft
    target: Target
    device_graph: Path

    def write(self, folder: Path, method: Method) -> Path:
        with tool_errors(self.target, self.device_graph):
            return self.draft.write(folder, method)
