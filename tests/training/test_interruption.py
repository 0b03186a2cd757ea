"""A run that is killed and resumed ends with the bits of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import lightawnet_edge
from lightawnet_edge.training.config import TrainConfig, to_toml
from lightawnet_edge.training.metrics_log import Observer, StepRecord
from lightawnet_edge.training.state import RunState
from lightawnet_edge.training.trainer import train
from tests.training.conftest import MakeConfig

CHILD = Path(__file__).with_name("child.py")


def child_command(config: TrainConfig, file: Path, *launcher: str) -> list[str]:
    file.write_text(to_toml(config))
    return [sys.executable, *launcher, str(CHILD), str(file)]


def child_environment() -> dict[str, str]:
    root = str(Path(lightawnet_edge.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def assert_same_run(a: Path, b: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    assert len((a / "metrics.csv").read_text().splitlines()) == len(
        (b / "metrics.csv").read_text().splitlines()
    )
    first, second = (RunState.load(folder / "state.pt") for folder in (a, b))
    for name, tensor in first.model.items():
        assert torch.equal(tensor, second.model[name]), name


class InterruptAt(Observer):
    """Does what Ctrl-C does, at one step."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def on_step(self, record: StepRecord) -> None:
        if (record.epoch, record.step) == self.at:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_sigkill_and_ctrl_c_change_no_bit(make_config: MakeConfig, tmp_path: Path) -> None:
    whole = make_config(epochs=4, out=tmp_path / "whole")
    train(whole)

    config = make_config(epochs=4, out=tmp_path / "killed")
    command = child_command(config, tmp_path / "config.toml")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=child_environment()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "step 2 1\n":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert len(RunState.load(config.out / "state.pt").records) == 1

    with pytest.raises(KeyboardInterrupt):
        train(config, resume=True, observer=InterruptAt(3, 2))
    assert len(RunState.load(config.out / "state.pt").records) == 2
    assert train(config, resume=True).epochs == 4
    assert_same_run(whole.out, config.out)


def test_an_interruption_before_the_first_epochs_end_starts_over(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    whole = make_config(epochs=1, out=tmp_path / "whole")
    train(whole)
    config = make_config(epochs=1)
    with pytest.raises(KeyboardInterrupt):
        train(config, observer=InterruptAt(1, 2))
    train(config, resume=True)
    assert_same_run(whole.out, config.out)


def test_dying_between_weights_and_state_changes_no_bit(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_config(epochs=3, out=tmp_path / "whole")
    train(whole)
    config = make_config(epochs=3)
    save = RunState.save

    def dies_on_the_second(self: RunState, path: Path) -> None:
        if len(self.records) == 2:
            raise KeyboardInterrupt
        save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "save", dies_on_the_second)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    train(config, resume=True)
    assert_same_run(whole.out, config.out)


def test_resuming_a_finished_run_changes_nothing(make_config: MakeConfig) -> None:
    config = make_config(epochs=1)
    first = train(config)
    before = load_file(first.checkpoint)
    assert train(config, resume=True) == first
    assert all(torch.equal(before[k], v) for k, v in load_file(first.checkpoint).items())
