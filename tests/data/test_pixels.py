"""Arrays of pixels are stretched alike, whatever they hold."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.data.pixels import UInt8, fit, fit_mask, opencv
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.specs import Size

RED, GREEN = (200, 10, 30), (20, 180, 40)


def two_colours() -> UInt8:
    """RGB frame (12, 16, 3): red on the left, green on the right."""
    frame = np.empty((12, 16, 3), np.uint8)
    frame[:, :8], frame[:, 8:] = RED, GREEN
    return frame


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


def test_frame_and_truth_are_stretched_alike() -> None:
    truth = np.zeros((20, 30), np.bool_)
    truth[5:15, 10:20] = True
    frame = np.repeat(truth[:, :, None], 3, axis=2).astype(np.uint8) * 255
    big_frame, big_truth = fit(frame, Size(40, 60)), fit_mask(truth, Size(40, 60))
    np.testing.assert_array_equal(big_frame[:, :, 0] > 127, big_truth)
    assert big_truth.sum() == 4 * truth.sum()


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
