"""A development slice: training frames that choose the epoch, so that validation is scored once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.data.likeness import read_prints
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.training.data import load
from lightawnet_edge.training.made import kept_made
from lightawnet_edge.training.metrics_log import EpochRecord, Observer
from lightawnet_edge.training.setup import make_accelerator
from lightawnet_edge.training.split import DEVELOPED, TRAINED, kept_sides
from lightawnet_edge.training.trainer import train
from lightawnet_edge.training.validation import score
from tests.training.conftest import MakeConfig

SHARE = 0.3


def test_the_slice_comes_out_of_the_training_frames(make_config: MakeConfig) -> None:
    told: list[str] = []
    sets = load(make_config(dev_fraction=SHARE), told.append)
    assert sets.dev is not None
    assert sorted((*sets.train.stems, *sets.dev.stems)) == ["f0", "f1", "f3", "f4", "f5"]
    assert sets.val.stems == ("f2", "f6", "f7")
    held = len(sets.dev)
    assert told[-1] == f"development: {held} of 5 training frames are held out to choose on"


def test_frames_of_a_group_stay_together(make_config: MakeConfig, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    lines = [f"f{i},{'val' if i in (2, 6, 7) else 'ab'[i % 2]}" for i in range(8)]
    table.write_text("\n".join(["stem,group", *lines]))
    sets = load(make_config(dev_fraction=0.6, groups=table))
    assert sets.dev is not None
    assert (sets.train.stems, sets.dev.stems) == (("f0", "f4"), ("f1", "f3", "f5"))


def test_validation_frames_are_scored_once_and_after_the_choice(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[tuple[str, ...]] = []

    def heard(network, frames, *rest):  # type: ignore[no-untyped-def]
        scored.append(frames.stems)
        return score(network, frames, *rest)

    monkeypatch.setattr("lightawnet_edge.training.trainer.score", heard)
    config = make_config(dev_fraction=SHARE, ema_decay=0.5)
    result = train(config)
    dev, val = load(config).dev, load(config).val
    assert dev is not None
    assert scored == [dev.stems] * 3 + [val.stems]
    metrics = read_metadata(result.checkpoint).metrics
    assert {key: metrics[key] for key in dataclasses.asdict(result.score)} == dataclasses.asdict(
        result.score
    )
    assert {"dev_dice", "dev_iou", "epoch"} <= metrics.keys()
    assert kept_made(config.out).best == sha256_of(result.checkpoint)
    network, accelerator = load_checkpoint(result.checkpoint), make_accelerator(config)
    again = score(network, val, config.normalization, accelerator, config.batch_size)
    assert again.dice == pytest.approx(result.score.dice)


def test_until_the_end_the_checkpoint_says_which_frames_scored_it(make_config: MakeConfig) -> None:
    class Stop(Observer):
        def on_epoch(self, record: EpochRecord) -> None:
            raise KeyboardInterrupt

    config = make_config(dev_fraction=SHARE)
    with pytest.raises(KeyboardInterrupt):
        train(config, observer=Stop())
    assert {"dice", "dev_dice"} & read_metadata(config.out / "best.safetensors").metrics.keys() == {
        "dev_dice"
    }


def test_a_run_keeps_its_slice_and_counts_it_as_seen(make_config: MakeConfig) -> None:
    config = make_config(epochs=1, dev_fraction=SHARE, val_split=None, val_fraction=0.4)
    first = train(config)
    names = [{one.stem for one in read_prints(config.out / f)} for f in (TRAINED, DEVELOPED)]
    assert names[0].isdisjoint(names[1])
    kept = kept_sides(config.out)
    assert kept is not None
    assert set(kept.train) == names[0] | names[1]
    assert train(config, resume=True) == first


@pytest.mark.parametrize("share", [1e-9, 0.999999])
def test_a_slice_of_nothing_or_of_everything_is_refused(
    make_config: MakeConfig, share: float
) -> None:
    with pytest.raises(SpecError, match=r"holds out [05] of 5 training frames\. Change it"):
        load(make_config(dev_fraction=share))
