"""The video of overlays: at the rate of its source, whole or not there, whatever its folder is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge.data.video import video_facts, video_frames
from lightawnet_edge.runtime.film import Film
from lightawnet_edge.specs import ColorOrder, Size
from tests.conftest import blobs

SIZE = Size(81, 97)
"""Odd: codecs take even sides alone."""
FRAMES = [frame for frame, _ in blobs(5, SIZE)]
FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from lightawnet_edge.runtime.film import Film
noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
with Film(Path(sys.argv[1]), "clip", 25) as film:
    for shift in range(60):
        film.add(np.roll(noise, shift * 7, axis=1))
"""


@pytest.mark.parametrize(
    ("rate", "expected"), [(12.5, 12.5), (None, 25), (0.0, 25), (float("nan"), 25), (90_000, 25)]
)
def test_a_film_has_every_frame_at_the_rate_of_its_source(
    tmp_path: Path, rate: float | None, expected: float
) -> None:
    with Film(tmp_path, "clip.overlay", rate) as film:
        for frame in FRAMES:
            film.add(frame)
        assert not (tmp_path / "clip.overlay.mp4").exists(), "it is not whole yet"
    (file,) = tmp_path.iterdir()
    assert file.name == "clip.overlay.mp4"
    assert video_facts(file).rate == pytest.approx(expected)
    shown = list(video_frames(file, ColorOrder.BGR))
    assert len(shown) == 5
    assert shown[0].shape == (82, 98, 3)
    difference = np.abs(shown[0][:81, :97].astype(int) - FRAMES[0]).mean()
    assert difference < 6, "what a codec loses, and no more"


def test_a_frame_of_another_size_is_no_lost_frame(tmp_path: Path) -> None:
    with Film(tmp_path, "clip", 10) as film:
        film.add(FRAMES[0])
        film.add(cv2.resize(FRAMES[1], (40, 30)))
    assert video_facts(tmp_path / "clip.mp4").frames == 2


def test_without_frames_there_is_no_film(tmp_path: Path) -> None:
    with Film(tmp_path, "clip", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_film_leaves_nothing_and_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"old")
    film = Film(tmp_path, "clip", 10)
    film.add(FRAMES[0])
    film.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("clip.mp4", b"old")]


def test_where_ffmpeg_lacks_the_codec_another_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightawnet_edge.runtime.film._KINDS", ((".mp4", "????"), (".avi", "MJPG")))
    with Film(tmp_path, "clip", 10) as film:
        film.add(FRAMES[0])
    assert [file.name for file in tmp_path.iterdir()] == ["clip.avi"]


def test_a_folder_may_have_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with Film(folder, os.fsdecode(b"\xe9"), 10) as film:
        film.add(FRAMES[0])
    assert [os.fsencode(file.name) for file in folder.iterdir()] == [b"\xe9.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_film_that_the_disk_has_no_room_for_is_an_error_and_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=False
    )
    assert "clip.mp4' could not be written whole: it holds" in done.stderr
    assert list(tmp_path.iterdir()) == []
