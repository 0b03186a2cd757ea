"""The frames of a routing study: halves of a set, as the network sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lightawnet_edge.approximation.routing_frames import halve
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.calibration.judgement import Judgement, judge
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import ColorOrder, Normalization, Region, Size
from tests.conftest import write_pairs

CONTRACT = Contract(
    frame=Size(64, 96),
    color=ColorOrder.RGB,
    network=Size(32, 32),
    normalization=Normalization(mean=0.0, std=1.0),
    threshold=0.5,
    probability=True,
    crop=Region(32, 0, 64, 64),
)


@pytest.fixture
def calibration(tmp_path: Path) -> CalibrationSet:
    """Two frames that are white, and foreground, in the left half of the region."""
    frame, mask = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.bool_)
    frame[:, 32:64], mask[:, 32:64] = 255, True
    return CalibrationSet.open(write_pairs(tmp_path / "frames", [(frame, mask)] * 2))


def test_frames_and_truths_of_a_study_are_those_of_the_region(calibration: CalibrationSet) -> None:
    scenes = Judgement(frames=2, blank=(), distinct=2, scene_of=("first", "second"))
    frames = halve(calibration, scenes, CONTRACT)
    assert frames.truths is not None
    (x,), (truth,) = frames.measured(), frames.truths()
    assert x.shape == (1, 3, 32, 32)
    assert truth.shape == (32, 32)
    assert torch.equal(x[0, 0] > 0.5, torch.from_numpy(truth))
    assert truth.mean() == 0.5


def test_copies_are_no_second_half(calibration: CalibrationSet) -> None:
    with pytest.raises(SpecError, match=r"needs two scenes at least, found 1 in 2 frames: "):
        halve(calibration, judge(calibration.prints()), CONTRACT)
