from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from lightawnet_edge.benchmarks import contest
from lightawnet_edge.benchmarks.provenance import frames_digest
from lightawnet_edge.benchmarks.report import console, write_report
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.benchmarks.runner import BenchSpec, bench
from lightawnet_edge.benchmarks.verdict import headline
from lightawnet_edge.bundle.layers import mac_shares
from lightawnet_edge.codec import decode, encode, json_text
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.machine.gpu_state import GpuState
from lightawnet_edge.progress import Step
from lightawnet_edge.scores.masks import score_mask
from lightawnet_edge.specs import Precision, Routing, Target

pytestmark = pytest.mark.usefixtures("known_weights")

QUICK: dict[str, Any] = {"calls": 12, "rounds": 3, "warmup": 1, "threads": 1, "timeout_s": 60.0}


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """Six pairs: a bright red square each, and half of it in weaker red."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "red" / kind).mkdir(parents=True)
    for index in range(6):
        image = np.zeros((24, 32, 3), np.uint8)
        top, left = rng.integers(0, 12, 2)
        image[top : top + 8, left : left + 8, 2] = 220
        image[top : top + 4, left : left + 8, 2] = 140
        mask = (image[:, :, 2] > 0).astype(np.uint8) * 255
        cv2.imwrite(str(tmp_path / "red" / "images" / f"f{index}.png"), image)
        cv2.imwrite(str(tmp_path / "red" / "masks" / f"f{index}.png"), mask)
    return tmp_path / "red"


def test_engines_are_timed_and_scored_in_turn(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    paths = [make_bundle(name).path for name in ("good", "worse")]
    steps: list[Step] = []
    result = bench(paths, BenchSpec(data=red, **QUICK), on_step=steps.append, command=fake_command)
    baseline, good, worse = result.records
    assert [record.bundle for record in result.records] == ["pytorch-eager", "good", "worse"]
    assert [len(samples) for samples in good.timing.rounds_s] == [4, 4, 4]
    assert good.latency.p50_s < baseline.latency.p50_s
    assert baseline.accuracy["dice"] == good.accuracy["dice"] == 1
    assert worse.accuracy["dice"] == pytest.approx(2 / 3)
    assert worse.dice_drop is not None
    assert worse.dice_drop.low == pytest.approx(1 / 3)
    assert worse.engine_bytes == len("worse")
    stages = {"load", "latency", "accuracy", "read back", "pictures"}
    assert {step.stage for step in steps} == stages
    assert all(0 <= step.done <= step.total for step in steps)
    shown = {picture.frame: set(picture.masks) for picture in result.pictures}
    assert shown["f0"] >= {"pytorch-eager"}
    assert any("worse" in names for names in shown.values())
    assert result.settings["data"] == "red"
    assert str(red) not in json_text(result)
    assert result.provenance is not None
    assert result.provenance.command == (), "no command line asked for it"
    assert result.provenance.frames_sha256 == frames_digest(FrameSet.open(red, masks=True).files)
    assert list(result.provenance.bundles) == ["good", "worse"]


def test_an_engine_of_a_gpu_is_timed_by_its_device_too_and_the_gpu_is_looked_at(
    make_bundle: Any, red: Path, fake_command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    orin = CudaDevice(name="Orin", capability=87, cuda="12.6", bus="0000:01:00.0")
    states = [GpuState(clock_hz=1e9 + turn) for turn in range(3)]
    asked: list[str] = []

    def state(bus: str) -> GpuState:
        asked.append(bus)
        return states[len(asked) - 1]

    monkeypatch.setattr(contest, "find_device", lambda: orin)
    monkeypatch.setattr(contest, "read_gpu", state)
    paths = [make_bundle("gpu", target=Target.TENSORRT).path, make_bundle("cpu").path]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    baseline, gpu, cpu = result.records
    assert result.gpu == orin
    assert asked == [orin.bus] * 3, "after each round of the engine that runs there"
    assert gpu.timing.gpu == tuple(states)
    assert [len(samples) for samples in gpu.timing.compute_s] == [4, 4, 4]
    assert gpu.device is not None
    assert gpu.device.compute.p50_s == pytest.approx(1e-4)
    assert gpu.device.copies.p50_s == pytest.approx(1e-5)
    assert gpu.device.host.p50_s == pytest.approx(gpu.latency.p50_s - 1.1e-4, rel=0.01)
    assert (baseline.device, cpu.device, cpu.timing.gpu) == (None, None, ())


def test_without_a_driver_an_engine_of_a_gpu_says_so_itself(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    paths = [make_bundle(name, target=Target.TENSORRT).path for name in ("absent", "silent")]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    assert [failure.bundle for failure in result.failures] == ["absent"]
    silent = result.records[1]
    assert silent.timing.compute_s == ()
    assert any("did not tell its own times" in doubt for doubt in silent.doubts)


def test_an_engine_that_cannot_run_leaves_the_others_alone(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    paths = [make_bundle(name).path for name in ("absent", "crash", "good")]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    assert [record.bundle for record in result.records] == ["pytorch-eager", "good"]
    absent, crash = result.failures
    assert (absent.bundle, absent.exit_code) == ("absent", 4)
    assert absent.reason == "'onnx' cannot run here: it is not installed"
    assert "died during 'load' (exit status 3)" in crash.reason
    assert crash.reason.endswith("out of memory in layer 7")


def test_what_an_engine_gave_before_it_failed_is_kept(
    make_bundle: Any, red: Path, fake_command: list[str], tmp_path: Path
) -> None:
    paths = [make_bundle(name).path for name in ("tired", "good")]
    spec = BenchSpec(data=red, baseline=False, **QUICK)
    result = bench(paths, spec, command=fake_command, out=tmp_path / "reports")
    assert [failure.bundle for failure in result.failures] == ["tired"]
    (file,) = (tmp_path / "reports").glob("*/samples.json")
    tired, good = json.loads(file.read_text(encoding="utf-8"))["engines"]
    assert (tired["bundle"], good["bundle"]) == ("tired", "good")
    assert [len(samples) for samples in tired["rounds_s"]] == [4, 4, 4]
    assert len(good["scores"]) == 6


def test_a_kit_is_refused_before_anything_is_measured(
    make_bundle: Any, kits: dict[str, Path], red: Path, tmp_path: Path
) -> None:
    paths = [make_bundle("good").path, kits["tensorrt"]]
    with pytest.raises(BackendUnavailableError, match=r"has no engine yet \(state: pending\)"):
        bench(paths, BenchSpec(data=red), command=["false"], out=tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_an_engine_that_hangs_is_given_up(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    paths = [make_bundle(name).path for name in ("hang", "good")]
    spec = BenchSpec(data=red, baseline=False, **(QUICK | {"timeout_s": 3.0}))
    result = bench(paths, spec, command=fake_command)
    assert [record.bundle for record in result.records] == ["good"]
    assert "gave no answer to 'load' within 3 s" in result.failures[0].reason
    assert result.records[0].dice_drop is None


def test_where_nothing_can_run_the_reason_of_the_first_is_raised(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    with pytest.raises(BackendUnavailableError, match="it is not installed"):
        bench([make_bundle("absent").path], BenchSpec(data=red, **QUICK), command=fake_command)


def test_what_is_not_used_is_told_and_inverted_masks_are_doubted(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    (red / "images" / "clip.mpg").touch()
    for file in (red / "masks").iterdir():
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(str(file), 255 - mask)
    told: list[str] = []
    spec = BenchSpec(data=red, baseline=False, **QUICK)
    result = bench([make_bundle("good").path], spec, narrate=told.append, command=fake_command)
    assert told == ["not used of 'images': 1 video (clip.mpg)"]
    assert any("they look inverted" in doubt for doubt in result.doubts)
    assert decode(BenchResult, encode(result)) == result


def test_a_broken_frame_is_left_out_for_all_and_doubted(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    (red / "images" / "f2.png").write_bytes(b"no image")
    paths = [make_bundle("good").path]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    assert [len(record.scores) for record in result.records] == [5, 5]
    assert "f2" in result.skipped
    assert any("frame 'f2' was skipped" in doubt for doubt in result.doubts)


def test_frames_that_are_all_broken_are_refused(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    for image in (red / "images").iterdir():
        image.write_bytes(b"no image")
    with pytest.raises(ArtifactError, match=r"No frame can be read: .*f0\.png' cannot be decoded"):
        bench([make_bundle("good").path], BenchSpec(data=red, **QUICK), command=fake_command)


def test_bundles_of_different_frames_are_scored_at_the_size_of_the_images(
    make_bundle: Any, red: Path, fake_command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []

    def score(mask: Any, truth: Any) -> Any:
        shapes.append(mask.shape)
        return score_mask(mask, truth)

    monkeypatch.setattr(contest, "score_mask", score)
    paths = [make_bundle("worse").path, make_bundle("worse-big", frame="48x64").path]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    assert [(record.frame, record.baseline) for record in result.records[2:]] == [
        ("24x32", "pytorch-eager-c-24x32"),
        ("48x64", "pytorch-eager-c-48x64"),
    ]
    assert all(len(record.scores) == 6 for record in result.records)
    assert set(shapes) == {(24, 32)}
    assert any("masks were compared at the images' own size" in text for text in result.doubts)
    assert result.settings["scored_at"] == "images' own size"
    lines = " ".join(line for line in text_of(result).splitlines())
    assert "worse-big: against pytorch-eager-c-48x64" in lines
    alone = bench(paths[:1], BenchSpec(data=red, **QUICK), command=fake_command)
    assert alone.settings["scored_at"] == "frame size of the engines"
    assert not any("own size" in text for text in alone.doubts)


def text_of(result: BenchResult) -> str:
    with (terminal := Console(width=200, file=io.StringIO())).capture() as captured:
        terminal.print(console(result))
    return captured.get()


def test_bundles_of_different_weights_stand_in_one_table_each_with_its_own_baseline(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    given = {"one": "c", "two": "d", "lost": "e"}
    paths = [
        make_bundle(name, checkpoint=letter * 64, checkpoint_name=name).path
        for name, letter in given.items()
    ]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    found = {record.bundle: record.baseline for record in result.records}
    assert found == {
        "pytorch-eager-one": "pytorch-eager-one", "pytorch-eager-two": "pytorch-eager-two",
        "one": "pytorch-eager-one", "two": "pytorch-eager-two", "lost": None,
    }  # fmt: skip
    assert result.records[-1].dice_drop is None
    assert any(text.startswith("lost: what this loses is not measured") for text in result.doubts)
    assert decode(BenchResult, encode(result)) == result


def test_an_exact_bundle_stands_in_for_a_checkpoint_that_is_not_found(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    exact = {"precision": Precision.FP32, "routing": Routing.DYNAMIC}
    given = {"worse": {}, "slow-exact": exact}
    paths = [make_bundle(name, checkpoint="e" * 64, **made).path for name, made in given.items()]
    result = bench(paths, BenchSpec(data=red, **QUICK), command=fake_command)
    worse, reference = result.records
    assert (worse.baseline, reference.baseline) == ("slow-exact", None)
    assert worse.dice_drop is not None
    assert worse.dice_drop.mean == pytest.approx(1 / 3)
    assert "PyTorch" not in headline(result)


def test_an_engine_that_cannot_be_read_back_keeps_what_was_measured(
    make_bundle: Any, red: Path, fake_command: list[str]
) -> None:
    paths = [make_bundle(name).path for name in ("mute", "good")]
    spec = BenchSpec(data=red, baseline=False, **QUICK)
    result = bench(paths, spec, command=fake_command)
    assert [record.bundle for record in result.records] == ["mute", "good"]
    assert result.records[0].executed["int8"] == 0.9, "as its export read it"
    assert "mute: what it executes was not read back here" in " ".join(result.doubts)


def test_a_missing_bundle_is_refused(red: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"'.*none' is no bundle"):
        bench([tmp_path / "none"], BenchSpec(data=red))


def test_a_changed_file_is_noticed_before_anything_is_measured(make_bundle: Any, red: Path) -> None:
    bundle = make_bundle("good")
    bundle.engine.path.write_text("evil")
    with pytest.raises(ArtifactError, match="has changed since it was built") as found:
        bench([bundle.path], BenchSpec(data=red))
    assert found.value.exit_code == 3


def test_real_engines_from_frame_to_report(
    bundles: dict[tuple[str, str], Path], checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    paths = [bundles["onnx", "fp32"], bundles["openvino", "int8"]]
    spec = BenchSpec(data=dataset, checkpoints=(checkpoint,), limit=3, allow_overlap=True, **QUICK)
    result = bench(paths, spec)
    baseline, onnx, openvino = result.records
    assert not result.failures
    assert {len(frames or ()) for frames in result.overlap.values()} == {3}, "made with this data"
    assert baseline.is_baseline
    assert onnx.dice_drop is not None
    assert abs(onnx.dice_drop.mean) < 0.01  # an exact rewrite; a pixel on the threshold may flip
    assert openvino.executed["int8"] > 0.5
    assert openvino.executed == mac_shares(openvino.layers), "as it runs here"
    assert baseline.layers == ()
    assert openvino.timing.peak_memory_bytes
    assert all(record.latency.n == 12 and record.cold_start_s > 0 for record in result.records)
    page = write_report(result, tmp_path / "report")
    assert page.stat().st_size > 50_000


def test_a_checkpoint_of_other_weights_is_refused(
    bundles: dict[tuple[str, str], Path], checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    shutil.copy(checkpoint, other)
    with other.open("ab") as file:
        file.write(b"\0")
    spec = BenchSpec(data=dataset, checkpoints=(other,), **QUICK)
    with pytest.raises(SpecError, match=r"is none that the bundles to measure were made from"):
        bench([bundles["onnx", "fp32"]], spec)
