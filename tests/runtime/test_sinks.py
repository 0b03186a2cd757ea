"""Sinks: a video as the screen showed it, masks by the number of their frames, a window or not."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.data.video import video_facts, video_frames
from lightawnet_edge.data.yuv import seen_by
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.runtime.lens import Shot
from lightawnet_edge.runtime.outlet import Apart, Masked, Nothing, Screened, Sink
from lightawnet_edge.runtime.sinks import AnnotatedVideo, MaskFolder, Window, sinks_for
from lightawnet_edge.specs import ColorOrder, Matrix, Normalization, Range, Size, Yuv

SIZE = Size(64, 96)
MASK = np.zeros((64, 96), np.uint8)
MASK[16:48, 24:72] = 255


def contract(color: ColorOrder = ColorOrder.RGB) -> Contract:
    return Contract(
        frame=SIZE, color=color, network=Size(16, 32), normalization=Normalization(),
        threshold=0.5, probability=True,
        yuv=Yuv(matrix=Matrix.BT601, range=Range.LIMITED) if color.chroma else None,
    )  # fmt: skip


def red(color: ColorOrder) -> np.ndarray:
    """A red frame as a camera of this colour order gives it."""
    order = {ColorOrder.BGR: (0, 0, 200), ColorOrder.GRAY: 60}
    picture = np.full((64, 96, 3), order.get(color, (200, 0, 0)), np.uint8)
    return seen_by(
        contract(color).camera, picture[:, :, 0] if color is ColorOrder.GRAY else picture
    )


@pytest.mark.parametrize("color", list(ColorOrder))
def test_a_video_shows_every_frame_and_the_mask_that_was_on_the_screen(
    tmp_path: Path, color: ColorOrder
) -> None:
    video = AnnotatedVideo(tmp_path / "new" / "clip.mp4", contract(color), 20)
    for mask in (None, MASK, MASK, None):
        video.screen(Screened(Shot(red(color), None), mask))
    video.mask(Masked(0, MASK))
    video.close(None)
    file = tmp_path / "new" / "clip.mp4"
    assert video_facts(file).rate == 20
    shown = [frame.astype(int) for frame in video_frames(file, ColorOrder.BGR)]
    assert len(shown) == 4
    drawn = [abs(one - shown[0]).mean() > 1 for one in shown]
    assert drawn == [False, True, True, False]
    blue, _, red_ = shown[0][32, 48]
    assert red_ > blue + 100 or color is ColorOrder.GRAY


def test_masks_are_named_by_their_frames(tmp_path: Path) -> None:
    folder = MaskFolder(tmp_path / "masks")
    folder.mask(Masked(7, MASK))
    folder.screen(Screened(Shot(red(ColorOrder.RGB), None), MASK))
    folder.close(None)
    (file,) = (tmp_path / "masks").iterdir()
    assert file.name == "000007.mask.png"
    np.testing.assert_array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), MASK)


def test_a_slow_sink_holds_nothing_up_and_what_it_missed_is_counted() -> None:
    go, seen = threading.Event(), list[int]()

    class Slow(Nothing):
        def mask(self, one: Masked) -> None:
            go.wait(60)
            seen.append(one.number)

    apart = Apart([Slow()])
    for number in range(40):
        apart.give(Masked(number, MASK))
    assert apart.lost >= 40 - 17
    go.set()
    apart.close()
    assert len(seen) + apart.lost == 40


def test_a_sink_that_fails_is_told_at_the_end_and_all_are_closed() -> None:
    closed = list[str]()

    class Full(Nothing):
        def mask(self, one: Masked) -> None:
            raise ArtifactError("The disk is full.")

        def close(self, error: BaseException | None) -> None:
            closed.append(str(error))

    apart = Apart([Full(), Full()])
    apart.give(Masked(0, MASK))
    apart.give(Masked(1, MASK))
    with pytest.raises(ArtifactError, match="The disk is full"):
        apart.close()
    assert closed == ["The disk is full."] * 2


def test_without_sinks_nothing_waits() -> None:
    apart = Apart([])
    for number in range(100):
        apart.give(Masked(number, MASK))
    apart.close()
    assert apart.lost == 0


def asked(out: Path | None, *, window: bool = False, source: str = "clip.avi") -> list[Sink]:
    return sinks_for(out, contract(), 30, window=window, source=source)


def test_the_name_says_what_is_written(tmp_path: Path) -> None:
    assert asked(None) == []
    assert [type(sink) for sink in asked(tmp_path / "a.MP4")] == [AnnotatedVideo]
    assert [type(sink) for sink in asked(tmp_path / "masks")] == [MaskFolder]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"clip\.mkv' is neither a video \(NAME\.mp4\) nor a folder"
    ):
        asked(tmp_path / "clip.mkv")
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="is a file, and masks go into a folder"):
        asked(tmp_path / "file")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(SpecError, match="is the source itself"):
        asked(tmp_path / "a.mp4", source=str(tmp_path / "a.mp4"))
    with pytest.raises(ArtifactError, match="is no folder that can be written"):
        asked(tmp_path / "file" / "a.mp4")


def test_a_window_needs_a_display_and_an_opencv_that_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(BackendUnavailableError, match=r"there is no display\. Use --out clip\.mp4"):
        asked(None, window=True)
    monkeypatch.setenv("DISPLAY", ":0")
    none = "  GUI:                           NONE\n"
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: none)
    with pytest.raises(BackendUnavailableError, match="this OpenCV was built without windows"):
        asked(None, window=True)


def test_a_window_shows_frame_and_contour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a display: what OpenCV is asked to draw."""
    shown = list[np.ndarray]()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    GTK3\n")
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    (window,) = asked(None, window=True)
    assert isinstance(window, Window)
    for mask in (None, MASK):
        window.screen(Screened(Shot(red(ColorOrder.RGB), None), mask))
    window.close(None)
    assert (shown[0] == (0, 0, 200)).all()
    assert (shown[1] != shown[0]).any()
