"""ONNX Runtime on the CPU: engine, INT8 and probe."""

from __future__ import annotations

from lightawnet_edge.rewrites import Rewrites
from lightawnet_edge.specs import Precision, Scaling
from lightawnet_edge.targets.traits import Traits

TRAITS = Traits(
    module="onnxruntime",
    packages=("onnxruntime",),
    install="Install it: pip install 'lightawnet-edge[onnx]'",
    backend="lightawnet_edge.targets.onnx.engine:OnnxRuntimeBackend",
    quantizer="lightawnet_edge.targets.onnx.int8:OnnxDraft",
    probe="lightawnet_edge.targets.onnx.probe:OnnxProbe",
    rewrites={
        Precision.FP32: Rewrites(cells=True, tiled_head=True),
        Precision.INT8: Rewrites(cells=True, wide_cells=True, tiled_head=True),
    },
    scaling=Scaling.INTEGERS,
)
