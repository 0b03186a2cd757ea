"""The trtexec line of each TensorRT, whole."""

from __future__ import annotations

import pytest

from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.tensorrt.devices import find_platform
from lightawnet_edge.targets.tensorrt.trtexec import trtexec_line

_COMMON = (
    "--noTF32 --memPoolSize=workspace:1024 --timingCacheFile=timing.cache "
    "--profilingVerbosity=detailed --dumpLayerInfo"
)
_FILES = "trtexec --onnx=fp16.onnx --saveEngine=engine.plan"
_GRAPH = "--useCudaGraph --useSpinWait"


@pytest.mark.parametrize(
    ("device", "jetpack", "expected"),
    [
        ("jetson-xavier", "5.1", f"{_FILES} --fp16 {_COMMON} {_GRAPH}"),
        ("jetson-orin", "6.2", f"{_FILES} --stronglyTyped {_COMMON} {_GRAPH}"),
        ("jetson-thor", "7.0", f"{_FILES} --stronglyTyped {_COMMON} {_GRAPH}"),
        ("jetson-orin", "7.2.2", f"{_FILES} {_COMMON} --includeDataTransfers"),
    ],
    ids=["8.5", "10.3", "10.13", "11.4"],
)
def test_the_line_fits_the_version(device: str, jetpack: str, expected: str) -> None:
    platform = find_platform(device, jetpack)
    line = trtexec_line(platform, Precision.FP16, graph="fp16.onnx", engine="engine.plan")
    assert line == expected


def test_8x_takes_int8_from_flags_and_holds_the_islands_in_float() -> None:
    line = trtexec_line(
        find_platform("jetson-orin", "5.1"),
        Precision.INT8,
        graph="int8 graph.onnx",
        engine="engine.plan",
        float_layers=["/network/attention/MatMul", "/network/attention/Softmax"],
    )
    assert line == (
        "trtexec '--onnx=int8 graph.onnx' --saveEngine=engine.plan --fp16 --int8 "
        "--precisionConstraints=obey --layerPrecisions=/network/attention/MatMul:fp32,"
        "/network/attention/Softmax:fp32 --layerOutputTypes=/network/attention/MatMul:fp32,"
        f"/network/attention/Softmax:fp32 {_COMMON} {_GRAPH}"
    )


def test_8x_takes_fp32_without_flags() -> None:
    line = trtexec_line(
        find_platform("jetson-orin", "6.0"), Precision.FP32, graph="g.onnx", engine="e.plan"
    )
    assert line == f"trtexec --onnx=g.onnx --saveEngine=e.plan {_COMMON} {_GRAPH}"


def test_the_dla_falls_back_to_the_gpu() -> None:
    line = trtexec_line(
        find_platform("jetson-orin"), Precision.FP16, graph="g.onnx", engine="e.plan", dla=True
    )
    assert " --useDLACore=0 --allowGPUFallback " in line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BuilderSettings(), "--noTF32 --memPoolSize=workspace:1024 --timingCacheFile=timing.cache"),
        (BuilderSettings(workspace_mib=256), "--noTF32 --memPoolSize=workspace:256 --timing"),
        (
            BuilderSettings(optimization_level=5, version_compatible=True),
            "workspace:1024 --builderOptimizationLevel=5 --versionCompatible --timingCacheFile",
        ),
        (
            BuilderSettings(hardware_compatible=True),
            "workspace:1024 --hardwareCompatibilityLevel=ampere+ --timingCacheFile",
        ),
    ],
)
def test_settings_of_the_builder_are_in_the_line(settings: BuilderSettings, words: str) -> None:
    line = trtexec_line(
        find_platform("jetson-orin"),
        Precision.FP16,
        graph="g.onnx",
        engine="e.plan",
        settings=settings,
    )
    assert words in line


def test_a_workstation_gpu_needs_no_trtexec() -> None:
    with pytest.raises(SpecError, match="built ahead of time, without trtexec"):
        trtexec_line(find_platform("rtx"), Precision.FP16, graph="g.onnx", engine="e.plan")
