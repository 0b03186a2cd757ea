"""A pool of small frames that do not resemble each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

MakePool = Callable[..., Path]


def textured(seed: int) -> NDArray[np.uint8]:
    """A frame (60, 80, 3) of its own pattern, brightness and contrast."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(rng.uniform(80, 170), rng.uniform(15, 50), (8, 8, 3))
    fine = cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine.clip(20, 255), np.uint8)


@pytest.fixture
def make_pool(tmp_path: Path) -> MakePool:
    """Write frames `north_0`, `south_1`, `north_2`, ... of these seeds into `NAME/images`."""

    def make(name: str, seeds: range, *, masks: bool = True) -> Path:
        root = tmp_path / name
        (root / "images").mkdir(parents=True)
        if masks:
            (root / "masks").mkdir()
        for seed in seeds:
            stem = f"{('north', 'south')[seed % 2]}_{seed}"
            cv2.imwrite(str(root / "images" / f"{stem}.png"), textured(seed))
            mask = np.zeros((60, 80), np.uint8)
            mask[: seed % 7, : 5 + seed] = 255
            if masks:
                cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
        return root

    return make


@pytest.fixture
def pool(make_pool: MakePool) -> Path:
    """24 frames from two sources, with masks; some masks are empty."""
    return make_pool("pool", range(24))


@pytest.fixture
def held_out(make_pool: MakePool) -> Path:
    """Three frames that show nothing of the pool."""
    return make_pool("held-out", range(100, 103))
