"""A tiny data set on disk, and configs for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lightawnet_edge.specs import Size
from lightawnet_edge.training.config import TrainConfig
from tests.conftest import blobs

MakeConfig = Callable[..., TrainConfig]


def write_pair(
    root: Path, stem: str, frame: np.ndarray, mask: np.ndarray, suffix: str = ".png"
) -> None:
    for folder, pixels in (("images", frame[..., ::-1]), ("masks", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / folder / f"{stem}{suffix}"), pixels)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Eight pairs f0..f7 of 40x48 pixels; f7 has an empty mask."""
    root = tmp_path / "frames"
    for index, (frame, mask) in enumerate(blobs(8, Size(40, 48))):
        values = mask.astype(np.uint8) * 255 * (index < 7)
        write_pair(root, f"f{index}", frame, values.astype(np.uint8))
    (tmp_path / "val.txt").write_text("f2\nf6.png\n\n# f0 is for training\nf7\n")
    return root


@pytest.fixture
def make_config(frames: Path, tmp_path: Path) -> MakeConfig:
    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "data": frames,
            "out": tmp_path / "run",
            "val_split": tmp_path / "val.txt",
            "size": Size(32, 32),
            "epochs": 3,
            "batch_size": 2,
            "threads": 1,
            "device": "cpu",
            "hints": 0.0,
            "precision": "fp32",
        }
        return TrainConfig(**(values | changes))

    return make
