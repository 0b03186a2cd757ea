"""What `inspect` finds: of real engines, and of a backend by hand."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from rich.console import Console

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import CONVOLUTION, LayerRecord
from lightawnet_edge.codec import dumps, encode
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.inspection import inspection
from lightawnet_edge.inspection.inspection import SCHEMA, Inspection, InspectSpec, Profile, inspect
from lightawnet_edge.inspection.report import console, document, verdict
from lightawnet_edge.machine.cgroup import Throttled
from lightawnet_edge.specs import Precision, State
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import Built, ReadBack, Session

Bundles = dict[tuple[str, str], Path]
INT8, FP32 = Precision.INT8, Precision.FP32
RECORDED = (
    LayerRecord(name="e1/depthwise", requested=INT8, executed=INT8, kernel="theirs_I8", macs=1),
    LayerRecord(name="e1/expand", requested=INT8, executed=INT8, kernel="theirs_I8", macs=6),
    LayerRecord(name="out", requested=FP32, executed=FP32, kernel="theirs_f32", macs=3),
)


class ByHand:
    """A backend that runs the depthwise layer in FP32, and knows no 'out'."""

    def __init__(self) -> None:
        self.frames: list[NDArray[Any]] = []

    def version(self) -> str:
        return "1.0"

    def refusals(self) -> Mapping[Precision, str | None]:
        return dict.fromkeys(Precision)

    def build(self, source: Path, folder: Path, precision: Precision) -> Built:
        raise NotImplementedError

    def load(self, engine: Engine, threads: int | None) -> Session:
        raise NotImplementedError

    def read_back(
        self,
        engine: Engine,
        threads: int | None = None,
        frames: Sequence[NDArray[Any]] = (),
    ) -> ReadBack:
        self.frames = list(frames)
        convolutions = (
            LayerRecord(name="e1/expand", requested=INT8, executed=INT8, kernel="ours_I8"),
            LayerRecord(name="e1/depthwise", requested=INT8, executed=FP32, kernel="ours_f32"),
        )
        if not self.frames:
            return ReadBack(layers=convolutions)
        others = (
            LayerRecord(
                name="/preprocess/Resize", kind="resize", executed=FP32, kernel="ours_resize"
            ),
            LayerRecord(name="/mask/Resize", kind="resize", executed=FP32, kernel="ours_resize"),
        )
        return ReadBack(
            layers=(*convolutions, *others),
            layer_s={
                "e1/expand": 0.004, "e1/depthwise": 0.002,
                "/preprocess/Resize": 0.002, "/mask/Resize": 0.001,
            },
            call_s=0.010,
        )  # fmt: skip


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> ByHand:
    backend = ByHand()
    monkeypatch.setattr(table, "get_for", lambda *_: backend)
    monkeypatch.setattr(inspection, "busy_seconds", lambda: None)
    return backend


def text_of(found: Inspection, width: int = 80) -> str:
    with io.StringIO() as file:
        Console(width=width, file=file).print(console(found))
        return file.getvalue()


def test_what_runs_here_is_joined_with_what_was_recorded(make_bundle: Any, by_hand: ByHand) -> None:
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=RECORDED).path, calls=5))
    assert found.here
    assert found.missing == ()
    depthwise, expand, out = found.convolutions
    assert (depthwise.executed, depthwise.kernel, depthwise.macs) == (FP32, "ours_f32", 1)
    assert depthwise.fell_back
    assert (expand.executed, expand.macs) == (INT8, 6)
    assert (out.executed, out.kernel, out.seconds) == (None, None, None)
    assert found.executed == {"fp32": 0.1, "fp16": 0.0, "bf16": 0.0, "int8": 0.6, "unknown": 0.3}
    assert verdict(found) == (
        "60 % in INT8, 30 % in UNKNOWN, 10 % in FP32 of the convolution MACs. 2 did not run as "
        "they were asked to: out (fp32 → not found), e1/depthwise (int8 → fp32). Time of the "
        "layers: 66.7 % convolution, 33.3 % resize. Of the call: frame in 20 %, network 60 %, mask "
        "out 10 %, rest 10 %."
    )


def test_layers_are_timed_on_real_frames_and_summed_by_kind(
    make_bundle: Any, by_hand: ByHand
) -> None:
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=RECORDED).path, calls=5))
    assert found.profile is not None
    assert found.profile.calls == 5
    assert found.profile.call_s == pytest.approx(0.010)
    assert found.profile.layers_s == pytest.approx(0.009)
    assert [(work.kind, work.layers) for work in found.work] == [("convolution", 2), ("resize", 2)]
    assert sum(work.share for work in found.work) == pytest.approx(1)
    assert found.time_share(found.convolutions[1]) == pytest.approx(4 / 9)
    assert found.doubts == []
    assert len(by_hand.frames) == 3 + 5
    frame = by_hand.frames[0]
    assert (frame.shape, frame.dtype) == ((24, 32, 3), np.dtype(np.uint8))
    assert len({bytes(frame) for frame in by_hand.frames}) == found.profile.frames == 8
    assert all(frame.std() > 10 for frame in by_hand.frames), "real frames, no constant ones"


def test_times_beside_other_programs_are_doubted(
    make_bundle: Any, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter((100.0, 400.0))
    monkeypatch.setattr(inspection, "busy_seconds", lambda: next(busy))
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=RECORDED).path))
    assert "CPUs busy: times are too long" in found.doubts[0]
    assert "doubt other programs kept" in text_of(found)


def test_times_that_a_quota_cut_short_are_doubted(
    make_bundle: Any, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = iter((Throttled(times=2, seconds=0.1), Throttled(times=9, seconds=0.5)))
    monkeypatch.setattr(inspection, "read_throttled", lambda: next(stops))
    monkeypatch.setattr(inspection, "busy_seconds", lambda: None)
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=RECORDED).path))
    (doubt,) = found.doubts
    assert doubt == (
        "the CPU quota stopped programs 7 times: times are too long, shares may be off. Raise it, "
        "or give fewer --threads"
    )
    assert encode(document(found))["profile"]["throttled"] == 7


def test_without_a_profile_only_convolutions_are_told(make_bundle: Any, by_hand: ByHand) -> None:
    spec = InspectSpec(bundle=make_bundle("b", layers=RECORDED).path, profile=False)
    found = inspect(spec)
    assert by_hand.frames == []
    assert found.profile is None
    assert found.work == []
    assert found.doubts == []
    assert len(found.layers) == 3
    assert "Time of the layers" not in verdict(found)
    assert "time" not in text_of(found).split()


def test_a_bundle_that_cannot_run_here_shows_its_manifest_and_the_reason(
    make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(target: object, precision: object) -> object:
        raise BackendUnavailableError("tensorrt int8", "no GPU is visible")

    monkeypatch.setattr(table, "get_for", absent)
    bundle = make_bundle("b", layers=RECORDED, machine={"cpu": "Their CPU"})
    found = inspect(InspectSpec(bundle=bundle.path))
    assert not found.here
    assert found.layers == RECORDED
    assert found.missing == (
        "what runs on this machine: 'tensorrt int8' cannot run here: no GPU is visible",
    )
    assert verdict(found) == (
        "On Their CPU, 70 % in INT8, 30 % in FP32 of the convolution MACs. Every convolution ran "
        "as it was asked to."
    )
    text = text_of(found)
    assert "as recorded when it was exported" in text
    assert "missing what runs on this machine" in text
    assert "theirs_I8" in text


def test_a_kit_that_is_not_built_tells_what_it_asks_for(
    make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(target: object, precision: object) -> object:
        raise BackendUnavailableError("tensorrt int8", "no GPU is visible")

    monkeypatch.setattr(table, "get_for", absent)
    asked = tuple(replace(layer, executed=None, kernel=None) for layer in RECORDED)
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=asked, state=State.PENDING).path))
    told = verdict(found)
    assert told.startswith("Not built yet: the kit asks for ")
    assert "UNKNOWN" not in told
    assert "did not run" not in told


def test_an_engine_that_never_ran_is_told_as_a_plan(
    make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(target: object, precision: object) -> object:
        raise BackendUnavailableError("tensorrt-rtx int8", "no GPU is visible")

    monkeypatch.setattr(table, "get_for", absent)
    bundle = make_bundle("b", layers=RECORDED, state=State.UNCHECKED)
    found = inspect(InspectSpec(bundle=bundle.path))
    assert verdict(found) == (
        "The builder planned 70 % in INT8, 30 % in FP32 of the convolution MACs. The engine never "
        "ran: lightawnet-edge build. Every convolution is planned as it was asked to."
    )
    text = text_of(found)
    assert " planned " in text
    assert " ran " not in text.partition("Every")[2].partition("missing")[0]
    fallen = replace(RECORDED[0], requested=Precision.FP16)
    bundle = make_bundle("c", layers=(fallen, *RECORDED[1:]), state=State.UNCHECKED)
    assert "1 is not planned as it was asked to: " in verdict(
        inspect(InspectSpec(bundle=bundle.path))
    )


def test_without_opencv_the_kernels_are_still_told(
    make_bundle: Any, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> object:
        raise BackendUnavailableError("opencv", "No module named 'cv2'")

    monkeypatch.setattr(FrameSet, "frames", absent)
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=RECORDED).path))
    assert found.here
    assert found.profile is None
    assert found.missing[0].startswith("time per layer: 'opencv' cannot run here")


def test_the_json_has_every_layer_and_null_for_what_is_not_known(
    make_bundle: Any, by_hand: ByHand
) -> None:
    found = inspect(InspectSpec(bundle=make_bundle("b", layers=RECORDED).path))
    data = json.loads(dumps(document(found), schema=SCHEMA))
    assert set(data) == {
        "schema", "bundle", "target", "precision", "routing", "here", "toolchain", "machine",
        "missing", "doubts", "verdict", "executed", "executed_at_export", "profile", "work",
        "parts", "layers",
    }  # fmt: skip
    assert data["schema"] == 1
    assert data["toolchain"] == "onnx 1.0"
    assert data["executed_at_export"] == {"int8": 0.9, "fp32": 0.1}
    assert [layer["name"] for layer in data["layers"]] == [
        "e1/depthwise", "e1/expand", "out", "/preprocess/Resize", "/mask/Resize",
    ]  # fmt: skip
    keys = {
        "name", "kind", "requested", "executed", "kernel", "macs", "mac_share", "seconds",
        "time_share",
    }  # fmt: skip
    assert all(set(layer) == keys for layer in data["layers"])
    assert data["layers"][2]["executed"] is None
    assert data["layers"][3]["requested"] is None
    assert sum(layer["mac_share"] for layer in data["layers"]) == pytest.approx(1)
    assert sum(layer["time_share"] or 0 for layer in data["layers"]) == pytest.approx(1)


def test_the_table_fits_eighty_columns(make_bundle: Any) -> None:
    layers = tuple(
        LayerRecord(
            name=name, requested=INT8, executed=FP32, kernel="brgconv_avx512_1x1_f32", macs=5,
            seconds=0.0123,
        )
        for name in ("e1/dynamic/routing", "attention/value")
    )  # fmt: skip
    found = Inspection(
        manifest=make_bundle("b").manifest, layers=layers, here=True, toolchain="openvino 2026.4.1",
        machine={"cpu": "Some CPU"}, missing=(),
        profile=Profile(calls=3, frames=3, call_s=0.03, layers_s=0.0246, others=0.0),
    )  # fmt: skip
    lines = text_of(found).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    row = "e1/dynamic/routing int8 fp32 brgconv_avx512_1x1_f32 50.0 12.300 50.0"
    assert row in [" ".join(line.split()) for line in lines]


def test_bundles_of_before_are_refused_in_one_line(make_bundle: Any) -> None:
    with pytest.raises(ArtifactError, match=r"has no table of its layers: .* Export it again"):
        inspect(InspectSpec(bundle=make_bundle("old").path))


def test_impossible_requests_are_refused_at_birth() -> None:
    with pytest.raises(SpecError, match="calls=0 must be at least 1"):
        InspectSpec(bundle=Path(), calls=0)
    with pytest.raises(SpecError, match="threads=0 must be at least 1"):
        InspectSpec(bundle=Path(), threads=0)


def test_a_changed_engine_is_not_inspected(bundles: Bundles, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundles["onnx", "int8"], copy)
    with (copy / "engine.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match="has changed since it was built"):
        inspect(InspectSpec(bundle=copy))


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_convolution_of_a_real_engine_is_found_once(
    bundles: Bundles, target: str, precision: str
) -> None:
    path = bundles[target, precision]
    found = inspect(InspectSpec(bundle=path, calls=3, threads=1))
    graph = onnx.load(path / "device.onnx").graph
    wanted = [node.name for node in graph.node if node.op_type == "Conv"]
    assert [layer.name for layer in found.convolutions] == wanted
    kinds = Counter(layer.name for layer in found.layers if layer.kind == CONVOLUTION)
    assert kinds == Counter(wanted)
    assert all(layer.executed and layer.kernel for layer in found.convolutions)
    assert sum(found.executed.values()) == pytest.approx(1, abs=1e-5)
    assert found.executed == dict(Bundle.open(path).manifest.executed)
    requested = {layer.requested for layer in found.convolutions}
    assert requested == ({FP32} if precision == "fp32" else {FP32, INT8})
    assert "other" not in {layer.kind for layer in found.layers}, "an operator has no kind"


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_the_layers_of_a_real_engine_add_up_to_no_more_than_the_call(
    bundles: Bundles, target: str
) -> None:
    found = inspect(InspectSpec(bundle=bundles[target, "int8"], calls=5, threads=1))
    assert found.profile is not None
    assert all(layer.seconds is not None and layer.seconds >= 0 for layer in found.layers)
    assert sum(layer.seconds or 0 for layer in found.convolutions) > 0
    assert 0 < found.profile.layers_s <= found.profile.call_s
    assert sum(work.seconds for work in found.work) == pytest.approx(found.profile.layers_s)
    assert {"convolution", "resize", "elementwise"} <= {work.kind for work in found.work}


def test_openvino_is_asked_for_float_where_it_has_no_integer_kernel(bundles: Bundles) -> None:
    found = inspect(InspectSpec(bundle=bundles["openvino", "int8"], profile=False))
    assert not [layer.name for layer in found.convolutions if layer.fell_back]
    floats = {layer.name for layer in found.convolutions if layer.requested is FP32}
    grouped = {f"{block}/depthwise" for block in ("e2", "e3", "a4", "a5")}
    assert grouped < floats
    assert all(
        name in grouped or name.startswith("out/border/") or name.endswith(("/squeeze", "/excite"))
        for name in floats
    ), "the rest of what is in float stays there by design"
