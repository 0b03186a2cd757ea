"""INT8 models in one call, for tests that look at what a quantizer gives."""

from __future__ import annotations

from pathlib import Path

from lightawnet_edge.graph.quantization import Frames
from lightawnet_edge.specs import Method, Target
from lightawnet_edge.targets.quantize import draft


def quantize(
    device_graph: Path,
    folder: Path,
    target: Target,
    frames: Frames,
    method: Method = Method.MIN_MAX,
) -> Path:
    """The INT8 model of a device graph, by one method."""
    return draft(device_graph, target, frames).write(folder, method)
