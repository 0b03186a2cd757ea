"""Frames that cannot calibrate are refused, those that hardly can are doubted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.calibration.judgement import (
    ENOUGH,
    FEWEST,
    STRANGE,
    doubts,
    judge,
    refuse_few,
    strange,
)
from lightawnet_edge.data.likeness import FramePrint, find_matches, print_frame
from lightawnet_edge.errors import SpecError
from tests.calibration.conftest import textured

Frames = list[NDArray[np.uint8]]


def prints(frames: Frames) -> list[FramePrint]:
    """Names are letters, aa, ab, ..., for numbers could count time."""
    return [
        print_frame(chr(97 + number // 26) + chr(97 + number % 26), frame)
        for number, frame in enumerate(frames)
    ]


def different(count: int) -> Frames:
    return [textured(seed) for seed in range(count)]


def near_copies(count: int) -> Frames:
    """One frame at growing brightness."""
    frame = textured(0).astype(float)
    return [(frame * (1 - number / (2 * count))).astype(np.uint8) for number in range(count)]


def blank(count: int) -> Frames:
    """Black, white, noisy and of one colour."""
    rng = np.random.default_rng(0)
    kinds: Frames = [
        np.zeros((60, 80, 3), np.uint8),
        np.full((60, 80, 3), 255, np.uint8),
        np.full((60, 80, 3), (200, 30, 30), np.uint8),
        rng.integers(0, 3, (240, 320, 3), np.uint8),
    ]
    return [kinds[number % 4] for number in range(count)]


def test_different_frames_all_count_and_every_fourth_is_held_out() -> None:
    found = judge(prints(different(12)))
    assert (found.frames, found.distinct, found.scenes, found.blank) == (12, 12, 12, ())
    assert found.held_out(4) == (3, 7, 11)
    assert found.held_out(2) == (1, 3, 5, 7, 9, 11)
    assert doubts(found) == []
    refuse_few(found, "set")


def test_copies_and_near_copies_count_once() -> None:
    for copies in (different(1) * 64, near_copies(64)):
        found = judge(prints(copies))
        assert (found.distinct, found.scenes) == (1, 1)
        assert found.held_out(4) == (), "each would show what set the ranges"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (
            different(1) * 64,
            r"The 64 calibration frames of 'set' show 1 distinct picture \(63 are copies or near-",
        ),
        (
            blank(16),
            r"show no distinct pictures \(16 show nothing \(aa, ab, .*, ah, and 8 more\)\)",
        ),
        (
            different(3) + near_copies(2) + blank(1),
            r"show 3 distinct pictures \(2 are copies or near-copies, 1 show nothing \(af\)\)",
        ),
    ],
)
def test_too_few_pictures_are_refused(frames: Frames, message: str) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        refuse_few(judge(prints(frames)), "set")
    assert "expected 4 at least" in str(refused.value)
    assert str(refused.value).endswith("Give real frames of many scenes with --calibration DIR.")


def test_few_pictures_and_empty_ones_are_doubted() -> None:
    found = judge(prints(different(FEWEST) + blank(2)))
    refuse_few(found, "set")
    few, empty = doubts(found)
    assert few.startswith(f"the 6 calibration frames show 4 distinct pictures, expected {ENOUGH}")
    assert empty.startswith("2 of 6 calibration frames show nothing (ae, af): they take part")


def test_one_clip_is_doubted_and_nothing_of_it_is_held_out() -> None:
    wide = cv2.resize(np.hstack(different(12)), (1920, 120))
    clip = [wide[:, left : left + 320] for left in range(0, 800, 4)]
    named = [print_frame(f"clip_{number:03}", frame) for number, frame in enumerate(clip)]
    found = judge(named)
    assert found.distinct > ENOUGH
    assert found.scenes == 1
    assert found.held_out(4) == ()
    assert "show one scene, or are of one clip" in doubts(found)[0]


def test_the_smallest_scene_of_four_is_held_out_as_a_whole() -> None:
    frames = [*different(3), *near_copies(5), *different(9)[3:]]
    found = judge(prints(frames))
    held_out = found.held_out(4)
    assert held_out == (8, 12), "frames 0 and 3 to 7 are one scene, and no smallest one"
    taken = prints(frames)
    ranges = [one for index, one in enumerate(taken) if index not in held_out]
    assert not find_matches([taken[index] for index in held_out], ranges)


def test_no_frames_are_judged_as_nothing() -> None:
    found = judge([])
    assert (found.distinct, found.scenes, found.held_out(4)) == (0, 0, ())


def test_activations_that_are_not_those_of_training_are_doubted() -> None:
    assert strange(STRANGE, "mine") is None
    assert str(strange(0.19, "mine")).startswith(
        "the calibration frames are not like those that 'mine' was trained on: its activations lie "
        "0.19 nats from their statistics in training, expected at most 0.09"
    )
