"""A video gives its frames; where some are missing or made up, that is said at the end."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge.data import video
from lightawnet_edge.data.containers import missing_bytes
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.data.video import video_frames
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import ColorOrder


def write_video(path: Path, levels: list[int], codec: str = "MJPG", noise: int = 0) -> None:
    """Frames (48, 64) that are red on the left, with a blue level that tells them apart."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (64, 48))
    assert writer.isOpened()
    for level in levels:
        frame = np.full((48, 64, 3), level, np.uint8)
        frame[:, :32] = (0, 0, 255)
        if noise:
            frame[::4, ::4] = rng.integers(0, noise, (12, 16, 3))
        writer.write(frame)
    writer.release()


def cut(path: Path, share: float, to: str) -> Path:
    """The first part of a file."""
    found = path.with_name(to)
    found.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return found


LEVELS = [level % 250 for level in range(0, 2000, 10)]


def test_videos_give_their_frames_in_order_and_colour(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", [20, 120, 220])
    frames = list(video_frames(tmp_path / "clip.avi"))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    np.testing.assert_allclose([frame[24, 56, 0] for frame in frames], [20, 120, 220], atol=4)
    np.testing.assert_allclose(frames[0][24, 8], (255, 0, 0), atol=8)
    bgr = next(video_frames(tmp_path / "clip.avi", ColorOrder.BGR))
    assert np.array_equal(bgr, frames[0][:, :, ::-1])
    gray = next(video_frames(tmp_path / "clip.avi", ColorOrder.GRAY))
    assert gray.shape == (48, 64)
    assert all(frame.flags.c_contiguous for frame in (frames[0], bgr, gray))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.avi", "MJPG"),
        ("a.mkv", "mp4v"),
        ("a.webm", "VP80"),
        ("a.mp4", "mp4v"),
        ("a.mpg", "MPG1"),
    ],
)
def test_whole_videos_of_each_container_are_read_in_peace(
    tmp_path: Path, name: str, codec: str
) -> None:
    write_video(tmp_path / name, LEVELS[:40], codec)
    assert len(list(video_frames(tmp_path / name))) == 40
    assert missing_bytes(tmp_path / name) == 0


def test_a_video_that_breaks_off_gives_its_frames_and_then_says_so(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.avi", LEVELS)
    frames = video_frames(cut(tmp_path / "whole.avi", 0.75, "half.avi"))
    assert len([next(frames) for _ in range(20)]) == 20
    with pytest.raises(
        ArtifactError, match=r"breaks off after \d+ of 200 frames: it lacks \d+ bytes"
    ):
        list(frames)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "mp4v"), ("a.webm", "VP80")])
def test_a_matroska_that_lacks_bytes_was_cut(tmp_path: Path, name: str, codec: str) -> None:
    write_video(tmp_path / name, LEVELS, codec)
    half = cut(tmp_path / name, 0.6, f"half-{name}")
    with pytest.raises(ArtifactError, match=r"breaks off after \d+ .*frames: it lacks \d+ bytes"):
        list(video_frames(half))


def fast_start(path: Path) -> bytes:
    """An MP4 with its tables before its data, as it is streamed."""
    data = path.read_bytes()
    moov = data.index(b"moov") - 4
    mdat = data.index(b"mdat") - 4
    assert mdat < moov
    tables = bytearray(data[moov:])
    at = tables.index(b"stco")
    count = int.from_bytes(tables[at + 8 : at + 12], "big")
    for index in range(count):
        where = slice(at + 12 + 4 * index, at + 16 + 4 * index)
        moved = int.from_bytes(tables[where], "big") + len(tables)
        tables[where] = moved.to_bytes(4, "big")
    return data[:mdat] + bytes(tables) + data[mdat:moov]


def test_an_mp4_whose_tables_speak_of_more_was_cut(tmp_path: Path) -> None:
    write_video(tmp_path / "late.mp4", LEVELS, "mp4v", noise=255)
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(fast_start(tmp_path / "late.mp4"))
    assert len(list(video_frames(whole))) == 200
    assert missing_bytes(whole) == 0
    half = cut(whole, 0.6, "half.mp4")
    with pytest.raises(ArtifactError, match=r"breaks off after \d+ of 200 frames: it lacks"):
        list(video_frames(half))
    endless = bytearray(half.read_bytes())
    at = endless.index(b"mdat") - 4
    endless[at : at + 4] = bytes(4)  # its data go on to the end of the file, wherever that is
    half.write_bytes(endless)
    assert missing_bytes(half) == 0
    with pytest.raises(ArtifactError, match=r"its \d+ frames show .* complained first at frame"):
        list(video_frames(half))


def test_an_mp4_without_its_tables_is_named_with_what_the_decoder_says(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", LEVELS, "mp4v")
    with pytest.raises(
        ArtifactError, match=r"no frame came out\. Its decoder says: moov atom not found\."
    ):
        list(video_frames(cut(tmp_path / "a.mp4", 0.6, "half.mp4")))


def test_a_stream_may_begin_anywhere(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mpg", LEVELS, "MPG1", noise=255)
    data = (tmp_path / "a.mpg").read_bytes()
    (tmp_path / "tail.mpg").write_bytes(data[len(data) // 3 :])
    assert 50 < len(list(video_frames(tmp_path / "tail.mpg"))) < 200


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "XVID"), ("a.mpg", "MPG1")])
def test_a_video_whose_decoder_complains_gives_all_frames_and_says_from_where(
    tmp_path: Path, name: str, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / name, LEVELS, codec, noise=255)
    data = bytearray((tmp_path / name).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = np.random.default_rng(1).bytes(500)
    (tmp_path / name).write_bytes(data)
    capfd.readouterr()
    found: list[UInt8] = []
    with pytest.raises(
        ArtifactError,
        match=r"is damaged, and what its \d+ frames show .* complained first at frame \d+: \w",
    ):
        found.extend(video_frames(tmp_path / name))
    assert not capfd.readouterr().err


def test_a_video_without_frames_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.avi' cannot be decoded: no frame came out"):
        list(video_frames(tmp_path / "nowhere.avi"))


@pytest.mark.parametrize("data", [b"RIFF", b"\x1aE\xdf\xa3", b"\0\0\0\x08moov\0\0\0\0", b""])
def test_a_header_alone_is_no_video(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.avi").write_bytes(data)
    with pytest.raises(ArtifactError, match="no frame came out"):
        list(video_frames(tmp_path / "a.avi"))


def test_a_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", [20, 120])
    odd = tmp_path / os.fsdecode(b"caf\xe9.avi")
    (tmp_path / "a.avi").rename(odd)
    assert len(list(video_frames(odd))) == 2


def test_without_a_temporary_folder_such_a_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.avi")
    odd.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ArtifactError, match=r"a name that is no UTF-8, .*Rename it"):
        list(video_frames(odd))


def test_frames_beyond_the_limit_of_images_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.avi", [20])
    monkeypatch.setattr(video, "MAX_SIDE_PX", 63)
    with pytest.raises(ArtifactError, match="has frames of 48x64 pixels, and at most 64 Mi with"):
        next(video_frames(tmp_path / "a.avi"))
