"""FP16 in the graph: where the islands lie, what the conversion keeps, and how far it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.codec import encode
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError, CheckFailedError, SpecError
from lightawnet_edge.graph.comparison import Truths
from lightawnet_edge.graph.comparison import compare as compare_all
from lightawnet_edge.graph.device_graph import to_onnx
from lightawnet_edge.graph.magnitudes import magnitudes
from lightawnet_edge.graph.simulation import rounded, simulated
from lightawnet_edge.graph.typed import HALF_MAX, islands, to_fp16
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import ColorOrder, Normalization, Precision
from lightawnet_edge.targets.tensorrt.second_opinion import in_openvino
from tests.conftest import SIZE, blobs

SCORES = "/network/attention/MatMul"


def frames() -> Iterable[UInt8]:
    return [frame for frame, _ in blobs(3, SIZE)]


def known(value: float | None) -> float:
    assert value is not None
    return value


def compare(
    reference: onnx.ModelProto,
    candidate: onnx.ModelProto,
    frames: Callable[[], Iterable[UInt8]],
    truths: Truths | None = None,
) -> Agreement:
    """Both simulated."""
    runs = {"ONNX Runtime": simulated(candidate)}
    return compare_all(simulated(reference), runs, frames, truths)["ONNX Runtime"]


@pytest.fixture(scope="module")
def graph(network: LightAWNet) -> onnx.ModelProto:
    contract = Contract(
        frame=SIZE,
        color=ColorOrder.RGB,
        network=SIZE,
        normalization=Normalization(),
        threshold=0.5,
        probability=True,
    )
    return to_onnx(lower(network), contract)


@pytest.fixture(scope="module")
def peaks(graph: onnx.ModelProto) -> dict[str, float]:
    return magnitudes(graph, frames)


@pytest.fixture(scope="module")
def typed(graph: onnx.ModelProto, peaks: dict[str, float]) -> onnx.ModelProto:
    return to_fp16(graph, islands(graph, peaks))


def two_convs(first: float, second: float) -> onnx.ModelProto:
    """uint8 frame (1, 1, 2, 2), times `first`, times `second`, as probability; all of it float."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["x"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w1"], ["a"], name="a", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["a", "w2"], ["b"], name="b", kernel_shape=[1, 1]),
        helper.make_node("Identity", ["b"], ["probability"], name="p"),
        helper.make_node("Cast", ["b"], ["mask"], name="m", to=TensorProto.UINT8),
    ]
    weights = {"w1": first, "w2": second}
    shape = [1, 1, 2, 2]
    model = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, shape),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape),
        ],
        [
            numpy_helper.from_array(np.full((1, 1, 1, 1), value, np.float32), name)
            for name, value in weights.items()
        ],
    )
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bright() -> Iterable[UInt8]:
    return [np.full((1, 1, 2, 2), 200, np.uint8)]


def test_magnitudes_are_the_extremes_over_all_frames(
    graph: onnx.ModelProto, peaks: dict[str, float]
) -> None:
    name = "/network/e1/stacked/Conv_output_0"
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    watched.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = ort.InferenceSession(watched.SerializeToString())
    expected = max(float(np.abs(session.run([name], {"frame": f})[0]).max()) for f in frames())
    assert peaks[name] == pytest.approx(expected, rel=1e-4)
    weight = "network.e1.stacked.weight"
    tensor = next(t for t in graph.graph.initializer if t.name == weight)
    assert peaks[weight] == float(np.abs(numpy_helper.to_array(tensor)).max())


def test_no_frames_are_refused(graph: onnx.ModelProto) -> None:
    with pytest.raises(SpecError, match="needs calibration frames"):
        magnitudes(graph, list)
    with pytest.raises(SpecError, match="no frame to compare on"):
        compare(graph, graph, list)


def test_a_graph_that_is_not_finite_in_fp32_is_refused() -> None:
    with pytest.raises(ArtifactError, match="not finite in 'a'"):
        magnitudes(two_convs(3e38, 3e38), bright)


def test_islands_have_a_reason_each(graph: onnx.ModelProto, peaks: dict[str, float]) -> None:
    found = islands(graph, peaks)
    assert found["/preprocess/Div"] == "before the first convolution"
    assert found["/mask/GreaterOrEqual"] == "after the last convolution"
    assert found["/network/e1/Sigmoid"] == "an exponential of its input"
    assert found["/network/attention/Softmax"] == "a sum of exponentials"
    assert found[SCORES] == "the scores of a softmax"
    assert found["/network/e1/dynamic/ReduceMean"] == "a mean over many pixels"
    assert found["e1/dynamic/routing"].startswith("one pixel")
    assert "e1/expand" not in found
    assert "out" not in found


def test_what_comes_near_the_largest_fp16_value_stays_in_fp32(graph: onnx.ModelProto) -> None:
    tensor = "/network/e2/expand/Conv_output_0"
    assert "e2/expand" not in islands(graph, {tensor: HALF_MAX / 9})
    found = islands(graph, {tensor: HALF_MAX / 7})
    assert found["e2/expand"] == "values up to 9.36e+03, the limit is 8.19e+03"
    assert found["/network/e2/LeakyRelu"] == found["e2/expand"]
    assert "e2/expand" not in islands(graph, {tensor: HALF_MAX / 7}, margin=2)


def test_inputs_outputs_and_islands_keep_their_types(
    graph: onnx.ModelProto, typed: onnx.ModelProto
) -> None:
    for before, after in zip(
        [*graph.graph.input, *graph.graph.output],
        [*typed.graph.input, *typed.graph.output],
        strict=True,
    ):
        assert (before.name, before.type) == (after.name, after.type)
    types = {v.name: v.type.tensor_type.elem_type for v in typed.graph.value_info}
    assert types[f"{SCORES}_output_0"] == TensorProto.FLOAT
    assert types["/network/e1/expand/Conv_output_0"] == TensorProto.FLOAT16
    assert [entry.version for entry in typed.opset_import] == [17]


def test_each_convolution_is_asked_for_in_fp16_unless_it_is_an_island(
    graph: onnx.ModelProto, peaks: dict[str, float], typed: onnx.ModelProto
) -> None:
    kept = islands(graph, peaks)
    wanted = GraphView(typed).asked
    assert set(wanted.values()) == {Precision.FP16, Precision.FP32}
    for name, precision in wanted.items():
        assert precision is (Precision.FP32 if name in kept else Precision.FP16), name
    assert set(GraphView(graph).asked.values()) == {Precision.FP32}


def test_a_tensor_is_cast_once_for_all_who_need_it(typed: onnx.ModelProto) -> None:
    casts = [(n.input[0], n.attribute[0].i) for n in typed.graph.node if n.op_type == "Cast"]
    assert len(casts) == len(set(casts))


def test_an_output_in_the_middle_of_fp16_keeps_its_type() -> None:
    model = two_convs(0.5, 0.5)
    model.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 1, 2, 2]))
    converted = to_fp16(model, islands(model, {}))
    session = ort.InferenceSession(converted.SerializeToString())
    (value,) = session.run(["a"], {"frame": next(iter(bright()))})
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, 100)


def test_rounding_shows_where_onnx_runtime_hides_it() -> None:
    """A third of 200 is 66.667 in FP32, 66.650 with an FP16 kernel, 66.625 as an FP16 tensor."""
    frame = {"frame": np.full((1, 1, 2, 2), 200, np.uint8)}
    half = to_fp16(two_convs(1 / 3, 1.0), {"cast": "", "p": "", "m": ""})
    session = ort.InferenceSession(rounded(half).SerializeToString())
    np.testing.assert_array_equal(session.run(["probability"], frame)[0], np.float32(66.625))
    direct = ort.InferenceSession(half.SerializeToString())
    assert direct.run(["probability"], frame)[0].max() > 66.65


def test_an_overflow_is_noticed_without_a_gpu() -> None:
    exact = two_convs(1e3, 1e-6)
    careless = to_fp16(exact, islands(exact, {}))
    with pytest.raises(CheckFailedError, match=r"by ONNX Runtime.*4 probabilities .* on frame 0\."):
        compare(exact, careless, bright)
    careful = to_fp16(exact, islands(exact, magnitudes(exact, bright)))
    assert known(compare(exact, careful, bright).max_abs_probability) < 1e-3


def test_fp16_stays_close_to_fp32(graph: onnx.ModelProto, typed: onnx.ModelProto) -> None:
    found = compare(graph, typed, frames)
    assert found.frames == 3
    assert 0 < known(found.mean_abs_probability) < 1e-3
    assert known(found.max_abs_probability) < 0.02
    assert found.worst_mask_disagreement is not None
    assert found.mask_disagreement <= found.worst_mask_disagreement < 0.01


def test_a_graph_agrees_with_itself(graph: onnx.ModelProto) -> None:
    found = compare(graph, graph, frames)
    assert (found.frames, found.mask_disagreement, found.worst_mask_disagreement) == (3, 0, 0)
    assert found.mean_abs_probability == found.max_abs_probability == 0
    assert encode(found)["frames"] == 3


def test_every_frame_that_is_not_finite_is_counted() -> None:
    exact = two_convs(1e3, 1e-6)
    careless = to_fp16(exact, islands(exact, {}))
    shades = [np.full((1, 1, 2, 2), value, np.uint8) for value in (200, 10, 255)]
    with pytest.raises(CheckFailedError, match=r"8 probabilities .* not finite on frame 0, 2\."):
        compare(exact, careless, lambda: shades)


def test_a_drop_of_dice_is_that_of_the_masks() -> None:
    """One pixel of two is true; FP32 finds both, the candidate one on the second frame."""
    exact, candidate = two_convs(1.0, 1.0), two_convs(0.5, 0.9)
    bright_pair, dim = (np.array([[[[a, b], [0, 0]]]], np.uint8) for a, b in ((200, 200), (200, 2)))
    truth = np.array([[[[True, False], [False, False]]]])
    found = compare(exact, candidate, lambda: [bright_pair, dim], lambda: [truth, truth])
    assert found.dice_fp32 == pytest.approx(2 / 3), "two found for one, on both frames"
    assert found.dice_drop == pytest.approx(-1 / 6)
    assert found.dice_drop_low == pytest.approx(-1 / 3)
    assert found.dice_drop_high == found.worst_dice_drop == pytest.approx(0.0)


def test_dice_is_compared_frame_by_frame(graph: onnx.ModelProto) -> None:
    masks = [mask.astype(bool) for _, mask in blobs(3, SIZE)]
    found = compare(graph, graph, frames, lambda: masks)
    assert found.dice_fp32 is not None
    assert 0 <= found.dice_fp32 <= 1
    assert (found.dice_drop, found.worst_dice_drop) == (0.0, 0.0)


def test_openvino_gives_a_second_opinion_by_kernels_of_its_own(
    graph: onnx.ModelProto, typed: onnx.ModelProto
) -> None:
    runs = {"one": simulated(typed), "other": in_openvino(typed)}
    masks = [mask.astype(bool) for _, mask in blobs(3, SIZE)]
    found = compare_all(simulated(graph), runs, frames, lambda: masks)
    one, other = found["one"], found["other"]
    assert other.frames == one.frames == 3
    assert 0 < known(other.mean_abs_probability) < 1e-3
    assert other.mean_abs_probability != one.mean_abs_probability
    assert other.dice_fp32 == one.dice_fp32


def test_whoever_gives_what_is_not_finite_is_named(graph: onnx.ModelProto) -> None:
    good = simulated(graph)

    def bad(frame: UInt8) -> tuple[UInt8, np.ndarray]:
        mask, probability = good(frame)
        probability[..., 0] = np.nan
        return mask, probability

    with pytest.raises(CheckFailedError, match="Run by OpenVINO, the typed graph gives 192 prob"):
        compare_all(good, {"ONNX Runtime": good, "OpenVINO": bad}, frames)
