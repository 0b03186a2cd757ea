"""The split: by files, by scene or by group; what may not stand on both sides, and what is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import Size
from lightawnet_edge.training.data import Sets, load
from lightawnet_edge.training.split import VAL_SPLIT, drawn_sides, kept_sides
from lightawnet_edge.training.trainer import train
from tests.conftest import blobs
from tests.training.conftest import MakeConfig, write_pair


@pytest.fixture
def scenes(frames: Path) -> Path:
    """The eight frames f0..f7, and of each a copy of other pixels under another name."""
    for index in range(8):
        for folder in ("images", "masks"):
            picture = cv2.imread(str(frames / folder / f"f{index}.png"), cv2.IMREAD_UNCHANGED)
            assert picture is not None
            if folder == "images":
                picture = np.clip(picture.astype(int) + 2, 0, 255).astype(np.uint8)
            assert cv2.imwrite(str(frames / folder / f"copy of f{index}.png"), picture)
    return frames


def sides(sets: Sets) -> list[set[str]]:
    return [set(one.stems) for one in (sets.train, sets.val)]


# --- by files


def test_one_split_file_leaves_the_rest_to_the_other_side(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "train.txt").write_text("f0\nf1\n")
    sets = load(make_config(split=tmp_path / "train.txt", val_split=None))
    train_set, val_set = sets.train, sets.val
    assert train_set.stems == ("f0", "f1")
    assert len(val_set) == 6


def test_a_frame_in_both_split_files_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("f0\nf2\nf6\n")
    with pytest.raises(SpecError, match=r"share 2 frame\(s\): f2, f6"):
        load(make_config(split=tmp_path / "train.txt"))


def test_a_split_file_that_names_unknown_frames_is_refused(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "val.txt").write_text("f1\nnobody\n")
    with pytest.raises(ArtifactError, match=r"val.txt' has 1 problem: it names 'nobody'"):
        load(make_config())
    with pytest.raises(ArtifactError, match=r"No split file '.*none.txt'"):
        load(make_config(val_split=tmp_path / "none.txt"))


def test_an_empty_side_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("# nothing\n")
    with pytest.raises(ArtifactError, match=r"val\.txt' names no frame"):
        load(make_config())
    (tmp_path / "all.txt").write_text("\n".join(f"f{index}" for index in range(8)))
    with pytest.raises(SpecError, match="leaves no validation frame of 8"):
        load(make_config(split=tmp_path / "all.txt", val_split=None))
    with pytest.raises(SpecError, match="leaves no training frame of 8"):
        load(make_config(val_split=tmp_path / "all.txt"))


def test_near_copies_across_split_files_are_doubted_by_name(
    make_config: MakeConfig, scenes: Path
) -> None:
    told: list[str] = []
    load(make_config(), told.append)
    assert len(told) == 1
    assert told[0].startswith(
        "3 of 3 validation frames nearly show the picture of a training frame, so their scores "
        "flatter: "
        "'f2' ~ 'copy of f2' (alike by "
    )
    assert scenes.is_dir()


def test_of_many_near_copies_ten_are_named(
    make_config: MakeConfig, frames: Path, tmp_path: Path
) -> None:
    for index, (frame, mask) in enumerate(blobs(12, Size(40, 48), seed=5)):
        for name, shift in (("t", 0), ("v", 1)):
            write_pair(frames, f"{name}{index}", frame + np.uint8(shift), mask * np.uint8(255))
    (tmp_path / "val.txt").write_text("".join(f"v{index}\n" for index in range(12)))
    told: list[str] = []
    load(make_config(), told.append)
    assert told[0].count(" ~ ") == 10
    assert told[0].endswith(", and 2 more")


# --- by scene


def test_what_is_alike_stays_on_one_side(make_config: MakeConfig, scenes: Path) -> None:
    told: list[str] = []
    config = make_config(data=scenes, val_split=None, val_fraction=0.4)
    sets = load(config, told.append)
    train_set, val_set = sets.train, sets.val
    assert len(train_set) + len(val_set) == 16
    for side in sides(sets):
        assert {f"f{index}" in side for index in range(8)} == {True, False}
        assert all((f"f{index}" in side) == (f"copy of f{index}" in side) for index in range(8))
    assert told == [
        f"validation: {len(val_set)} of 16 frames, drawn by scene: 8 scenes of at most 2 frames"
    ]


def test_a_new_frame_moves_no_other(make_config: MakeConfig, frames: Path) -> None:
    config = make_config(val_split=None, val_fraction=0.4)
    before = sides(load(config))
    for index, (frame, mask) in enumerate(blobs(22, Size(40, 48), seed=9), start=8):
        write_pair(frames, f"f{index}", frame, mask * np.uint8(255))
    shutil.copy(frames / "images" / "f3.png", frames / "images" / "g3.png")
    shutil.copy(frames / "masks" / "f3.png", frames / "masks" / "g3.png")
    after = sides(load(config))
    assert all(old <= new for old, new in zip(before, after, strict=True))
    assert 4 <= len(after[1]) <= 20
    assert any({"f3", "g3"} <= side for side in after)


def test_another_seed_draws_other_scenes(make_config: MakeConfig) -> None:
    units = {f"f{index}": f"f{index}" for index in range(40)}
    drawn = {
        frozenset(drawn_sides(units, make_config(seed=seed), lambda _: None).val)
        for seed in range(4)
    }
    assert len(drawn) == 4


def test_gray_frames_have_scenes_too(make_config: MakeConfig, scenes: Path) -> None:
    config = make_config(data=scenes, val_split=None, val_fraction=0.4, in_channels=1)
    stems = load(config).val.stems
    assert sorted(stem.removeprefix("copy of ") for stem in stems) == sorted(
        2 * [stem for stem in stems if not stem.startswith("copy")]
    )


def test_one_scene_cannot_be_split(make_config: MakeConfig, frames: Path, tmp_path: Path) -> None:
    shutil.rmtree(frames)
    ((frame, mask),) = blobs(1, Size(40, 48))
    for index in range(5):
        write_pair(frames, f"a{index}", frame + np.uint8(index), mask * np.uint8(255))
    with pytest.raises(
        SpecError,
        match=r"leaves no validation frame of 5\. They are 1 scene of at most 5 frames, and a "
        "scene stays on one side. Name the frames with --val-split FILE",
    ):
        load(make_config(val_split=None))


# --- by group


def write_groups(path: Path, groups: dict[str, str]) -> Path:
    path.write_text("stem,group\n" + "".join(f"{s},{g}\n" for s, g in groups.items()))
    return path


def test_a_group_stays_on_one_side(make_config: MakeConfig, tmp_path: Path) -> None:
    groups = {f"f{index}": "abcd"[index // 2] for index in range(8)}
    table = write_groups(tmp_path / "g.csv", groups)
    told: list[str] = []
    config = make_config(val_split=None, groups=table, val_fraction=0.5)
    sets = load(config, told.append)
    train_set, val_set = sets.train, sets.val
    shared = {groups[stem] for stem in train_set.stems} & {groups[stem] for stem in val_set.stems}
    assert not shared
    assert told == [
        f"validation: {len(val_set)} of 8 frames, drawn by group: 4 groups of at most 2 frames"
    ]


def test_a_frame_without_a_group_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    table = write_groups(tmp_path / "g.csv", {f"f{index}": "a" for index in range(6)})
    with pytest.raises(
        ArtifactError,
        match=r"g\.csv' has 2 problems: it names no group of 'f6'; .* Give every frame of the set",
    ):
        load(make_config(val_split=None, groups=table))


def test_split_files_that_part_a_group_are_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    table = write_groups(tmp_path / "g.csv", {f"f{i}": f"p{i // 4}" for i in range(8)})
    with pytest.raises(SpecError, match=r"The split files share 2 group\(s\): p0, p1\."):
        load(make_config(groups=table))


# --- kept


def test_a_run_says_which_frames_validated_it(make_config: MakeConfig) -> None:
    config = make_config(epochs=1)
    train(config)
    assert (config.out / VAL_SPLIT).read_text() == "f2\nf6\nf7\n"
    kept = kept_sides(config.out)
    assert kept is not None
    assert (set(kept.train), set(kept.val)) == ({"f0", "f1", "f3", "f4", "f5"}, {"f2", "f6", "f7"})


def test_a_resumed_run_keeps_the_split_that_it_drew(make_config: MakeConfig, frames: Path) -> None:
    """A frame that came in links two scenes of both sides; the run goes on as it was."""
    config = make_config(epochs=1, val_split=None, val_fraction=0.4)
    first = train(config)
    (stem,) = sorted(load(config).val.stems)[:1]
    for folder in ("images", "masks"):
        shutil.copy(frames / folder / f"{stem}.png", frames / folder / "a.png")
    told: list[str] = []
    assert train(config, resume=True, narrate=told.append) == first
    assert told == ["not used of 'frames': 1 frame that no side names"]


def test_a_resumed_run_whose_frame_is_gone_is_refused(
    make_config: MakeConfig, frames: Path
) -> None:
    config = make_config(epochs=1, val_split=None, val_fraction=0.4)
    train(config)
    for folder in ("images", "masks"):
        (frames / folder / "f1.png").unlink()
    with pytest.raises(ArtifactError, match="has 1 problem: the run's frame 'f1' is missing"):
        train(config, resume=True)


def test_a_run_of_an_earlier_version_keeps_its_split_by_frame(
    make_config: MakeConfig, scenes: Path
) -> None:
    """Before scenes there were no files of the split, and each frame was drawn by itself."""
    config = make_config(data=scenes, val_split=None, val_fraction=0.4)
    sets = load(config, resumed=True)
    train_set, val_set = sets.train, sets.val
    parted = [
        i for i in range(8) if (f"f{i}" in val_set.stems) != (f"copy of f{i}" in val_set.stems)
    ]
    assert parted
    assert len(train_set) + len(val_set) == 16
