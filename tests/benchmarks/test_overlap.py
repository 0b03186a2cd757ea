"""Frames that a bundle was calibrated on are refused as frames to measure it on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lightawnet_edge.benchmarks.overlap import find_overlap, refuse_overlap
from lightawnet_edge.benchmarks.plan import by_name, make_plans
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.benchmarks.runner import BenchSpec, bench
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.manifest import Source, write_manifest
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.likeness import PRINTS, print_frame, write_prints
from lightawnet_edge.errors import ArtifactError, SpecError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four frames of their own patterns, with masks."""
    root = tmp_path / "frames"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(4):
        coarse = np.random.default_rng(index).integers(40, 200, (8, 8, 3), dtype=np.uint8)
        frame = cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "images" / f"f{index}.png"), frame)
        cv2.imwrite(str(root / "masks" / f"f{index}.png"), np.full((72, 96), 255, np.uint8))
    return root


def calibrated(bundle: Bundle, images: list[Path]) -> Bundle:
    """The bundle as if it had been calibrated on these images."""
    write_prints(
        bundle.path / PRINTS, [print_frame(f"cal_{i.stem}", read_frame(i)) for i in images]
    )
    manifest = replace(
        bundle.manifest,
        calibration=Source(name="set", sha256="0" * 64, frames=len(images)),
        files={**bundle.manifest.files, PRINTS: sha256_of(bundle.path / PRINTS)},
    )
    write_manifest(bundle.path, manifest)
    return Bundle.open(bundle.path)


def test_calibration_frames_are_recognized_by_pixels_and_by_likeness(
    make_bundle: Any, folder: Path, tmp_path: Path
) -> None:
    small = cv2.resize(cv2.imread(str(folder / "images" / "f1.png")), (64, 48))
    cv2.imwrite(str(tmp_path / "small.jpg"), small)
    images = [folder / "images" / "f0.png", tmp_path / "small.jpg"]
    bundles = by_name([calibrated(make_bundle("b"), images), make_bundle("exact")])
    overlap = find_overlap(bundles, FrameSet.open(folder))
    assert set(overlap) == {"b"}
    assert [(match.stem, match.same_pixels) for match in overlap["b"] or ()] == [
        ("f0", True),
        ("f1", False),
    ]
    with pytest.raises(
        SpecError, match=r"'b' was calibrated on 2 of .*'f0' ~ 'cal_f0'.*'f1'.*--allow-overlap"
    ):
        refuse_overlap(overlap)


def test_other_frames_are_no_overlap(make_bundle: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("f2\nf3\n")
    bundle = calibrated(make_bundle("b"), [folder / "images" / "f0.png"])
    (folder / "images" / "f3.png").write_bytes(b"no image")  # the measurement will leave it out
    overlap = find_overlap({"b": bundle}, FrameSet.open(folder, split=tmp_path / "split.txt"))
    assert overlap == {}
    refuse_overlap(overlap)


def test_many_frames_are_counted_not_listed(make_bundle: Any, folder: Path) -> None:
    for index in range(4, 8):
        for kind in ("images", "masks"):
            source = folder / kind / f"f{index - 4}.png"
            (folder / kind / f"f{index}.png").write_bytes(source.read_bytes())
    bundle = calibrated(make_bundle("b"), sorted((folder / "images").iterdir()))
    with pytest.raises(SpecError, match=r"on 8 of .*'f4' ~ .*, and 3 more\. Leave them out"):
        refuse_overlap(find_overlap({"b": bundle}, FrameSet.open(folder)))


def test_a_bundle_that_does_not_name_its_frames_is_doubted(
    make_bundle: Any, folder: Path, make_result: Any
) -> None:
    silent = make_bundle("old", calibration=Source(name="set", sha256="0" * 64, frames=2))
    overlap = find_overlap({"old": silent}, FrameSet.open(folder))
    assert overlap == {"old": None}
    refuse_overlap(overlap)
    result = make_result(overlap=overlap)
    assert any("old does not say on which frames it was calib" in doubt for doubt in result.doubts)
    assert decode(BenchResult, encode(result)) == result


def test_changed_prints_are_noticed(make_bundle: Any, folder: Path) -> None:
    bundle = calibrated(make_bundle("b"), [folder / "images" / "f0.png"])
    (bundle.path / PRINTS).write_text("{}")
    with pytest.raises(ArtifactError, match="has changed since it was built"):
        Bundle.open(bundle.path)
    with pytest.raises(ArtifactError, match="cannot be understood: schema None"):
        find_overlap({"b": bundle}, FrameSet.open(folder))


def test_prints_do_not_count_as_engine(make_bundle: Any, folder: Path) -> None:
    bundle = calibrated(make_bundle("b"), [folder / "images" / "f0.png"])
    (plan,), _ = make_plans([bundle], BenchSpec(baseline=False))
    assert plan.engine_bytes == len(bundle.engine.data)


def test_bench_refuses_and_reports_when_told_to_go_on(
    make_bundle: Any, folder: Path, fake_command: list[str]
) -> None:
    bundle = calibrated(make_bundle("good"), [folder / "images" / "f0.png"])
    quick: dict[str, Any] = {
        "data": folder, "baseline": False, "calls": 4, "rounds": 2, "warmup": 1, "threads": 1,
        "timeout_s": 300.0,
    }  # fmt: skip
    with pytest.raises(SpecError, match="'good' was calibrated on 1 of the frames"):
        bench([bundle.path], BenchSpec(**quick), command=fake_command)
    insisted = BenchSpec(**quick, allow_overlap=True)
    result = bench([bundle.path], insisted, command=fake_command)
    assert result.overlap == {"good": ("f0",)}
    assert result.settings["allow_overlap"] is True
    assert any("good was calibrated on 1 of these frames, and that" in d for d in result.doubts)
    assert decode(BenchResult, encode(result)).overlap == result.overlap
