"""Scales of a half are compared with those of the whole, layer by layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightawnet_edge.calibration.design import design
from lightawnet_edge.calibration.judgement import STRANGE, set_doubts
from lightawnet_edge.calibration.pool import DesignSpec
from lightawnet_edge.calibration.ranges import Histogram, Range, clip
from lightawnet_edge.calibration.record import LayerRange, Stability
from lightawnet_edge.calibration.stability import scale_stability
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.progress import Step
from lightawnet_edge.specs import Method


def test_a_half_that_holds_the_same_frames_changes_nothing(checkpoint: Path, pool: Path) -> None:
    files = sorted((pool / "images").iterdir())[:3]
    heard: list[Step] = []
    found = scale_stability(str(checkpoint), files * 2, heard.append)
    assert heard == [Step("measuring scales", done, 6) for done in range(1, 7)]
    assert (found.weights, found.frames, found.half) == ("tiny", 6, 3)
    assert found.methods == tuple(Method)
    assert found.median(Method.MIN_MAX) == found.worst(Method.MIN_MAX).change(Method.MIN_MAX) == 0
    # A histogram that grows moves what it has counted by up to half a bin.
    assert all(found.median(method) < 0.01 for method in Method)


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
    assert any(layer.change(Method.MIN_MAX) > 0 for layer in found.layers)
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert torch.is_grad_enabled()


def test_a_change_is_that_of_a_range_which_holds_zero() -> None:
    one, other = Method.MIN_MAX, Method.MSE
    layer = LayerRange(layer="a", ranges={one: (0.0, 8.0, 0.0, 6.0), other: (-1.0, 3.0, -2.0, 3.0)})
    assert layer.change(one) == pytest.approx(0.25)
    assert layer.change(other) == pytest.approx(0.25)
    silent = LayerRange(layer="b", ranges={one: (0.0,) * 4, other: (0.0,) * 4})
    assert silent.change(other) == 0
    found = Stability(weights="w", frames=4, half=2, layers=(layer, silent))
    assert found.worst(other).layer == "a"
    assert found.median(one) == pytest.approx(0.125)


def test_a_range_is_what_the_quantizers_make_of_the_same_values(
    checkpoint: Path, pool: Path
) -> None:
    files = sorted((pool / "images").iterdir())[:4]
    network, seen = load_checkpoint(checkpoint).eval(), Histogram()
    network.e1.depthwise.register_forward_pre_hook(lambda _, inputs: seen.add(inputs[0].numpy()))
    meta = read_metadata(checkpoint)
    preprocess = Preprocess(meta.size, meta.normalization, meta.color)
    ends: list[Range] = []
    with torch.no_grad():
        for done, file in enumerate(files, 1):
            network(preprocess(torch.from_numpy(read_frame(file))))
            if done in (2, 4):
                ends.insert(0, clip(seen, Method.PERCENTILE))
    found = scale_stability(str(checkpoint), files, lambda _: None)
    (layer,) = [layer for layer in found.layers if layer.layer == "e1.depthwise"]
    assert layer.ranges[Method.PERCENTILE] == (*ends[0], *ends[1])


def test_a_doubt_names_the_methods_whose_scales_still_move(
    checkpoint: Path, pool: Path, tmp_path: Path
) -> None:
    moving = LayerRange(
        layer="a", ranges={Method.MIN_MAX: (0, 4, 0, 2), Method.ENTROPY: (0, 1, 0, 1)}
    )
    stability = Stability(weights="w", frames=4, half=2, layers=(moving,))
    spec = DesignSpec(data=pool, frames=4)
    record = replace(design(spec, tmp_path / "set"), stability=stability)
    (doubt,) = [one for one in set_doubts(record) if one.startswith("scales")]
    assert doubt.startswith("scales by min-max still change by 50% in the middle layer between 2")


def test_a_set_that_is_strange_to_the_weights_is_doubted(
    checkpoint: Path, pool: Path, held_out: Path, tmp_path: Path
) -> None:
    wanted = DesignSpec(data=pool, frames=8, evaluation=held_out, weights=str(checkpoint))
    record = design(wanted, tmp_path / "set")
    assert record.stability is not None
    assert record.stability.mismatch is not None
    assert record.stability.mismatch > STRANGE
    assert any("not like those that 'tiny' was trained on" in one for one in set_doubts(record))
    known = replace(record, stability=replace(record.stability, mismatch=STRANGE))
    assert not any("not like those" in one for one in set_doubts(known))
