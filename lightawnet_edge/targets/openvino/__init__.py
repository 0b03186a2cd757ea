"""OpenVINO on the CPU: engine, INT8 and probe."""

from __future__ import annotations

from lightawnet_edge.targets.traits import Traits

TRAITS = Traits(
    module="openvino",
    packages=("openvino", "nncf"),
    install="Install it: pip install 'lightawnet-edge[openvino]'",
    backend="lightawnet_edge.targets.openvino.engine:OpenVinoBackend",
    quantizer="lightawnet_edge.targets.openvino.int8:OpenVinoDraft",
    probe="lightawnet_edge.targets.openvino.probe:OpenVinoProbe",
    stacked=False,
    quantizes_with=("nncf",),
)
