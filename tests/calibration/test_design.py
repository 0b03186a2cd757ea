"""A designed set covers its pool, repeats itself, and holds nothing of the evaluation set."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.calibration.design import design
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.calibration.judgement import set_doubts
from lightawnet_edge.calibration.pool import PACKAGED, DesignSpec
from lightawnet_edge.calibration.record import RECORD, KeptApart, SetRecord, read_record
from lightawnet_edge.calibration.summary import console
from lightawnet_edge.errors import ArtifactError, SpecError
from tests.calibration.conftest import MakePool


def spec(pool: Path, held_out: Path, **changes: Any) -> DesignSpec:
    values: dict[str, Any] = {"data": pool, "evaluation": held_out, "frames": 8, "stability": False}
    return DesignSpec(**(values | changes))


def stems(record: SetRecord) -> set[str]:
    return {one.stem for one in record.prints}


def resembling(image: Path, copy: Path) -> None:
    """Write an image again: smaller, as a JPEG, a little darker."""
    frame = cv2.imread(str(image))
    small = cv2.resize(frame, (64, 48), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(copy), (small * 0.9).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 70])


def text(record: SetRecord) -> str:
    screen = io.StringIO()
    Console(width=80, file=screen).print(console(record))
    return screen.getvalue()


def test_the_same_seed_designs_the_same_set(pool: Path, held_out: Path, tmp_path: Path) -> None:
    first = design(spec(pool, held_out), tmp_path / "a")
    assert design(spec(pool, held_out), tmp_path / "b") == first
    assert (tmp_path / "a" / RECORD).read_bytes() == (tmp_path / "b" / RECORD).read_bytes()
    assert read_record(tmp_path / "a") == first


def test_a_set_covers_better_than_chance_and_says_so(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    record = design(spec(pool, held_out), tmp_path / "set")
    assert record.coverage.radius < record.coverage.random_radius
    assert record.coverage.sources["north"][0] == record.coverage.sources["south"][0] == 12
    assert not record.coverage.missing
    assert not set_doubts(record)
    shown = text(record)
    assert "8 of 24 frames" in shown
    assert "kept apart: 3 frames of held-out; 0 frames of the pool refused" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_set_is_taken_as_a_folder_of_frames_is(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    record = design(spec(pool, held_out), tmp_path / "set")
    shutil.move(tmp_path / "set", tmp_path / "moved")
    found = CalibrationSet.open(tmp_path / "moved")
    assert found.source.frames == 8
    assert [file.stem for file in found.listed.files] == [one.stem for one in record.prints]
    plain = CalibrationSet.open(tmp_path / "moved" / "images")
    assert plain.source.sha256 == found.source.sha256
    assert set(plain.prints()) == set(found.prints())


def test_evaluation_frames_are_refused_even_when_encoded_anew(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    resembling(pool / "images" / "south_3.png", held_out / "images" / "elsewhere.jpg")
    shutil.copy(pool / "images" / "north_4.png", held_out / "images" / "renamed.png")
    record = design(spec(pool, held_out, frames=22), tmp_path / "set")
    assert {(match.stem, match.other, match.same_pixels) for match in record.refused} == {
        ("south_3", "elsewhere", False),
        ("north_4", "renamed", True),
    }
    assert not stems(record) & {"south_3", "north_4"}
    assert "refused 'north_4' ~ 'renamed' (the same pixels)" in text(record)
    with pytest.raises(SpecError, match="22 frames, without 2 that the evaluation set holds, too"):
        design(spec(pool, held_out, frames=23), tmp_path / "larger")


def test_an_overlap_that_is_insisted_on_is_doubted(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    shutil.copy(pool / "images" / "north_4.png", held_out / "images" / "renamed.png")
    record = design(spec(pool, held_out, frames=24, allow_overlap=True), tmp_path / "set")
    assert [match.stem for match in record.overlap] == ["north_4"]
    assert "it is in the evaluation set, too, and was allowed" in set_doubts(record)[0]


def test_of_frames_that_resemble_each_other_one_is_chosen(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    resembling(pool / "images" / "south_3.png", pool / "images" / "south_99.jpg")
    record = design(spec(pool, held_out, frames=24), tmp_path / "set")
    assert len(stems(record) & {"south_3", "south_99"}) == 1
    with pytest.raises(SpecError, match=r"ended with 24 of the 25 .* ask for --frames 24"):
        design(spec(pool, held_out, frames=25), tmp_path / "larger")
    assert not (tmp_path / "larger").exists()


def test_splits_and_groups_name_frames(pool: Path, held_out: Path, tmp_path: Path) -> None:
    names = sorted(file.stem for file in (pool / "images").iterdir())
    (tmp_path / "train.txt").write_text("\n".join(names[:20]))
    (tmp_path / "val.txt").write_text("\n".join(names[20:]))
    rows = [f"{name},{'rare' if name == names[7] else 'usual'}" for name in names]
    (tmp_path / "groups.csv").write_text("\n".join(["stem,group", *rows]))
    wanted = spec(
        pool, held_out, evaluation=None, split=tmp_path / "train.txt",
        evaluation_split=tmp_path / "val.txt", groups=tmp_path / "groups.csv",
    )  # fmt: skip
    record = design(wanted, tmp_path / "set")
    assert record.pool == 20
    assert record.evaluation == KeptApart(data="pool", split="val.txt", frames=4)
    assert record.coverage.sources["rare"] == (1, 1), "the only frame of its source"
    assert not stems(record) & set(names[20:])


def test_a_folder_of_images_without_masks_will_do(make_pool: MakePool, tmp_path: Path) -> None:
    images = make_pool("bare", range(10), masks=False) / "images"
    record = design(DesignSpec(data=images, frames=4, stability=False), tmp_path / "set")
    assert record.evaluation == KeptApart(data=PACKAGED, split=None, frames=16)
    assert [span.known for span in record.coverage.spans if span.feature == "lesion"] == [0]
    assert all(frame.features["lesion"] is None for frame in record.frames)
    assert "lesion" not in text(record)
    assert json.loads((tmp_path / "set" / RECORD).read_text())["frames"][0]["mask"] is None


def test_sources_that_found_no_place_are_doubted(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    names = sorted(file.stem for file in (pool / "images").iterdir())
    (tmp_path / "g.csv").write_text(
        "\n".join(["stem,group", *(f"{name},clinic {index}" for index, name in enumerate(names))])
    )
    record = design(spec(pool, held_out, groups=tmp_path / "g.csv"), tmp_path / "set")
    assert len(record.coverage.missing) == 16
    assert "and 8 more: ask for more --frames" in set_doubts(record)[0]


def test_a_changed_frame_is_noticed(pool: Path, held_out: Path, tmp_path: Path) -> None:
    record = design(spec(pool, held_out), tmp_path / "set")
    image = tmp_path / "set" / record.frames[0].image
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match="has changed since the calibration set was designed"):
        CalibrationSet.open(tmp_path / "set")
    image.unlink()
    with pytest.raises(ArtifactError, match=r"lacks its file 'images/"):
        CalibrationSet.open(tmp_path / "set")


def test_a_frame_that_was_added_is_noticed(pool: Path, held_out: Path, tmp_path: Path) -> None:
    design(spec(pool, held_out), tmp_path / "set")
    shutil.copy(held_out / "images" / "north_100.png", tmp_path / "set" / "images" / "new.png")
    with pytest.raises(ArtifactError, match=r"holds 'images/new\.png', which its record does not"):
        CalibrationSet.open(tmp_path / "set")


@pytest.mark.parametrize("broken", ["{", '{"schema": 2}', '{"schema": 1}', "[]"])
def test_a_record_that_cannot_be_understood_is_refused(
    broken: str, pool: Path, held_out: Path, tmp_path: Path
) -> None:
    design(spec(pool, held_out), tmp_path / "set")
    (tmp_path / "set" / RECORD).write_text(broken)
    with pytest.raises(ArtifactError, match="cannot be understood"):
        CalibrationSet.open(tmp_path / "set")


def test_only_a_set_is_replaced_and_only_on_request(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(SpecError, match="is no calibration set, and is never replaced"):
        design(spec(pool, held_out, force=True), tmp_path / "set")
    (tmp_path / "set").rmdir()
    design(spec(pool, held_out), tmp_path / "set")
    with pytest.raises(SpecError, match="replace the calibration set with --force"):
        design(spec(pool, held_out), tmp_path / "set")
    design(spec(pool, held_out, frames=5, force=True), tmp_path / "set")
    assert CalibrationSet.open(tmp_path / "set").source.frames == 5


def test_requests_that_make_no_sense_are_refused(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="frames=1 is too few"):
        DesignSpec(data=pool, frames=1)
    with pytest.raises(SpecError, match="seed=-1 must not be negative"):
        DesignSpec(data=pool, seed=-1)
    with pytest.raises(SpecError, match="has 24 frames: too few to choose 128"):
        design(DesignSpec(data=pool), tmp_path / "set")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="No image in"):
        design(DesignSpec(data=tmp_path / "empty"), tmp_path / "set")


def test_frames_that_cannot_be_read_are_named_together(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    (pool / "images" / "north_2.png").write_bytes(b"no image")
    data = (pool / "images" / "north_4.png").read_bytes()
    (pool / "images" / "north_4.png").write_bytes(data[:-300])
    cv2.imwrite(str(pool / "masks" / "south_5.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(
        ArtifactError,
        match=r"has 3 problems: .*north_2\.png' cannot be decoded .*north_4\.png' .* cut off; "
        r".*south_5\.png' is 60x80, its mask .* is 4x4",
    ):
        design(spec(pool, held_out), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_what_is_not_used_is_told(pool: Path, held_out: Path, tmp_path: Path) -> None:
    (pool / "images" / "clip.mpg").touch()
    told: list[str] = []
    design(spec(pool, held_out), tmp_path / "set", narrate=told.append)
    assert told == ["not used of 'images': 1 video (clip.mpg)"]


def test_the_record_tells_how_stable_scales_are(
    pool: Path, held_out: Path, checkpoint: Path, tmp_path: Path
) -> None:
    stages: set[str] = set()
    record = design(
        spec(pool, held_out, stability=True, weights=str(checkpoint)), tmp_path / "set",
        on_step=lambda step: stages.add(step.stage),
    )  # fmt: skip
    assert stages == {"reading the evaluation set", "reading the pool", "measuring scales"}
    assert record.stability is not None
    assert (record.stability.frames, record.stability.half) == (8, 4)
    assert read_record(tmp_path / "set").stability == record.stability
    assert "INT8 scales of tiny, 4 frames against 8" in text(record)


def test_a_set_that_another_process_writes_is_left_alone(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    with writing(tmp_path / "set"), pytest.raises(SpecError, match="Another process is writing"):
        design(spec(pool, held_out), tmp_path / "set")


def test_a_set_never_replaces_the_frames_that_it_is_chosen_from(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    asked = replace(spec(pool, held_out), force=True, stability=False)
    design(asked, tmp_path / "set")
    before = sorted(path.name for path in (tmp_path / "set").rglob("*"))
    for again in (tmp_path / "set", tmp_path / "set" / "images"):
        with pytest.raises(SpecError, match="holds the frames to choose from"):
            design(replace(asked, data=again, frames=2), tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").rglob("*")) == before


def test_frames_without_content_are_not_chosen_from_and_are_named(
    pool: Path, held_out: Path, tmp_path: Path
) -> None:
    """Each is as far from all others as a rare one."""
    for number in range(3):
        black = np.full((60, 80, 3), number, np.uint8)
        cv2.imwrite(str(pool / "images" / f"black_{number}.png"), black)
        cv2.imwrite(str(pool / "masks" / f"black_{number}.png"), black[:, :, 0] * 0)
    told: list[str] = []
    wanted = DesignSpec(data=pool, frames=24, evaluation=held_out, stability=False)
    record = design(wanted, tmp_path / "set", narrate=told.append)
    assert record.pool == 24
    assert not any(frame.print.stem.startswith("black") for frame in record.frames)
    assert "3 frames show nothing, and are not chosen from: black_0, black_1, black_2" in told
