from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.data.frames import (
    UInt8,
    fit,
    fit_mask,
    image_files,
    opencv,
    read_frame,
    read_mask,
    read_mask_values,
    video_frames,
)
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import ColorOrder, Size

RED, GREEN = (200, 10, 30), (20, 180, 40)


def two_colours() -> UInt8:
    """RGB frame (12, 16, 3): red on the left, green on the right."""
    frame = np.empty((12, 16, 3), np.uint8)
    frame[:, :8], frame[:, 8:] = RED, GREEN
    return frame


@pytest.fixture(params=[".png", ".bmp", ".tif", ".npy"])
def lossless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"frame{request.param}"
    if path.suffix == ".npy":
        np.save(path, two_colours())
    else:
        cv2.imwrite(str(path), two_colours()[:, :, ::-1])
    return path


def test_colour_frames_come_in_the_order_that_is_asked_for(lossless: Path) -> None:
    rgb, bgr = read_frame(lossless), read_frame(lossless, ColorOrder.BGR)
    assert np.array_equal(rgb, two_colours())
    assert np.array_equal(bgr, two_colours()[:, :, ::-1])
    assert rgb.flags.c_contiguous
    assert bgr.flags.c_contiguous


def test_gray_frames_are_the_luma_of_the_colours(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "frame.png"), two_colours()[:, :, ::-1])
    gray = read_frame(tmp_path / "frame.png", ColorOrder.GRAY)
    luma = two_colours() @ np.array([0.299, 0.587, 0.114])
    assert gray.shape == (12, 16)
    np.testing.assert_allclose(gray, luma, atol=1)


def test_gray_files_become_three_equal_channels(tmp_path: Path) -> None:
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    np.save(tmp_path / "b.npy", gray)
    for name in ("a.png", "b.npy"):
        assert np.array_equal(read_frame(tmp_path / name), np.stack([gray] * 3, axis=2)), name
        assert np.array_equal(read_frame(tmp_path / name, ColorOrder.GRAY), gray), name


def test_slices_are_scaled_from_their_own_range(tmp_path: Path) -> None:
    np.save(tmp_path / "slice.npy", np.array([[-1000, 0], [500, 1000]], np.int16))
    frame = read_frame(tmp_path / "slice.npy", ColorOrder.GRAY)
    assert frame.tolist() == [[0, 128], [191, 255]]
    assert frame.dtype == np.uint8


@pytest.mark.parametrize(("value", "level"), [(0, 0), (-3, 0), (7, 255)])
def test_flat_slices_are_black_or_white(tmp_path: Path, value: int, level: int) -> None:
    np.save(tmp_path / "slice.npy", np.full((4, 4), value, np.int32))
    assert (read_frame(tmp_path / "slice.npy", ColorOrder.GRAY) == level).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float32])
def test_masks_of_zero_and_one_are_read_as_0_and_255(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "mask.npy", np.eye(4, dtype=dtype))
    assert np.array_equal(read_mask_values(tmp_path / "mask.npy"), np.eye(4, dtype=np.uint8) * 255)
    assert np.array_equal(read_mask(tmp_path / "mask.npy"), np.eye(4, dtype=bool))


def test_the_ringing_of_jpeg_masks_is_cut_off(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    cv2.imwrite(str(tmp_path / "mask.jpg"), mask, [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert np.array_equal(read_mask(tmp_path / "mask.jpg"), mask > 0)


@pytest.mark.parametrize("name", ["frame.png", "frame.jpg", "frame.npy"])
@pytest.mark.parametrize("raw", [b"", b"no picture"])
def test_broken_files_are_named(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ArtifactError, match=rf"{name}' cannot be (decoded|read)"):
        read_frame(tmp_path / name)


@pytest.mark.parametrize("name", ["frame.png", "frame.npy"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match=name):
        read_frame(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 2)), r"has shape \(3, 4, 2\), expected \(H, W\) or \(H, W, 3\)"),
        (np.zeros(5), r"has shape \(5,\)"),
        (np.zeros((0, 4)), r"has shape \(0, 4\)"),
        (np.array([[0, np.nan]]), "holds values that are not finite"),
        (np.array([[0, np.inf]]), "holds values that are not finite"),
        (np.array([["a", "b"]]), "does not hold one array of real numbers"),
        (np.array([[1j, 2]]), "does not hold one array of real numbers"),
    ],
)
def test_arrays_that_are_no_image_are_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ArtifactError, match=message):
        read_frame(tmp_path / "x.npy")


def test_archives_and_objects_under_the_suffix_of_an_array_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 4)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ArtifactError, match=name):
            read_frame(tmp_path / name)


def test_a_colour_array_is_no_gray_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", two_colours())
    with pytest.raises(ArtifactError, match=r"has three channels, expected gray"):
        read_frame(tmp_path / "x.npy", ColorOrder.GRAY)


def test_images_are_listed_by_stem_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.npy", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert list(image_files(tmp_path)) == ["a", "b", "c"]
    assert image_files(tmp_path)["b"] == tmp_path / "b.PNG"


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(ArtifactError, match=r"a\.jpg' and '.*a\.png' share a stem"):
        image_files(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No folder '.*nowhere'"):
        image_files(tmp_path / "nowhere")


def write_video(path: Path, levels: list[int]) -> None:
    """Frames (48, 64) that are red on the left, with a blue level that tells them apart."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in levels:
        frame = np.full((48, 64, 3), level, np.uint8)
        frame[:, :32] = (0, 0, 255)
        writer.write(frame)
    writer.release()


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


def test_a_video_that_breaks_off_gives_its_frames_and_then_says_so(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.avi", tmp_path / "half.avi"
    write_video(whole, [level % 250 for level in range(0, 2000, 10)])
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    frames = video_frames(half)
    assert len([next(frames) for _ in range(20)]) == 20
    with pytest.raises(ArtifactError, match=r"breaks off after \d+ of 200 frames"):
        list(frames)


def test_a_video_without_frames_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.avi' cannot be decoded: no frame came out"):
        list(video_frames(tmp_path / "nowhere.avi"))


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_frames_and_masks_are_stretched_to_any_size(height: int, width: int) -> None:
    size = Size(height, width)
    assert fit(two_colours(), size).shape == (height, width, 3)
    mask = fit_mask(two_colours()[:, :, 0] > 100, size)
    assert mask.shape == (height, width)
    assert mask.dtype == np.bool_


def test_stretching_keeps_halves_as_halves() -> None:
    small, large = Size(6, 8), Size(36, 48)
    left = two_colours()[:, :, 0] > 100
    for size in (small, large):
        frame, mask = fit(two_colours(), size), fit_mask(left, size)
        half = size.width // 2
        assert mask[:, :half].all()
        assert not mask[:, half:].any()
        assert tuple(frame[0, 0]) == RED
        assert tuple(frame[-1, -1]) == GREEN


def test_masks_take_the_pixel_at_the_centre() -> None:
    mask = np.array([[False, True, False, True, False, True]])
    # The centres of two pixels over six are the second and the fifth.
    assert fit_mask(mask, Size(1, 2)).tolist() == [[True, False]]


def test_the_same_size_is_not_resampled() -> None:
    frame = two_colours()
    assert fit(frame, Size(12, 16)) is frame


def test_without_opencv_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'lightawnet-edge\[media\]'"):
        opencv()


def test_a_mask_of_0_and_1_is_refused_not_taken_for_empty(tmp_path: Path) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[1, 1] = 1
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with pytest.raises(ArtifactError, match="its brightest value is 1, expected 255"):
        read_mask(tmp_path / "mask.png")
