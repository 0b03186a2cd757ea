"""`run` writes a mask and an overlay per frame, and a broken frame stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge import Segmenter
from lightawnet_edge.data.video import VideoFacts, video_facts
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.runtime.playback import (
    Played,
    expand,
    frames_of,
    overlay,
    play,
    write_table,
)
from lightawnet_edge.specs import Size
from tests.conftest import blobs

Bundles = dict[tuple[str, str], Path]


def test_masks_come_back_at_the_size_of_each_frame(
    bundles: Bundles, dataset: Path, tmp_path: Path
) -> None:
    with Segmenter.load(bundles["onnx", "fp32"]) as segmenter:
        played = list(play(segmenter, expand([dataset / "images"]), tmp_path))
    assert [p.name for p in played] == [f"frame{i}" for i in range(8)]
    mask = cv2.imread(str(tmp_path / "frame0.mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (80, 96)
    assert set(np.unique(mask)) <= {0, 255}
    assert played[0].foreground == pytest.approx(float((mask > 0).mean()))
    picture = cv2.imread(str(tmp_path / "frame0.overlay.jpg"))
    assert picture is not None
    assert picture.shape == (80, 96, 3)


def test_a_broken_frame_is_reported_and_skipped(
    bundles: Bundles, dataset: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG no")
    good = dataset / "images" / "frame0.png"
    with Segmenter.load(bundles["onnx", "fp32"]) as segmenter:
        played = list(play(segmenter, [broken, good], tmp_path / "out"))
    assert [p.error is None for p in played] == [False, True]
    assert "broken.png' cannot be decoded" in str(played[0].error)
    assert not (tmp_path / "out" / "broken.mask.png").exists()


def test_a_video_gives_numbered_frames(bundles: Bundles, tmp_path: Path) -> None:
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 80))
    for frame, _ in blobs(3, Size(80, 96)):
        writer.write(frame)
    writer.release()
    with Segmenter.load(bundles["onnx", "fp32"]) as segmenter:
        played = list(play(segmenter, expand([video]), tmp_path / "out"))
    assert [p.name for p in played] == ["clip-000000", "clip-000001", "clip-000002"]
    assert len(list((tmp_path / "out").iterdir())) == 7
    facts = video_facts(tmp_path / "out" / "clip.overlay.mp4")
    assert facts == VideoFacts(frames=3, rate=10)
    assert frames_of([video, tmp_path / "a.png"]) == 4


def test_an_undecodable_video_is_reported(bundles: Bundles, tmp_path: Path) -> None:
    (tmp_path / "clip.avi").write_bytes(b"RIFF")
    with Segmenter.load(bundles["onnx", "fp32"]) as segmenter:
        played = list(play(segmenter, [tmp_path / "clip.avi"], tmp_path / "out"))
    assert "cannot be decoded: no frame came out" in str(played[0].error)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a/x.png", "b/x.png"), "Two files are called 'x': their masks would overwrite"),
        (("a/x.png", "b/X.JPG"), "Two files are called 'X'"),
        (("a/x.mp4", "b/x.png"), "Two files are called 'x'"),
        (("x.avi", "x-000003.png"), r"'x-000003\.png' and a frame of 'x\.avi' would write"),
        (("X.avi", "x-1000000.png"), r"'x-1000000\.png' and a frame of 'X\.avi'"),
    ],
)
def test_files_that_would_overwrite_each_other_are_refused(
    bundles: Bundles, tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    files = [tmp_path / name for name in names]
    with (
        Segmenter.load(bundles["onnx", "fp32"]) as segmenter,
        pytest.raises(SpecError, match=message),
    ):
        list(play(segmenter, files, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("x.png", "x-000003.png"),  # no video
        ("x.avi", "x-00003.png", "x-000003-1.png"),  # no number of a frame
        ("x.avi", "x-000003.avi"),  # frames of the second are x-000003-000000 and so on
    ],
)
def test_names_that_only_look_alike_are_taken(
    bundles: Bundles, tmp_path: Path, names: tuple[str, ...]
) -> None:
    files = [tmp_path / name for name in names]
    with Segmenter.load(bundles["onnx", "fp32"]) as segmenter:
        assert all(played.error for played in play(segmenter, files, tmp_path / "out"))


def test_masks_are_not_written_among_the_frames(
    bundles: Bundles, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    frame = tmp_path / "frames" / "a.png"
    frame.write_bytes((dataset / "images" / "frame0.png").read_bytes())
    with (
        Segmenter.load(bundles["onnx", "fp32"]) as segmenter,
        pytest.raises(SpecError, match=r"is the folder of the frames: masks would lie among them"),
    ):
        list(play(segmenter, [frame], tmp_path / "other" / ".." / "frames"))
    assert list((tmp_path / "frames").iterdir()) == [frame]


def test_a_video_is_known_by_its_content_and_its_name_may_be_no_utf8(
    bundles: Bundles, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    writer = cv2.VideoWriter(
        str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 80)
    )
    for frame, _ in blobs(2, Size(80, 96)):
        writer.write(frame)
    writer.release()
    (folder / "clip.avi").rename(folder / os.fsdecode(b"caf\xe9.png"))
    with Segmenter.load(bundles["onnx", "fp32"]) as segmenter:
        files = [folder / os.fsdecode(b"caf\xe9.png")]
        played = list(play(segmenter, files, tmp_path / "out"))
    assert [(p.name, p.error) for p in played] == [
        (r"caf\xe9-000000", None),
        (r"caf\xe9-000001", None),
    ]
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9-000001.mask.png")).is_file()


def test_what_lies_in_a_folder_and_is_not_run_is_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.mpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "old").mkdir()
    told: list[str] = []
    files = expand([tmp_path], told.append)
    assert [file.name for file in files] == ["a.png", "b.mpg"]
    assert told == [f"not used of '{tmp_path.name}': 1 folder (old), 1 other file (notes.txt)"]


def test_missing_and_empty_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No file '.*nothing\.png'"):
        expand([tmp_path / "nothing.png"])
    with pytest.raises(ArtifactError, match="No image and no video in"):
        expand([tmp_path])


def test_an_overlay_draws_the_contour_and_leaves_the_frame_alone() -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    drawn = overlay(frame, mask)
    assert drawn[10, 20].any()
    assert not drawn[20, 20].any(), "the inside of a lesion must stay visible"
    assert not frame.any()


def test_a_table_has_a_line_for_each_frame(tmp_path: Path) -> None:
    frames = [
        Played(name="a", foreground=0.25, seconds=0.0125),
        Played(name="b, c", foreground=0, error='cut "off"'),
    ]
    write_table(tmp_path / "frames.csv", frames)
    assert (tmp_path / "frames.csv").read_text(encoding="utf-8") == (
        'frame,foreground,seconds,error\na,0.250000,0.012500,\n"b, c",,,"cut ""off"""\n'
    )
