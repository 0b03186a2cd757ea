"""The TensorRT builder with the real TensorRT-RTX: the shipped network parses, is typed, builds.

A green build proves the parser, the typing and the precision plan, not numerics or speed: kernels
are compiled on a GPU, when the engine is loaded.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import tensorrt_rtx as trt
import torch

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.pixels import fit
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.graph.device_graph import OPSET, DeviceModel, to_onnx
from lightawnet_edge.graph.typed import islands, to_fp16
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS, resolve
from lightawnet_edge.model.routing import mean_routing
from lightawnet_edge.specs import ColorOrder, Normalization, Precision, Routing, Size, Target
from lightawnet_edge.targets.tensorrt.builder import (
    ENGINE,
    build,
    build_plan,
    import_tensorrt,
    timing_cache_name,
)
from lightawnet_edge.targets.tensorrt.int8 import float_convs
from lightawnet_edge.targets.tensorrt.log import convolution_records
from lightawnet_edge.targets.tensorrt.options import (
    BuildOptions,
    capabilities,
    configure,
    describe,
    weak_flags,
)
from tests.targets.drafts import quantize
from tests.targets.graphs import quantized_conv

FRAMES = (Size(256, 256), Size(352, 352), Size(1080, 1920))
SHOWN = (86, 89, 120)
SM86 = BuildOptions(capabilities=(86,))


def contract(frame: Size) -> Contract:
    return Contract(
        frame=frame,
        color=ColorOrder.RGB,
        network=frame if frame.height == frame.width else FRAMES[0],
        normalization=Normalization(),
        threshold=0.5,
        probability=True,
    )


@cache
def fp32_graph(routing: Routing, frame: Size) -> onnx.ModelProto:
    network = load_checkpoint(resolve(DEFAULT_WEIGHTS))
    frozen = None
    if routing is Routing.STATIC:
        image = torch.from_numpy(fit(CalibrationSet.open(None).listed.files[0].read(), frame))
        frozen = mean_routing(network, [DeviceModel(network, contract(frame)).preprocess(image)])
    return to_onnx(lower(network, frozen), contract(frame))


@cache
def int8_graph(routing: Routing, frame: Size) -> onnx.ModelProto:
    image = fit(CalibrationSet.open(None).listed.files[0].read(), frame)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "device.onnx"
        onnx.save(fp32_graph(routing, frame), source)
        return onnx.load(quantize(source, Path(folder), Target.TENSORRT, lambda: [image]))


@cache
def typed_graph(routing: Routing, frame: Size, precision: Precision) -> onnx.ModelProto:
    if precision is Precision.FP32:
        return fp32_graph(routing, frame)
    graph = (int8_graph if precision is Precision.INT8 else fp32_graph)(routing, frame)
    return to_fp16(graph, islands(graph, {}))


def records(graph: onnx.ModelProto, options: BuildOptions = SM86) -> tuple[LayerRecord, ...]:
    plan = build_plan(trt, graph.SerializeToString(), options)
    return convolution_records(plan.layers, GraphView(graph).asked)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8], ids=str)
@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("routing", [Routing.DYNAMIC, Routing.STATIC], ids=str)
def test_the_shipped_network_executes_what_its_graph_asks_for(
    routing: Routing, frame: Size, precision: Precision
) -> None:
    graph = typed_graph(routing, frame, precision)
    # One engine for all three; the builder's log tells of one of them, the next test of each.
    found = records(graph, BuildOptions(capabilities=SHOWN))
    assert len(found) == sum(node.op_type == "Conv" for node in graph.graph.node)
    wide = float_convs(fp32_graph(routing, frame))
    for record in found:
        assert record.executed is not None, f"the log says nothing of {record.name}"
        if precision is Precision.FP32 or wide.get(record.name) == "it works on one pixel":
            assert record.executed is Precision.FP32
        else:
            quantized = precision is Precision.INT8 and record.name not in wide
            expected = Precision.INT8 if quantized else Precision.FP16
            assert (record.requested, record.executed) == (expected, expected), record.name


@pytest.mark.parametrize("capability", SHOWN)
@pytest.mark.parametrize("routing", [Routing.DYNAMIC, Routing.STATIC], ids=str)
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8], ids=str)
def test_every_gpu_gets_the_same_precision_plan(
    precision: Precision, routing: Routing, capability: int
) -> None:
    graph = typed_graph(routing, FRAMES[0], precision)
    found = records(graph, BuildOptions(capabilities=(capability,)))
    assert {record.name: record.executed for record in found} == GraphView(graph).asked
    convolutions = {
        (Precision.FP16, Routing.DYNAMIC): 32,
        (Precision.FP16, Routing.STATIC): 32,
        (Precision.INT8, Routing.DYNAMIC): 17,
        (Precision.INT8, Routing.STATIC): 26,
    }
    narrow = [record for record in found if record.executed is precision]
    assert len(narrow) == convolutions[precision, routing], "as docs/tensorrt.md says"


def test_the_graph_of_8x_needs_no_newer_opset() -> None:
    """8.x gets FP32 tensors, with FP32 scales between, at opset 17; its precision is in flags."""
    graph = int8_graph(Routing.STATIC, FRAMES[0])
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", OPSET)]
    assert OPSET == 17
    assert not any(tensor.data_type == tensor.FLOAT16 for tensor in graph.graph.initializer)
    found = records(graph)
    assert {record.executed for record in found} == {Precision.INT8, Precision.FP32}
    assert not any(record.fell_back for record in found)


def test_the_plan_is_written_as_the_builder_gave_it(tmp_path: Path) -> None:
    graph = quantized_conv()
    source = tmp_path / "graph.onnx"
    onnx.save(graph, source)
    cache = tmp_path / "some.timing"
    built = build(trt, source, tmp_path, GraphView(graph).asked, SM86, timing_cache=cache)
    assert built.engine == ENGINE
    plan = build_plan(trt, source.read_bytes(), SM86)
    assert (tmp_path / ENGINE).read_bytes() == plan.data
    assert [(record.name, record.executed) for record in built.layers] == [("conv", Precision.INT8)]
    assert not cache.exists(), "TensorRT-RTX times nothing when it builds"


def test_a_scale_of_one_dimension_is_seen_to_run_in_float() -> None:
    """What the check before the build is for: the builder itself says nothing."""
    (record,) = records(quantized_conv(scale_shape=(1,)))
    assert record.requested is Precision.INT8
    assert record.executed is Precision.FP32
    assert record.fell_back


def test_options_reach_the_builder() -> None:
    graph = quantized_conv().SerializeToString()
    settings = BuilderSettings(workspace_mib=64, optimization_level=0)
    options = BuildOptions(capabilities=(86, 120), settings=settings)
    assert len(build_plan(trt, graph, options).data) > len(build_plan(trt, graph, SM86).data)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            quantized_conv(zero_point=3),
            r"at node 'x/Quantize' \(QuantizeLinear\): .*every zero point must be 0",
        ),
        (
            quantized_conv(int32_bias=True),
            r"at node 'bias/Dequantize' \(DequantizeLinear\): .*Int32.*Leave the bias in float",
        ),
    ],
    ids=["zero point", "Int32 bias"],
)
def test_a_parser_error_names_the_node_and_what_to_change(
    graph: onnx.ModelProto, message: str
) -> None:
    with pytest.raises(
        ArtifactError, match=r"TensorRT-RTX 1\.\S+ does not take the graph " + message
    ):
        build_plan(trt, graph.SerializeToString(), SM86)


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(ArtifactError, match="does not take the graph"):
        build_plan(trt, b"not an ONNX file", SM86)


def test_a_device_that_needs_its_own_builder_is_named() -> None:
    with pytest.raises(
        SpecError,
        match=r"no engine for SM87, expected one of SM75, .*SM121\. .*--device jetson-orin",
    ):
        build_plan(trt, quantized_conv().SerializeToString(), BuildOptions(capabilities=(87,)))


def test_a_gpu_without_what_the_network_needs_is_refused_with_the_reason() -> None:
    graph = fp32_graph(Routing.STATIC, FRAMES[0]).SerializeToString()
    with pytest.raises(
        ArtifactError, match=r"cannot build the graph: .*FP32 GEMM is not supported"
    ):
        build_plan(trt, graph, BuildOptions(capabilities=(75,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            BuildOptions(settings=BuilderSettings(version_compatible=True)),
            "makes no compatible plans",
        ),
        (
            BuildOptions(settings=BuilderSettings(hardware_compatible=True)),
            "makes no compatible plans",
        ),
        (BuildOptions(dla_core=0), r"no DLA core 0: .* sees 0"),
    ],
)
def test_what_the_module_cannot_do_is_refused(options: BuildOptions, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build_plan(trt, quantized_conv().SerializeToString(), options)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(SpecError, match="--opt-level 6 must lie between 0 and 5"):
        BuilderSettings(optimization_level=6)
    with pytest.raises(SpecError, match="--workspace 0 must be at least 1, in MiB"):
        BuilderSettings(workspace_mib=0)


def test_what_8_5_does_not_know_is_refused_on_the_device_too() -> None:
    """A module is asked for what it has: its configuration has no such attribute."""

    class Config8:
        profiling_verbosity = None

        def clear_flag(self, flag: Any) -> None: ...

        def set_memory_pool_limit(self, pool: Any, size_bytes: int) -> None:
            assert size_bytes == 1 << 30

    flags = SimpleNamespace(TF32=0, FP16=1)
    trt8 = older(
        BuilderFlag=flags,
        MemoryPoolType=SimpleNamespace(WORKSPACE=0),
        ProfilingVerbosity=SimpleNamespace(DETAILED=2),
    )
    configure(trt8, None, Config8(), BuildOptions())
    for settings, message in (
        (BuilderSettings(optimization_level=3), "knows no optimization level: it came with 8.6"),
        (BuilderSettings(version_compatible=True), "knows no version compatibility"),
        (BuilderSettings(hardware_compatible=True), "knows no hardware compatibility"),
    ):
        with pytest.raises(SpecError, match=message):
            configure(trt8, None, Config8(), BuildOptions(settings=settings))


def test_the_module_of_a_target_is_found() -> None:
    assert import_tensorrt(Target.TENSORRT_RTX) is trt
    assert describe(trt) == f"TensorRT-RTX {trt.__version__}"
    assert {80, 86, 89, 120, 121} <= set(capabilities(trt))


class NetworkFlag8(IntEnum):
    EXPLICIT_BATCH = 0


def older(**members: Any) -> SimpleNamespace:
    """What a module of TensorRT 8.x has of what is looked at."""
    return SimpleNamespace(
        __name__="tensorrt",
        __version__="8.5.2.2",
        NetworkDefinitionCreationFlag=NetworkFlag8,
        **members,
    )


def test_flags_stand_for_a_precision_in_8x_alone() -> None:
    obey = "OBEY_PRECISION_CONSTRAINTS"
    assert weak_flags(older(), Precision.FP32) == ()
    assert weak_flags(older(), Precision.FP16) == ("FP16", obey)
    assert weak_flags(older(), Precision.INT8) == ("FP16", "INT8", obey)
    assert weak_flags(trt, Precision.INT8) == ()
    with pytest.raises(SpecError, match=r"TensorRT 8\.5\.2\.2 has no BF16"):
        weak_flags(older(), Precision.BF16)


def test_a_module_that_builds_on_the_device_asks_for_a_driver_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_here() -> CudaDevice:
        raise BackendUnavailableError("cuda", "there is no NVIDIA driver.")

    monkeypatch.setattr("lightawnet_edge.targets.tensorrt.builder.find_device", none_here)
    with pytest.raises(BackendUnavailableError, match="no NVIDIA driver"):
        build_plan(older(), b"", BuildOptions())  # any look at Builder would fail otherwise


def test_a_timing_cache_belongs_to_one_version_and_device() -> None:
    device = CudaDevice(name="Orin (nvgpu)", capability=87, cuda="11.4")
    assert timing_cache_name(older(), device) == "tensorrt-8.5.2.2-sm87-orin-nvgpu-.timing"
