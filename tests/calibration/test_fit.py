"""Batch norms know the frames that a network was trained on."""

from __future__ import annotations

import pytest
import torch

from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.calibration.fit import FRAMES, mismatch
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.calibration.judgement import STRANGE
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.specs import ColorOrder, Normalization, Size
from tests.conftest import random_network

SIZE = Size(96, 96)


def preprocessed(color: ColorOrder) -> list[torch.Tensor]:
    preprocess = Preprocess(SIZE, Normalization(), ColorOrder.RGB)
    frames = CalibrationSet.open(None).frames(Camera(size=SIZE, color=color))
    return [preprocess(torch.from_numpy(frame)) for frame in frames]


@pytest.mark.parametrize("weights", ["polypgen", "kvasir-static"])
def test_colonoscopy_is_known_to_networks_of_colonoscopy(weights: str) -> None:
    network = load_checkpoint(weights)
    known = mismatch(network, preprocessed(ColorOrder.RGB))
    assert known < STRANGE
    assert mismatch(network, preprocessed(ColorOrder.BGR)) > max(STRANGE, 2 * known)
    dark = [torch.full((1, 3, 96, 96), -2.0)]
    assert mismatch(network, dark) > 10 * known


def test_what_was_seen_in_training_is_at_no_distance() -> None:
    network = random_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    seen = [torch.randn(1, 3, 48, 48) for _ in range(FRAMES)]
    with torch.no_grad():
        for _ in range(2):  # later norms see what earlier ones let through
            network.train()
            for x in seen:
                network(x)
    network.eval()
    assert mismatch(network, seen) < STRANGE
    assert not any(module._forward_pre_hooks for module in network.modules())
