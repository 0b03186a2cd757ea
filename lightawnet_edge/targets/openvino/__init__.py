"""OpenVINO on the CPU: engine, INT8 and probe."""

from __future__ import annotations

from dataclasses import replace

from lightawnet_edge.rewrites import Rewrites
from lightawnet_edge.specs import Precision, Scaling
from lightawnet_edge.targets.traits import Traits

_FLOAT = Rewrites(stacked=False, cells=True, tiled_head=True)

TRAITS = Traits(
    module="openvino",
    packages=("openvino",),
    install="Install it: pip install 'lightawnet-edge[openvino]'",
    backend="lightawnet_edge.targets.openvino.engine:OpenVinoBackend",
    quantizer="lightawnet_edge.targets.openvino.int8:OpenVinoDraft",
    probe="lightawnet_edge.targets.openvino.probe:OpenVinoProbe",
    rewrites={
        # BF16 and FP16 have no fast transposed convolution per channel.
        Precision.BF16: _FLOAT,
        Precision.FP16: _FLOAT,
        Precision.FP32: replace(_FLOAT, transposed=True),
        # Channels lie innermost in INT8 alone: in float, a run of pixels is a copy.
        Precision.INT8: replace(_FLOAT, transposed=True, gate_runs=True),
    },
    scaling=Scaling.PRODUCTS,
)
