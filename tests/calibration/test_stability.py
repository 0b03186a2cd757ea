"""Scales of a half are compared with those of the whole, layer by layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lightawnet_edge.calibration.record import LayerRange, Stability
from lightawnet_edge.calibration.stability import scale_stability
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.progress import Step


def test_a_half_that_holds_the_same_frames_changes_nothing(checkpoint: Path, pool: Path) -> None:
    files = sorted((pool / "images").iterdir())[:3]
    heard: list[Step] = []
    found = scale_stability(str(checkpoint), files * 2, heard.append)
    assert heard == [Step("measuring scales", done, 6) for done in range(1, 7)]
    assert (found.weights, found.frames, found.half) == ("tiny", 6, 3)
    assert found.median("extremes") == found.worst("extremes").change("extremes") == 0
    assert found.worst("means").change("means") == pytest.approx(0, abs=1e-6)


def test_every_convolution_counts_but_those_of_the_routing(checkpoint: Path, pool: Path) -> None:
    files = sorted((pool / "images").iterdir())[:4]
    found = scale_stability(str(checkpoint), files, lambda _: None)
    names = {layer.layer for layer in found.layers}
    network = load_checkpoint(checkpoint)
    assert isinstance(network, LightAWNet)
    dynamic = {name for name in names if name.endswith(".dynamic") or name == "out"}
    assert len(dynamic) == len(network.dynamic_convs())
    assert not any("routing" in name for name in names)
    assert "e1.depthwise" in names
    assert any(layer.change("extremes") > 0 for layer in found.layers)
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert torch.is_grad_enabled()


def test_a_change_is_that_of_a_range_which_holds_zero() -> None:
    layer = LayerRange(layer="a", extremes=(2.0, 8.0, 2.0, 6.0), means=(-1.0, 3.0, -2.0, 3.0))
    assert layer.change("extremes") == pytest.approx(0.25)
    assert layer.change("means") == pytest.approx(0.25)
    silent = LayerRange(layer="b", extremes=(0.0,) * 4, means=(0.0,) * 4)
    assert silent.change("means") == 0
    found = Stability(weights="w", frames=4, half=2, layers=(layer, silent))
    assert found.worst("means").layer == "a"
    assert found.median("extremes") == pytest.approx(0.125)
