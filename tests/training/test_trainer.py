"""The loop: it learns, leaves complete files behind, stops early, and refuses what it must."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import ArtifactError, CheckFailedError, SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.specs import Size
from lightawnet_edge.training import losses
from lightawnet_edge.training.config import AugmentConfig, Phase, resolve
from lightawnet_edge.training.made import MadeWeights, kept_made
from lightawnet_edge.training.metrics_log import EpochRecord, Observer, StepRecord
from lightawnet_edge.training.state import Ema
from lightawnet_edge.training.trainer import train
from tests.conftest import blobs
from tests.training.conftest import MakeConfig, write_pair


class Recorder(Observer):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_start(self, *, sizes: Sequence[Size], steps: int, done: int) -> None:
        self.heard.append((len(sizes), steps, done))

    def on_step(self, record: StepRecord) -> None:
        self.heard.append(record)

    def on_epoch(self, record: EpochRecord) -> None:
        self.heard.append(record)

    def on_end(self) -> None:
        self.heard.append("end")

    @property
    def epochs(self) -> list[EpochRecord]:
        return [item for item in self.heard if isinstance(item, EpochRecord)]


def test_a_network_learns_discs(make_config: MakeConfig, frames: Path) -> None:
    for index, (frame, mask) in enumerate(blobs(44, Size(32, 32), seed=1)):
        write_pair(frames, f"disc{index}", frame, mask.astype(np.uint8) * 255)
    seen = Recorder()
    config = make_config(
        epochs=4, batch_size=4, lr=5e-3, ema_decay=0.8, augment=AugmentConfig(strength=0)
    )
    result = train(config, observer=seen)
    first, last = seen.epochs[0], seen.epochs[-1]
    assert last.loss < 0.92 * first.loss
    assert result.score.dice > first.dice + 0.2
    assert result.score.dice == max(record.dice for record in seen.epochs)


def test_the_run_folder_is_complete(make_config: MakeConfig) -> None:
    config = make_config(license="CC-BY-4.0", training_data="discs", ema_decay=0.5)
    seen = Recorder()
    result = train(config, observer=seen)
    out = config.out
    assert resolve(out / "config.toml", {}) == config
    rows = list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["dice"]) == pytest.approx(seen.epochs[0].dice, rel=1e-5)
    best = seen.epochs[result.best_epoch - 1]
    meta = read_metadata(result.checkpoint)
    assert result.checkpoint == out / "best.safetensors"
    assert (meta.size, meta.license, meta.training_data) == (config.size, "CC-BY-4.0", "discs")
    assert meta.metrics == {**dataclasses.asdict(best.score), "epoch": best.epoch}
    assert not load_checkpoint(out / "last.safetensors").training
    best_sha256, last_sha256 = (sha256_of(out / f"{name}.safetensors") for name in ("best", "last"))
    assert kept_made(out) == MadeWeights(best=best_sha256, last=last_sha256, init=None)
    assert (out / "weights.json").is_file()


def test_tensorboard_gets_every_epoch(make_config: MakeConfig) -> None:
    config, seen = make_config(), Recorder()
    train(config, observer=seen)
    events = EventAccumulator(str(config.out)).Reload()
    dice = events.Scalars("validation/dice")
    assert [event.step for event in dice] == [1, 2, 3]
    assert [event.value for event in dice] == pytest.approx([r.dice for r in seen.epochs])
    assert len(events.Scalars("train/loss")) == 3


def test_a_run_grows_through_its_phases(make_config: MakeConfig) -> None:
    config, seen = make_config(phases=(Phase(size=Size(16, 16), epochs=2),)), Recorder()
    result = train(config, observer=seen)
    assert [record.size for record in seen.epochs] == ["16x16", "16x16", "32x32"]
    assert seen.epochs[0].best
    # A Dice at a smaller size does not compare: the first epoch at full size is the best so far.
    assert seen.epochs[2].best
    assert result.best_epoch == 3
    assert read_metadata(result.checkpoint).size == Size(32, 32)
    assert resolve(config.out / "config.toml", {}) == config


def test_a_static_run_writes_static_weights(make_config: MakeConfig) -> None:
    result = train(make_config(epochs=1, experts=1))
    network = load_checkpoint(result.checkpoint)
    assert network.experts == 1
    assert sum(p.numel() for p in network.parameters()) == 1_073_245


def test_the_observer_hears_everything_in_order(make_config: MakeConfig) -> None:
    seen = Recorder()
    train(make_config(epochs=1), observer=seen)
    assert seen.heard[0] == (1, 2, 0)
    steps = [item for item in seen.heard if isinstance(item, StepRecord)]
    assert [(s.epoch, s.step, s.steps, s.images) for s in steps] == [(1, 1, 2, 2), (1, 2, 2, 2)]
    assert isinstance(seen.heard[-2], EpochRecord)
    assert seen.heard[-1] == "end"


def test_patience_ends_a_run_that_no_longer_gets_better(make_config: MakeConfig) -> None:
    # At this rate nothing changes: the first epoch stays the best.
    config = make_config(epochs=9, lr=1e-12, muon_lr=1e-12, patience=2, ema_decay=0)
    result = train(config)
    assert (result.epochs, result.best_epoch, result.stopped_early) == (3, 1, True)
    assert train(config, resume=True).epochs == 3


def test_freeze_norm_keeps_the_statistics(make_config: MakeConfig, checkpoint: Path) -> None:
    config = make_config(epochs=1, init=str(checkpoint), freeze_norm=True, ema_decay=0)
    train(config)
    assert kept_made(config.out).init == sha256_of(checkpoint)
    before, after = (load_file(path) for path in (checkpoint, config.out / "last.safetensors"))
    for name, tensor in before.items():
        kept = "running" in name or "num_batches" in name
        assert torch.equal(tensor, after[name]) is kept, name


def test_the_average_follows_at_once_without_decay_and_lags_with_it() -> None:
    model = torch.nn.BatchNorm1d(2)
    model.register_buffer("count", torch.tensor(0))
    lazy, eager = Ema(model, 0.9), Ema(model, 0.0)
    torch.nn.init.constant_(model.weight, 3.0)
    model.register_buffer("count", torch.tensor(4))
    for average in (lazy, eager):
        average.update(model, step=1000)
        assert average.model.state_dict()["count"] == 4
    assert eager.model.state_dict()["weight"].tolist() == [3, 3]
    assert lazy.model.state_dict()["weight"].tolist() == pytest.approx([1.2, 1.2])


def test_the_papers_loss_by_name(make_config: MakeConfig) -> None:
    seen = Recorder()
    train(make_config(epochs=1, loss="bce", lr=1e-12, muon_lr=1e-12), observer=seen)
    # An untrained network is near ln 2 per pixel under BCE alone.
    assert 0.4 < seen.epochs[0].loss < 1.2


def test_a_teacher_draws_the_network_towards_what_it_says(
    make_config: MakeConfig, checkpoint: Path, tmp_path: Path
) -> None:
    frames = torch.from_numpy(np.stack([frame for frame, _ in blobs(4, Size(32, 32), seed=3)]))
    inputs = frames.permute(0, 3, 1, 2).float() / 255
    said = torch.sigmoid(load_checkpoint(checkpoint)(inputs)).detach()

    def distance(teacher: str | None) -> float:
        config = make_config(out=tmp_path / str(bool(teacher)), teacher=teacher, ema_decay=0)
        found = torch.sigmoid(load_checkpoint(train(config).checkpoint)(inputs))
        return float((found.detach() - said).abs().mean())

    assert distance(str(checkpoint)) < distance(None)


# --- refusals


def test_a_folder_with_a_run_is_not_overwritten(make_config: MakeConfig) -> None:
    config = make_config(epochs=1)
    train(config)
    with pytest.raises(SpecError, match=r"holds a run already\. Go on with --resume"):
        train(config)


def test_resuming_with_another_config_names_what_differs(make_config: MakeConfig) -> None:
    train(make_config(epochs=1))
    with pytest.raises(
        SpecError, match=r"another config: epochs was 1, is 2, lr was 0.002, is 0.5"
    ):
        train(make_config(epochs=2, lr=0.5), resume=True)


def test_resuming_with_other_epochs_says_what_to_do(make_config: MakeConfig) -> None:
    config = make_config(epochs=2)
    train(config)
    with pytest.raises(SpecError) as found:
        train(make_config(epochs=5), resume=True)
    assert str(found.value) == (
        f"'{config.out}' was planned for 2 epochs, with which its learning rate ends: 5 would be "
        "another run. Leave --epochs out to finish it. For more, begin a new run from its weights: "
        f"lightawnet-edge train --config {config.out}/config.toml "
        f"--init {config.out}/best.safetensors --epochs 3 --out ANOTHER."
    )
    with pytest.raises(SpecError, match=r"1 would be another run.*best\.safetensors' holds its be"):
        train(make_config(epochs=1), resume=True)


def test_resuming_on_other_data_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config(epochs=1))
    (tmp_path / "val.txt").write_text("f2\nf7\n")
    with pytest.raises(SpecError, match="started on other frames or masks, or another split"):
        train(make_config(epochs=1), resume=True)


def test_a_broken_state_is_named(make_config: MakeConfig) -> None:
    config = make_config(epochs=1)
    config.out.mkdir()
    (config.out / "state.pt").write_bytes(b"no")
    with pytest.raises(ArtifactError, match=r"state.pt' cannot be read as the state of a run"):
        train(config, resume=True)


def test_a_state_of_another_version_is_named(make_config: MakeConfig) -> None:
    config = make_config(epochs=1)
    config.out.mkdir()
    torch.save({"schema": 99, "records": []}, config.out / "state.pt")
    with pytest.raises(ArtifactError, match="schema 99, this version reads 2"):
        train(config, resume=True)


def test_a_batch_larger_than_the_training_set_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(SpecError, match="batch_size=6 is more than the 5 training frames"):
        train(make_config(batch_size=6))


def test_a_loss_that_is_not_finite_ends_the_run(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "bce_dice", lambda logits, _truth: logits.sum() * float("nan"))
    seen = Recorder()
    with pytest.raises(CheckFailedError, match=r"loss is nan at epoch 1, step 1\. Lower --lr"):
        train(make_config(), observer=seen)
    assert seen.heard[-1] == "end"


def test_weights_that_are_not_finite_are_never_saved(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step saw the weights before it: the last step of an epoch can ruin them."""
    update = Ema.update

    def spoiled(self: Ema, model: torch.nn.Module, step: int) -> None:
        update(self, model, step)
        next(self.model.parameters()).fill_(float("inf"))

    monkeypatch.setattr(Ema, "update", spoiled)
    config = make_config()
    with pytest.raises(CheckFailedError, match=r"After epoch 1 tensor .* not finite.*Lower --lr"):
        train(config)
    assert not list(config.out.glob("*.safetensors"))
