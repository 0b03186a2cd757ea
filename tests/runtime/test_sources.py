"""Sources: each frame in the bytes of the contract, what is broken counted, the rest refused."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.runtime.lens import Lens, Note, Shot
from lightawnet_edge.runtime.live import Live, open_source
from lightawnet_edge.runtime.sources import Raw
from lightawnet_edge.specs import ColorOrder, Matrix, Normalization, Range, Size, Yuv

SIZE = Size(32, 48)


def contract(color: ColorOrder = ColorOrder.RGB) -> Contract:
    return Contract(
        frame=SIZE, color=color, network=Size(16, 32), normalization=Normalization(),
        threshold=0.5, probability=True,
        yuv=Yuv(matrix=Matrix.BT601, range=Range.LIMITED) if color.chroma else None,
    )  # fmt: skip


LENS = Lens(contract())


def pictures(count: int, size: Size = SIZE) -> list[np.ndarray]:
    """Blue frames that grow brighter, in BGR."""
    found = []
    for index in range(count):
        picture = np.zeros((size.height, size.width, 3), np.uint8)
        picture[:, :, 0] = 40 + 20 * index
        found.append(picture)
    return found


def folder(path: Path, frames: Iterable[np.ndarray]) -> Path:
    path.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(path / f"{index}.png"), frame)
    return path


def clip(path: Path, count: int, rate: float = 10, size: Size = SIZE) -> Path:
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (size.width, size.height)
    )
    for frame in pictures(count, size):
        writer.write(frame)
    writer.release()
    return path


def shots(found: Iterable[Shot | Note]) -> list[Shot]:
    return [one for one in found if isinstance(one, Shot)]


def test_a_video_gives_its_frames_at_its_own_rate_or_another(tmp_path: Path) -> None:
    file = clip(tmp_path / "clip.avi", 4)
    source = open_source(str(file), LENS)
    assert (source.rate, source.paced, source.repeats) == (10, True, True)
    assert open_source(str(file), LENS, 25).rate == 25
    for _ in range(2):
        found = shots(source.shots())
        assert len(found) == 4, "from the beginning each time"
    assert found[0].frame.shape == (32, 48, 3)
    assert found[0].frame[0, 0, 2] > 20 > found[0].frame[0, 0, 0], "RGB"
    picture = found[0].picture
    assert picture is not None
    np.testing.assert_array_equal(picture, found[0].frame[:, :, ::-1])


def test_a_folder_gives_its_images_by_name_and_skips_what_is_broken(tmp_path: Path) -> None:
    path = folder(tmp_path / "frames", pictures(3))
    (path / "1.png").write_bytes(b"\x89PNG no")
    source = open_source(str(path), LENS)
    assert source.rate == 30
    kinds = [type(one).__name__ for one in source.shots()]
    assert kinds == ["Shot", "Note", "Shot"]
    (note,) = (one for one in source.shots() if isinstance(one, Note))
    assert note.what == "skipped"
    assert "1.png' cannot be decoded" in note.detail


def test_a_frame_that_a_decoder_complains_of_is_skipped(tmp_path: Path) -> None:
    file = clip(tmp_path / "clip.avi", 8, size=Size(128, 192))
    data = bytearray(file.read_bytes())
    third = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"][3]
    data[third + 700 : third + 760] = b"\xff" * 60
    file.write_bytes(data)
    found = list(open_source(str(file), Lens(contract(), scale=True)).shots())
    notes = [one for one in found if isinstance(one, Note)]
    assert len(shots(found)) < 8
    assert notes
    assert {note.what for note in notes} == {"skipped"}


@pytest.mark.parametrize("color", list(ColorOrder))
def test_frames_have_the_bytes_that_the_contract_says(tmp_path: Path, color: ColorOrder) -> None:
    asked = contract(color)
    (shot,) = shots(open_source(str(folder(tmp_path / "f", pictures(1))), Lens(asked)).shots())
    assert shot.frame.shape == asked.frame_shape
    assert shot.frame.dtype == np.uint8
    assert shot.frame.flags.c_contiguous
    blue = {ColorOrder.RGB: (0, 0, 40), ColorOrder.BGR: (40, 0, 0), ColorOrder.GRAY: 5}
    if color in blue:
        assert (shot.frame == blue[color]).all()


def test_frames_of_another_size_are_refused_or_stretched_where_asked(tmp_path: Path) -> None:
    path = folder(tmp_path / "f", pictures(1, Size(64, 48)))
    with pytest.raises(
        SpecError, match=r"gives frames of 64x48, and the bundle takes 32x48\. Use "
    ):
        open_source(str(path), LENS)
    (shot,) = shots(open_source(str(path), Lens(contract(), scale=True)).shots())
    assert shot.frame.shape == (32, 48, 3)
    assert shot.picture is not None
    assert shot.picture.shape == (32, 48, 3)


def piped(data: bytes) -> FileIO:
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    return FileIO(read)


def test_raw_frames_are_taken_as_they_are_and_a_broken_last_one_is_skipped() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    with piped(frames.tobytes() + b"abc") as pipe:
        source = Raw(pipe, contract())
        assert (source.paced, source.repeats) == (False, False)
        first, second, note = source.shots()
    assert isinstance(first, Shot)
    assert isinstance(second, Shot)
    np.testing.assert_array_equal(np.stack([first.frame, second.frame]), frames)
    assert note == Note("skipped", "the last 3 of 4608 bytes are no whole frame")


def test_raw_frames_are_paced_where_a_rate_is_given() -> None:
    with piped(b"") as pipe:
        assert Raw(pipe, contract(), 25).paced


def test_a_terminal_has_no_raw_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(SpecError, match=r"frames of shape \(32, 48, 3\) \(rgb\) on .* terminal"):
        open_source("-", LENS)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("nowhere.mp4", ArtifactError, r"No source 'nowhere\.mp4'\. A source is a video, a folder"),
        ("99", ArtifactError, r"Camera 99 is not there\. Cameras of this machine: "),
        ("/dev/video98", ArtifactError, "Camera 98 is not there"),
        ("http://a/b", SpecError, r"of a kind that is not read\. Known: rtsp://, rtsps://"),
        ("http://me:secret@a/b", SpecError, r"'http://\.\.\.@a/b' is of a kind"),
        (
            "videotestsrc ! appsink",
            BackendUnavailableError,
            "'gstreamer' cannot run here: this OpenCV was built without it",
        ),
    ],
)
def test_a_source_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kind: type[Exception], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=told):
        open_source(text, LENS)


def test_files_that_are_no_source_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
    with pytest.raises(
        ArtifactError, match=r"is no video\. For single images: lightawnet-edge run"
    ):
        open_source(str(tmp_path / "a.png"), LENS)
    (tmp_path / "clip.avi").write_bytes(b"RIFF")
    with pytest.raises(ArtifactError, match=r"No frame of '.*clip\.avi' can be decoded"):
        open_source(str(tmp_path / "clip.avi"), LENS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"No frame of '.*empty' can be decoded"):
        open_source(str(tmp_path / "empty"), LENS)


@pytest.mark.parametrize("rate", [0.0, -5.0, 1e6, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(SpecError, match="frames per second must be above 0, 1000 at most"):
        open_source("0", LENS, rate)


class Camera:
    """What OpenCV's capture does: `script` has a letter for each read, f: frame, -: nothing."""

    def __init__(self, script: str | None) -> None:
        self.script = script
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.script is not None

    def get(self, kind: int) -> float:
        return 25.0

    def read(self) -> tuple[bool, Any]:
        letter, self.script = (self.script or "-")[0], (self.script or "-")[1:] or "-"
        return letter == "f", pictures(1)[0] if letter == "f" else None

    def release(self) -> None:
        self.released = True


def live(*scripts: str | None, give_up_s: float = 60.0) -> Live:
    """A source that is opened again with the next script each time, at last with the last."""
    cameras = list(map(Camera, scripts))
    return Live(
        "camera",
        lambda: cameras.pop(0) if len(cameras) > 1 else cameras[0],
        LENS,
        retry_s=0.001,
        give_up_s=give_up_s,
    )


def test_a_camera_that_breaks_off_and_comes_back_is_told_from_one_that_ended() -> None:
    source = live("fff", None, None, "ff", None, give_up_s=0.02)
    assert (source.rate, source.paced, source.repeats) == (25, False, False)
    heard = []

    def listen() -> None:
        for one in source.shots():
            heard.append(one.what if isinstance(one, Note) else "frame")

    with pytest.raises(ArtifactError, match=r"'camera' broke off, and .* again within 0\.02 s"):
        listen()
    assert heard == ["frame", "frame", "lost", "reconnected", "frame", "frame", "lost"]


def test_a_camera_that_gives_nothing_is_not_there() -> None:
    for script in (None, "-"):
        with pytest.raises(ArtifactError, match="'camera' is not there, or gives no frame"):
            live(script)


def test_a_closed_camera_ends_and_is_released() -> None:
    camera = Camera("f" * 100)
    source = Live("camera", lambda: camera, LENS)
    found = []
    for one in source.shots():
        found.append(one)
        if len(found) == 3:
            source.close()
    assert len(found) == 3
    assert camera.released


def test_a_camera_of_another_size_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera("f")
    monkeypatch.setattr(camera, "read", lambda: (True, pictures(1, Size(16, 16))[0]))
    with pytest.raises(SpecError, match="'camera' gives frames of 16x16"):
        Live("camera", lambda: camera, LENS)
    assert camera.released
