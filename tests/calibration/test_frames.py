"""A calibration set is real frames under a digest of their bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.calibration.frames import PACKAGED, CalibrationSet
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import ColorOrder, Size


def test_the_digest_depends_on_the_bytes_alone(dataset: Path, tmp_path: Path) -> None:
    original = CalibrationSet.open(dataset)
    for number, file in enumerate(reversed(original.listed.files)):
        shutil.copy(file.image, tmp_path / f"renamed{number}.png")
    renamed = CalibrationSet.open(tmp_path)
    assert renamed.source.sha256 == original.source.sha256
    assert renamed.source.frames == 8
    (tmp_path / "renamed0.png").unlink()
    assert CalibrationSet.open(tmp_path).source.sha256 != original.source.sha256


def test_frames_come_as_the_camera_of_the_contract_gives_them(dataset: Path) -> None:
    frames = CalibrationSet.open(dataset)
    rgb, bgr, gray = (
        list(frames.frames(Camera(size=Size(40, 48), color=color)))
        for color in (ColorOrder.RGB, ColorOrder.BGR, ColorOrder.GRAY)
    )
    assert len(rgb) == 8
    assert rgb[0].shape == (40, 48, 3)
    np.testing.assert_array_equal(rgb[0], bgr[0][:, :, ::-1])
    assert gray[0].shape == (40, 48)


def test_without_a_folder_the_packaged_frames_are_taken() -> None:
    packaged = CalibrationSet.open(None)
    assert packaged.source.name == PACKAGED
    assert packaged.source.frames == len(packaged) >= 10


def test_an_empty_folder_is_refused_and_nothing_is_invented(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"No image in .*random data is never used instead\. Give a folder"
    ):
        CalibrationSet.open(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No folder '.*nowhere'"):
        CalibrationSet.open(tmp_path / "nowhere")


def test_masks_come_with_all_frames_or_with_none(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    frames = CalibrationSet.open(copy)
    assert frames.has_masks
    assert [mask.shape for mask in frames.truths(Size(40, 48))] == [(40, 48)] * 8
    (copy / "masks" / "frame0.png").unlink()
    frames = CalibrationSet.open(copy)
    with pytest.raises(ArtifactError, match=r"has no mask: expected .* leave the whole folder of"):
        _ = frames.has_masks
    shutil.rmtree(copy / "masks")
    frames = CalibrationSet.open(copy)
    assert not frames.has_masks
    assert list(frames.truths(Size(40, 48))) == []
    assert CalibrationSet.open(dataset / "images").has_masks, "the folder beside it counts too"
