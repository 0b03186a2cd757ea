"""Frames that cannot calibrate make no bundle; those to be doubted are doubted in every record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.bundle.choices import CalibrationRecord
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.errors import SpecError
from lightawnet_edge.export.describe import describe
from lightawnet_edge.export.pipeline import ExportResult, export
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.model.checkpoint import save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.progress import Step
from lightawnet_edge.specs import Precision, Size, Target
from tests.calibration.conftest import textured
from tests.conftest import random_network


def write(folder: Path, frames: list[NDArray[np.uint8]]) -> Path:
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:02}x.png"), frame)
    return folder


@dataclass(slots=True)
class Heard:
    """An export, and what it told."""

    texts: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def export(self, weights: Path | str, out: Path, **changes: object) -> ExportResult:
        values: dict[str, object] = {
            "target": Target.ONNX, "precision": Precision.INT8, "weights": str(weights),
            "out": out / "engines", "max_disagreement": 1.0,
        }  # fmt: skip
        request = ExportSpec(**(values | changes))  # type: ignore[arg-type]
        return export(request, narrate=self.texts.append, on_step=self.steps.append)

    @property
    def doubts(self) -> tuple[str, ...]:
        return tuple(text[7:] for text in self.texts if text.startswith("doubt: "))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def judged(manifest: Manifest) -> CalibrationRecord:
    assert manifest.judged is not None
    return manifest.judged


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        ([textured(0)] * 64, r"show 1 distinct picture \(63 are copies or near-copies\)"),
        ([np.zeros((48, 64, 3), np.uint8)] * 16, r"show no distinct pictures \(16 show nothing"),
    ],
    ids=["copies", "black"],
)
def test_frames_that_show_too_little_make_no_bundle(
    checkpoint: Path, tmp_path: Path, heard: Heard, frames: list[NDArray[np.uint8]], found: str
) -> None:
    folder = write(tmp_path / "frames", frames)
    with pytest.raises(SpecError, match=found):
        heard.export(checkpoint, tmp_path, calibration=folder)
    assert not list((tmp_path / "engines").glob("*"))


def test_exact_engines_take_nothing_from_frames_which_are_not_judged(
    checkpoint: Path, tmp_path: Path, heard: Heard
) -> None:
    folder = write(tmp_path / "frames", [textured(0)])
    made = heard.export(checkpoint, tmp_path, calibration=folder, precision=Precision.FP32)
    assert made.bundle.manifest.judged is None
    assert heard.doubts == ()


def test_doubts_are_told_and_stand_in_the_manifest_and_its_description(
    checkpoint: Path, tmp_path: Path, heard: Heard
) -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    folder = write(tmp_path / "frames", [*(textured(seed) for seed in range(5)), black])
    bundle = heard.export(checkpoint, tmp_path, calibration=folder).bundle
    record = judged(bundle.manifest)
    assert (record.distinct, record.scenes) == (5, 5)
    assert heard.doubts == record.doubts
    few, nothing = record.doubts[:2]
    assert few.startswith("the 6 calibration frames show 5 distinct pictures, expected 8 at least")
    assert nothing.startswith("1 of 6 calibration frames show nothing (05x)")
    lines = [line for line in describe(bundle).splitlines() if line.startswith("  doubt ")]
    assert lines == [f"  doubt     {doubt}" for doubt in record.doubts]
    assert {step.stage for step in heard.steps} >= {
        "looking at frames", "freezing routing", "counting activations", "comparing with FP32",
    }  # fmt: skip


@pytest.mark.slow
def test_copies_are_not_held_out_from_their_originals(
    checkpoint: Path, tmp_path: Path, heard: Heard
) -> None:
    folder = write(tmp_path / "frames", [textured(seed % 8) for seed in range(64)])
    manifest = heard.export(checkpoint, tmp_path, calibration=folder).bundle.manifest
    assert manifest.method is not None
    assert (manifest.method.scale_frames, manifest.method.held_out) == (64, 0)
    assert judged(manifest).distinct == 8
    assert any("fewer than 16 scenes can be held out; percentile is" in it for it in heard.texts)


def test_packaged_frames_are_refused_for_a_gray_network(tmp_path: Path, heard: Heard) -> None:
    weights = tmp_path / "ct.safetensors"
    meta = CheckpointMeta(in_channels=1, size=Size(32, 48))
    save_checkpoint(weights, random_network(in_channels=1).state_dict(), meta)
    for target in (Target.ONNX, Target.TENSORRT):
        with pytest.raises(
            SpecError,
            match=r"'ct' takes gray frames, and the packaged ones are colonoscopy in colour.* "
            r"Give --calibration DIR of frames of its own domain",
        ):
            heard.export(weights, tmp_path, target=target, precision=Precision.FP32)


@pytest.mark.slow
def test_packaged_frames_are_doubted_for_weights_that_are_not_packaged(
    checkpoint: Path, tmp_path: Path, heard: Heard
) -> None:
    record = judged(heard.export(checkpoint, tmp_path).bundle.manifest)
    assert record.doubts[0].startswith("'tiny' is not made of packaged weights, and the packaged")
    assert record.mismatch > 0.09, "a network of random weights never saw colonoscopy"
    assert f"lie {record.mismatch:.2f} nats from their statistics" in record.doubts[-1]
    assert heard.doubts == record.doubts
