"""The device graph means what DeviceModel means in every runtime, without a refused operator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.data.yuv import seen_by
from lightawnet_edge.graph.device_graph import DeviceModel, to_onnx
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.routing import mean_routing
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Normalization,
    Precision,
    Range,
    Region,
    Scaling,
    Size,
    Target,
    Yuv,
)
from lightawnet_edge.targets import table
from tests.conftest import SIZE, blobs, random_network

# A wide frame has sample positions of about 2000, whose float32 steps are 1e-4: weights of the
# interpolation, and with them probabilities, differ by a few 1e-5 between runtimes.
PROBABILITY_TOLERANCE = 1e-4
PLACES = ("/preprocess/", "/mask/")


def contract(frame: Size = SIZE, color: ColorOrder = ColorOrder.RGB, **changes: object) -> Contract:
    values: dict[str, object] = {
        "frame": frame,
        "color": color,
        "network": Size(64, 64),
        "normalization": Normalization(),
        "threshold": 0.5,
        "probability": True,
        **changes,
    }
    return Contract(**values)  # type: ignore[arg-type] # changes by name, of any type


HD = Yuv(matrix=Matrix.BT709, range=Range.LIMITED)
CASES = {
    "same size": contract(),
    "bgr full hd": contract(Size(540, 960), ColorOrder.BGR),
    "boxes across alone": contract(Size(100, 640)),
    "boxes down alone": contract(Size(320, 70)),
    "prime size": contract(Size(331, 419)),
    "smaller frame": contract(Size(40, 56)),
    "minmax": contract(normalization=Normalization(method="minmax")),
    "threshold": contract(threshold=0.3),
    "region": contract(Size(331, 420), crop=Region(61, 11, 301, 320)),
    "nv12": contract(Size(270, 480), ColorOrder.NV12, yuv=HD),
    "nv12 region": contract(Size(332, 420), ColorOrder.NV12, yuv=HD, crop=Region(60, 10, 302, 320)),
    "yuy2": contract(Size(64, 64), ColorOrder.YUY2, yuv=Yuv(matrix=Matrix.BT601, range=Range.FULL)),
    "region at an edge": contract(Size(96, 128), ColorOrder.BGR, crop=Region(32, 0, 96, 96)),
}


@pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO])
@pytest.mark.parametrize("case", CASES)
def test_every_runtime_computes_what_the_device_model_says(
    case: str, target: Target, network: LightAWNet, tmp_path: Path
) -> None:
    check_runtime(network, CASES[case], target, Precision.FP32, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO])
@pytest.mark.parametrize("case", ["same size", "bgr full hd", "minmax", "gray", "bgr"])
def test_so_it_does_with_all_that_is_rewritten_for_int8_of_a_static_network(
    case: str, target: Target, tmp_path: Path
) -> None:
    more = {
        "gray": contract(Size(96, 128), ColorOrder.GRAY),
        "bgr": contract(color=ColorOrder.BGR),
    }
    twin = random_network(1 if case == "gray" else 3, experts=1)
    check_runtime(twin, (CASES | more)[case], target, Precision.INT8, tmp_path)


def check_runtime(
    network: LightAWNet, wanted: Contract, target: Target, precision: Precision, folder: Path
) -> None:
    """Hold a float engine, rewritten as for a precision, against the network itself."""
    picture = blobs(1, wanted.frame, seed=2)[0][0]
    if wanted.color is ColorOrder.GRAY:
        picture = picture.mean(axis=2).astype(np.uint8)
    frame = seen_by(wanted.camera, picture)
    splits = wanted.threshold == 0.5
    with torch.no_grad():
        probability = DeviceModel(network, wanted)(torch.from_numpy(frame))[1]
        if splits:  # a threshold that splits this frame: a constant mask proves nothing
            wanted = replace(wanted, threshold=float(probability.quantile(0.7)))
        mask = DeviceModel(network, wanted)(torch.from_numpy(frame))[0]
    traits = table.traits_of(target)
    rewrites = traits.rewrites_for(precision)
    lowered = lower(network, rewrites=rewrites, bgr=wanted.color is ColorOrder.BGR)
    onnx.save(to_onnx(lowered, wanted, traits.scaling), folder / "device.onnx")
    backend = table.builder_for(target, Precision.FP32)
    built = backend.build(folder / "device.onnx", folder, Precision.FP32)
    session = backend.load(Engine.read(folder / built.engine, Precision.FP32), 1)
    found = session.infer(frame, ("mask", "probability"))
    session.close()
    assert found["mask"].shape == (wanted.frame.height, wanted.frame.width)
    assert found["mask"].dtype == np.uint8
    assert set(np.unique(found["mask"])) <= {0, 255}
    assert np.mean(found["mask"] != mask.numpy()) < 1e-3
    if wanted.crop is not None:
        inside = found["mask"][wanted.crop.slices].copy()
        found["mask"][wanted.crop.slices] = 0
        assert not found["mask"].any()
        found["mask"] = inside
    assert found["probability"].dtype == np.float32
    np.testing.assert_allclose(found["probability"], probability, atol=PROBABILITY_TOLERANCE)
    if splits:
        assert 0.1 < found["mask"].mean() / 255 < 0.6


def test_a_gray_network_takes_frames_of_two_dimensions() -> None:
    torch.manual_seed(0)
    wanted = contract(Size(96, 128), ColorOrder.GRAY)
    graph = to_onnx(lower(LightAWNet(1).eval()), wanted).graph
    dims = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    assert dims == [96, 128]


def test_bgr_and_rgb_graphs_agree_on_swapped_frames(network: LightAWNet) -> None:
    frame = torch.randint(0, 256, (64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        rgb = DeviceModel(network, contract())(frame)[1]
        bgr = DeviceModel(network, contract(color=ColorOrder.BGR))(frame.flip(2))[1]
    assert torch.equal(rgb, bgr)


def test_a_region_is_seen_as_a_frame_of_its_own_would_be(network: LightAWNet) -> None:
    region = Region(61, 11, 301, 320)
    frame = torch.from_numpy(blobs(1, Size(331, 420), seed=2)[0][0])
    with torch.no_grad():
        probability = DeviceModel(network, contract(region.size))(frame[region.slices])[1]
        threshold = float(probability.quantile(0.7))
        alone = DeviceModel(network, contract(region.size, threshold=threshold))
        within = DeviceModel(network, contract(Size(331, 420), crop=region, threshold=threshold))
        mask, _ = alone(frame[region.slices].contiguous())
        found, same = within(frame)
        black = torch.zeros_like(frame)
        black[region.slices] = frame[region.slices]
        assert torch.equal(within(black)[0], found), "what lies outside has no say"
    assert torch.equal(same, probability)
    assert torch.equal(found[region.slices], mask)
    found[region.slices] = 0
    assert mask.any()
    assert not found.any()


def test_the_mask_is_the_probability_at_the_threshold(network: LightAWNet) -> None:
    frame = torch.randint(0, 256, (64, 64, 3), dtype=torch.uint8)
    for threshold in (0.2, 0.5, 0.9):
        with torch.no_grad():
            mask, probability = DeviceModel(network, contract(threshold=threshold))(frame)
        doubtful = (probability - threshold).abs() < 1e-6
        assert torch.equal((mask > 0) | doubtful, (probability >= threshold) | doubtful)


@pytest.mark.parametrize("routing", ["dynamic", "static"])
def test_the_graph_keeps_to_what_every_target_accepts(routing: str, network: LightAWNet) -> None:
    frozen = mean_routing(network, [torch.randn(1, 3, 64, 64)]) if routing == "static" else None
    model = to_onnx(lower(network, frozen), contract(Size(540, 960)))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    view = GraphView(model)
    for node in view.convs.values():
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes["kernel_shape"] == list(view.shape(node.input[1])[2:])
    assert len(view.computed) == (10 if routing == "dynamic" else 0)
    for node in model.graph.node:
        if node.op_type == "Resize":
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            assert attributes["mode"] == b"linear"
            assert attributes["coordinate_transformation_mode"] in (
                b"half_pixel",
                b"pytorch_half_pixel",
                b"align_corners",
            )
            assert not attributes.get("antialias", 0)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Shape", "Loop", "If", "NonZero", "QLinearConv", "ConvInteger"}


def test_layers_are_named_by_their_module_and_their_macs_are_counted(network: LightAWNet) -> None:
    macs = GraphView(to_onnx(lower(network), contract())).macs
    assert macs["e1/depthwise"] == 7 * 7 * 3 * 64 * 64
    assert macs["a5/dynamic"] == 9 * 128 * 256 * 4 * 4
    assert macs["out"] == 36 * 16 * 64 * 64  # tiles: kernels of 6x6, of which 27 taps are zero
    assert macs["u1/dynamic+u2/reduce"] == 9 * 128 * 64 * 8 * 8
    # The reference gives 1.34 G at 256x256; non-local attention's two matrix products are no Conv.
    # Convolutions of decoders to half the channels, and half the attention's value, spare the rest.
    assert sum(macs.values()) * 16 == pytest.approx(1.09e9, rel=0.01)


def test_probability_can_be_left_out(network: LightAWNet) -> None:
    graph = to_onnx(lower(network), contract(Size(96, 96), probability=False)).graph
    assert [output.name for output in graph.output] == ["mask"]
    names = {node.name for node in graph.node}
    assert {"/preprocess/Resize", "/mask/Resize", "e1/depthwise"} <= names


@pytest.mark.parametrize("scaling", [Scaling.PRODUCTS, Scaling.INTEGERS])
def test_frames_are_scaled_without_resize_and_without_a_convolution(
    scaling: Scaling, network: LightAWNet
) -> None:
    wanted = contract(Size(1080, 1920))
    plain, fast = to_onnx(lower(network), wanted), to_onnx(lower(network), wanted, scaling)
    assert list(GraphView(fast).convs) == list(GraphView(plain).convs)
    kinds = [node.op_type for node in fast.graph.node if node.name.startswith(PLACES)]
    assert not {"Resize", "AveragePool", "Conv"} & set(kinds)
    assert kinds.count("MatMulInteger") == (scaling is Scaling.INTEGERS)


@pytest.mark.parametrize("scaling", Scaling)
def test_frames_of_the_networks_size_are_not_scaled(scaling: Scaling, network: LightAWNet) -> None:
    graph = to_onnx(lower(network), contract(), scaling).graph
    kinds = {node.op_type for node in graph.node if node.name.startswith(PLACES)}
    assert not {"Resize", "MatMul"} & kinds
