"""A frame that lies otherwise is answered with what to write instead, and that is right."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from lightawnet_edge.runtime.layouts import rearranged

COLOR, GRAY = (48, 64, 3), (48, 64)
CASES = [
    ((3, 48, 64), COLOR, "Its channels come first: give frame.transpose(1, 2, 0)."),
    ((1, 48, 64, 3), COLOR, "It is a batch: give frame[0]."),
    ((5, 48, 64, 3), COLOR, "It is a batch: give frame[0]."),
    ((1, 3, 48, 64), COLOR, "with its channels first: give frame[0].transpose(1, 2, 0)."),
    ((48, 64, 4), COLOR, "It has an alpha channel: give frame[..., :3]."),
    ((1, 48, 64, 4), COLOR, "It is a batch with an alpha channel: give frame[0][..., :3]."),
    ((48, 64), COLOR, "It is gray: give np.stack([frame] * 3, axis=-1)."),
    ((48, 64, 1), COLOR, "It is gray: give np.repeat(frame, 3, axis=-1)."),
    ((1, 48, 64), COLOR, "It is a batch of gray frames: give np.stack([frame[0]] * 3, axis=-1)."),
    ((48, 64, 1), GRAY, "Its one channel is an axis: give frame[..., 0]."),
    ((1, 48, 64), GRAY, "It is a batch: give frame[0]."),
    ((1, 48, 64, 1), GRAY, "It is a batch of gray frames: give frame[0][..., 0]."),
    ((48, 64, 3), GRAY, "It is in colour: give cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)."),
]


@pytest.mark.parametrize(("shape", "expected", "told"), CASES)
def test_what_the_message_says_gives_a_frame_that_fits(
    shape: tuple[int, ...], expected: tuple[int, ...], told: str
) -> None:
    frame = np.zeros(shape, np.uint8)
    text = rearranged(frame, expected)
    assert text is not None
    assert text.endswith(told)
    expression = text.partition("give ")[2].removesuffix(".")
    assert eval(expression, {"frame": frame, "np": np, "cv2": cv2}).shape == expected


@pytest.mark.parametrize(("shape", "expected", "told"), CASES)
def test_a_frame_of_another_size_too_is_told_both(
    shape: tuple[int, ...], expected: tuple[int, ...], told: str
) -> None:
    text = rearranged(np.zeros(shape, np.uint8), (96, 80, *expected[2:]))
    assert text is not None
    assert told.removesuffix(".") in text
    assert text.endswith(", scaled, or export a bundle for this size: --frame 48x64.")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((96, 80, 3), COLOR), ((96, 80), GRAY), ((48, 64, 5), COLOR), ((), COLOR), ((9,), GRAY)],
)
def test_where_the_layout_is_not_the_reason_nothing_is_said_of_it(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert rearranged(np.zeros(shape, np.uint8), expected) is None


def test_pixels_stay_where_they_are() -> None:
    frame = np.random.default_rng(0).integers(0, 256, COLOR, np.uint8)
    text = rearranged(frame.transpose(2, 0, 1), COLOR)
    (expression,) = re.findall(r"give (.*)\.$", text or "")
    again = eval(expression, {"frame": frame.transpose(2, 0, 1)})
    assert np.array_equal(again, frame)
