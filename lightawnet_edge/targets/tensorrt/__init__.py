"""TensorRT, whose engines a device builds, and TensorRT-RTX, whose engines any machine builds."""

from __future__ import annotations

from dataclasses import replace

from lightawnet_edge.targets.tensorrt.devices import DEVICES, RTX, RTX_CAPABILITIES
from lightawnet_edge.targets.traits import Absent, Traits

_BUILDER_OPTIONS = frozenset(
    {
        "--check",
        "--must-build",
        "--workspace",
        "--opt-level",
        "--version-compatible",
        "--hardware-compatible",
    }
)

TRAITS = Traits(
    module="tensorrt",
    packages=("onnxruntime", "openvino"),
    install="It comes with JetPack (on a Jetson, make the virtual environment with "
    "--system-site-packages); on a workstation: pip install tensorrt",
    backend="lightawnet_edge.targets.tensorrt.engine:TensorRtBackend",
    quantizer="lightawnet_edge.targets.tensorrt.int8:TensorRtDraft",
    probe=Absent(
        "its engine shows no results of single layers. Export the same weights with --target "
        "openvino or onnx --int8 for a first answer."
    ),
    maker="lightawnet_edge.targets.tensorrt.kit:prepare",
    on_gpu=True,
    options=_BUILDER_OPTIONS | {"--device", "--jetpack", "--dla"},
    exports=f"kits for {', '.join(device for device in DEVICES if device != RTX)}",
    exports_with=("onnxruntime",),
)

RTX_TRAITS = replace(
    TRAITS,
    module="tensorrt_rtx",
    install="Install it: pip install 'lightawnet-edge[tensorrt-rtx]'",
    backend="lightawnet_edge.targets.tensorrt.engine:TensorRtRtxBackend",
    options=_BUILDER_OPTIONS,
    device=RTX,
    why_fixed="TensorRT-RTX engines are portable over the GPUs that they are built for",
    exports=f"engines for {', '.join(f'SM{sm}' for sm in RTX_CAPABILITIES)}",
    exports_with=("onnxruntime", "tensorrt_rtx"),
)
