"""The choice of a method: measured on frames that set no range, and only where they suffice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from lightawnet_edge.approximation import method as chooser
from lightawnet_edge.approximation.method import quantize_best
from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.quantization import MasksOf
from lightawnet_edge.graph.simulation import simulated_masks
from lightawnet_edge.progress import Step
from lightawnet_edge.specs import Method, Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.host import engine_masks
from tests.conftest import SIZE, blobs
from tests.targets.drafts import quantize

Bundles = dict[tuple[str, str], Path]


def masks_of(target: Target) -> MasksOf:
    if target == Target.TENSORRT:  # its engines run on a GPU: their graph is simulated
        return simulated_masks
    return partial(engine_masks, table.builder_for(target, Precision.INT8))


@pytest.mark.slow
@pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO, Target.TENSORRT])
def test_the_best_on_held_out_frames_is_taken(
    bundles: Bundles, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chooser, "MIN_HELD_OUT", 2)
    frames = [frame for frame, _ in blobs(8, SIZE)]
    frames[3] = frames[7] = frames[0] // 16

    def source() -> list[UInt8]:
        return frames

    graph = bundles["onnx", "int8"] / "device.onnx"
    steps: list[Step] = []
    file, record = quantize_best(
        graph,
        tmp_path,
        target,
        source,
        masks=masks_of(target),
        held_out=(3, 7),
        on_step=steps.append,
    )
    assert steps[-1] == Step("comparing methods", 10, 10), "FP32 and four methods on two frames"
    assert Step("counting activations", 6, 6) in steps
    assert (record.scale_frames, record.held_out) == (6, 2)
    assert set(record.dice) == {str(method) for method in Method}
    assert record.dice[str(record.method)] == max(record.dice.values())
    assert decode(MethodRecord, encode(record)) == record
    others = [frame for number, frame in enumerate(frames) if number not in (3, 7)]
    (tmp_path / "again").mkdir()
    again = quantize(graph, tmp_path / "again", target, lambda: others, method=record.method)
    model = ".bin" if target == Target.OPENVINO else ".onnx"
    assert file.with_suffix(model).read_bytes() == again.with_suffix(model).read_bytes(), (
        "held-out frames set no range"
    )


def test_few_frames_choose_nothing_and_a_given_method_is_taken(
    bundles: Bundles, tmp_path: Path
) -> None:
    def source() -> list[UInt8]:
        return [frame for frame, _ in blobs(4, SIZE)]

    graph = bundles["onnx", "int8"] / "device.onnx"
    made = partial(
        quantize_best,
        graph,
        tmp_path,
        Target.ONNX,
        source,
        masks=masks_of(Target.ONNX),
    )
    _, few = made()
    assert few == MethodRecord(method=Method.PERCENTILE, scale_frames=4)
    _, given = made(method=Method.MSE)
    assert given == MethodRecord(method=Method.MSE, scale_frames=4)


def test_frames_that_share_scenes_choose_nothing_and_that_is_said(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chooser, "MIN_HELD_OUT", 1)
    told: list[str] = []
    _, record = quantize_best(
        bundles["onnx", "int8"] / "device.onnx",
        tmp_path,
        Target.ONNX,
        lambda: [frame for frame, _ in blobs(4, SIZE)],
        masks=masks_of(Target.ONNX),
        narrate=told.append,
    )
    assert record == MethodRecord(method=Method.PERCENTILE, scale_frames=4)
    assert told[0] == (
        "no method is chosen by measuring: the 4 frames share scenes, and fewer than 1 scenes can "
        "be held out; percentile is taken"
    )
