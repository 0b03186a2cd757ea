"""Several folders in one run: how often each is shown, whose names are whose, what validates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lightawnet_edge.data.likeness import read_prints
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Size
from lightawnet_edge.training.config import MoreData, resolve, to_toml
from lightawnet_edge.training.data import EpochSampler, Part, load
from lightawnet_edge.training.split import TRAINED
from lightawnet_edge.training.trainer import train
from tests.conftest import blobs
from tests.training.conftest import MakeConfig, write_pair


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Six pairs f0..f5, of names that the first folder uses, too."""
    root = tmp_path / "other"
    for index, (frame, mask) in enumerate(blobs(6, Size(40, 48), seed=77)):
        write_pair(root, f"f{index}", frame, mask.astype(np.uint8) * 255)
    (tmp_path / "some.txt").write_text("f0\nf1\nf2\nf3\n")
    return root


def test_frames_of_a_further_folder_train_and_never_validate(
    make_config: MakeConfig, other: Path, tmp_path: Path
) -> None:
    more = (MoreData(data=other, split=tmp_path / "some.txt", weight=0.5),)
    sets = load(make_config(more=more))
    assert sets.train.stems[-4:] == ("other/f0", "other/f1", "other/f2", "other/f3")
    assert sets.val.stems == ("f2", "f6", "f7")
    assert sets.parts == (Part(5, 1.0), Part(4, 0.5))


def test_a_frame_of_both_folders_on_both_sides_is_refused(
    make_config: MakeConfig, frames: Path
) -> None:
    with pytest.raises(SpecError, match=r"same pixels as a training frame: f2 = frames/f2"):
        load(make_config(more=(MoreData(data=frames),)))


def test_an_epoch_shows_a_folder_as_often_as_its_weight_says() -> None:
    sampler = EpochSampler(10, 3, (Part(4, 2.5), Part(6, 0.5)))
    assert len(sampler) == 13
    halves = set()
    for sampler.epoch in range(4):
        shown = list(sampler)
        assert len(set(shown)) == len(shown) == 13  # no two showings are changed alike
        counts = Counter(index % 10 for index in shown)
        assert sorted(counts[i] for i in range(4)) == [2, 2, 3, 3]
        assert sorted(counts[i] for i in range(4, 10)) == [0, 0, 0, 1, 1, 1]
        halves.add(frozenset(i for i in range(4, 10) if counts[i]))
    assert len(halves) > 1  # drawn anew in every epoch


def test_a_run_on_two_folders_is_kept_and_goes_on(
    make_config: MakeConfig, other: Path, tmp_path: Path
) -> None:
    more = (MoreData(data=other, weight=1.5),)
    config = make_config(epochs=1, val_split=None, val_fraction=0.4, more=more)
    first = train(config)
    assert {"other/f0", "other/f5"} <= {one.stem for one in read_prints(config.out / TRAINED)}
    assert resolve(config.out / "config.toml", {}) == config
    assert train(config, resume=True) == first


@pytest.mark.parametrize("weight", [0, -1, 101])
def test_a_weight_out_of_range_is_refused(make_config: MakeConfig, weight: float) -> None:
    with pytest.raises(SpecError, match="must be above 0, at most 100"):
        make_config(weight=weight)
    with pytest.raises(SpecError, match=r"more\.weight=.* must be above 0, at most 100"):
        MoreData(data=Path("d"), weight=weight)


def test_folders_survive_the_toml(make_config: MakeConfig, tmp_path: Path) -> None:
    more = (MoreData(data=Path("a"), weight=0.25), MoreData(data=Path("b"), split=Path("s.txt")))
    config = make_config(more=more, weight=2.0)
    (tmp_path / "c.toml").write_text(to_toml(config))
    assert resolve(tmp_path / "c.toml", {}) == config
