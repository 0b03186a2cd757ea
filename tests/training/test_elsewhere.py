"""A run goes on elsewhere: another speed, layout and precision, without what it started from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.training.metrics_log import EpochRecord, Observer
from lightawnet_edge.training.setup import keep_depthwise_in_float
from lightawnet_edge.training.state import RunState
from lightawnet_edge.training.trainer import train
from tests.training.conftest import MakeConfig


class StopAfterFirst(Observer):
    def on_epoch(self, record: EpochRecord) -> None:
        raise KeyboardInterrupt


def test_it_goes_on_without_the_weights_that_it_started_from(
    make_config: MakeConfig, checkpoint: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start.safetensors"
    shutil.copy(checkpoint, start)
    whole = make_config(epochs=2, out=tmp_path / "whole", init=str(start))
    train(whole)
    config = make_config(epochs=2, init=str(start))
    with pytest.raises(KeyboardInterrupt):
        train(config, observer=StopAfterFirst())
    start.unlink()
    train(make_config(epochs=2, init="gone.safetensors"), resume=True)
    ours, theirs = (load_file(run / "last.safetensors") for run in (config.out, whole.out))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_layout_threads_and_precision_may_change(make_config: MakeConfig) -> None:
    config = make_config(epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(config, observer=StopAfterFirst())
    there = make_config(epochs=2, memory_format="channels_last", precision="auto", threads=2)
    assert train(there, resume=True).epochs == 2


def test_a_run_of_an_earlier_version_goes_on(make_config: MakeConfig) -> None:
    """Its state knows no setting that came later; these count as left at their defaults."""
    config = make_config(epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(config, observer=StopAfterFirst())
    file = config.out / "state.pt"
    state = RunState.load(file)
    for key in ("weight", "more", "dev_fraction", "memory_format"):
        del state.config[key]
    for key in ("gamma", "white_balance", "aspect"):
        del state.config["augment"][key]
    state.save(file)
    assert train(config, resume=True).epochs == 2
    with pytest.raises(SpecError, match=r"weight was 1\.0, is 2\.0"):
        train(make_config(epochs=2, weight=2.0), resume=True)


def test_another_teacher_is_refused_and_the_same_elsewhere_is_not(
    make_config: MakeConfig, checkpoint: Path, tmp_path: Path
) -> None:
    config = make_config(epochs=2, teacher=str(checkpoint))
    with pytest.raises(KeyboardInterrupt):
        train(config, observer=StopAfterFirst())
    with pytest.raises(SpecError, match="was started with another teacher than 'polypgen'"):
        train(make_config(epochs=2, teacher="polypgen"), resume=True)
    moved = shutil.copy(checkpoint, tmp_path / "moved.safetensors")
    assert train(make_config(epochs=2, teacher=str(moved)), resume=True).epochs == 2


def test_channels_last_changes_rounding_alone(make_config: MakeConfig, tmp_path: Path) -> None:
    runs = []
    for layout in ("contiguous", "channels_last"):
        config = make_config(epochs=1, out=tmp_path / layout, memory_format=layout, lr=1e-4)
        train(config)
        runs.append(load_file(config.out / "last.safetensors"))
    assert max(float((runs[0][k] - v).abs().max()) for k, v in runs[1].items()) < 1e-2


def test_depthwise_convolutions_stay_in_float_under_autocast() -> None:
    network = LightAWNet(3, experts=1)
    names = set(network.state_dict())
    keep_depthwise_in_float(network)
    assert set(network.state_dict()) == names
    seen = {}
    for name in ("e2.depthwise", "e2.expand"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, _x, y, name=name: seen.update({name: y.dtype})
        )
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(1, 3, 32, 32))
    assert seen == {"e2.depthwise": torch.float32, "e2.expand": torch.bfloat16}
