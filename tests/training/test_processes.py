"""Two processes compute what one computes at the same global batch; bf16 trains on a CPU."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lightawnet_edge.errors import SpecError
from lightawnet_edge.training import setup
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.trainer import train
from tests.training.conftest import MakeConfig
from tests.training.test_interruption import child_command, child_environment

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
TOLERANCE = 1e-4
"""Sums over two halves round differently (about 1e-7 of a gradient), and AdamW divides a gradient
by its own size: where it is nearly zero, rounding decides. A step moves weights by 1e-3 here."""


def run_child(config: TrainConfig, file: Path, *launcher: str) -> str:
    done = subprocess.run(
        child_command(config, file, *launcher),
        capture_output=True, text=True, env=child_environment(), timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_two_gloo_processes_agree_with_one(
    make_config: MakeConfig, checkpoint: Path, tmp_path: Path
) -> None:
    same = {"epochs": 2, "batch_size": 4, "init": str(checkpoint), "freeze_norm": True, "lr": 1e-3}
    one = make_config(out=tmp_path / "one", **same)
    two = make_config(out=tmp_path / "two", **same)
    train(one)
    steps = run_child(two, tmp_path / "two.toml", *TORCHRUN)
    # The observer speaks in the main process alone: one line per step, not two.
    assert steps.splitlines() == ["step 1 1", "step 2 1"]
    start = load_file(checkpoint)
    ours, theirs = (load_file(config.out / "last.safetensors") for config in (one, two))
    moved = max(float((ours[name] - start[name]).abs().max()) for name in ours)
    apart = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    assert moved > 10 * TOLERANCE
    assert apart < TOLERANCE
    for a, b in zip(metrics(one.out), metrics(two.out), strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-4)
        assert float(a["dice"]) == pytest.approx(float(b["dice"]), abs=1e-3)


def test_bf16_trains_on_a_cpu(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(epochs=2, precision="bf16")
    run_child(config, tmp_path / "bf16.toml")
    assert [row["epoch"] for row in metrics(config.out)] == ["1", "2"]
    assert {t.dtype.itemsize for t in load_file(config.out / "last.safetensors").values()} <= {4, 8}


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Three:
        num_processes = 3

    monkeypatch.setattr(setup, "Accelerator", lambda **_: Three())
    with pytest.raises(SpecError, match=r"batch_size=2 does not divide among 3 processes"):
        setup.make_accelerator(make_config())
