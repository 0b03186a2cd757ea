"""Frames that show one thing are one scene, whatever lies between them; other frames are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lightawnet_edge.data.likeness import FramePrint, print_frame
from lightawnet_edge.data.scenes import scenes
from lightawnet_edge.specs import Size
from tests.conftest import blobs


def sketched(stem: str, signs: np.ndarray) -> FramePrint:
    bits = np.concatenate([signs > 0, signs < 0])
    return FramePrint(stem, f"pixels of {stem}", np.packbits(bits).tobytes().hex())


def walk(count: int, changed: int, seed: int = 0) -> list[np.ndarray]:
    """Sketches of 512 signs; so many are drawn anew from one to the next."""
    rng = np.random.default_rng(seed)
    signs = [rng.choice([-1, 1], 512)]
    while len(signs) < count:
        following = signs[-1].copy()
        following[rng.choice(512, changed, replace=False)] = rng.choice([-1, 1], changed)
        signs.append(following)
    return signs


def test_frames_that_are_not_alike_are_scenes_of_their_own() -> None:
    prints = [print_frame(f"f{i}", frame) for i, (frame, _) in enumerate(blobs(6, Size(40, 48)))]
    assert scenes(prints) == [f"f{i}" for i in range(6)]


def test_copies_are_one_scene_that_has_the_first_of_its_names() -> None:
    ((frame, _), (other, _)) = blobs(2, Size(40, 48))
    smaller = np.asarray(cv2.resize(frame, (24, 20), interpolation=cv2.INTER_AREA), np.uint8)
    prints = [print_frame("z", frame), print_frame("b", other), print_frame("a", smaller)]
    assert scenes(prints) == ["a", "b", "a"]


def test_what_hangs_together_over_steps_is_one_scene() -> None:
    signs = walk(12, changed=60)
    assert signs[0] @ signs[-1] < 0.5 * 512, "the ends are not alike"
    prints = [sketched(name, one) for name, one in zip("lakcjbidhegf", signs, strict=True)]
    assert set(scenes(prints)) == {"a"}


def test_flat_frames_are_one_scene_where_their_pixels_are_equal() -> None:
    frames = [np.full((20, 30, 3), value, np.uint8) for value in (0, 0, 120)]
    prints = [print_frame(name, frame) for name, frame in zip("abc", frames, strict=True)]
    assert scenes(prints) == ["a", "a", "c"]


def test_a_clip_is_one_scene_where_its_numbers_count_time() -> None:
    """Every third step is alike to the next: the others show the same patient."""
    still, moving = walk(10, changed=40), walk(10, changed=512, seed=1)
    signs = [pair[0] for pair in zip(still, moving, strict=True)][:6] + moving[:4]
    prints = [sketched(f"clip_{number:04d}", one) for number, one in enumerate(signs)]
    stranger = sketched("other_0004", moving[9])
    assert scenes([*prints, stranger]) == ["clip_0000"] * 10 + ["other_0004"]


def test_numbers_that_do_not_count_time_say_nothing() -> None:
    """Names of many public sets number their patients."""
    signs = walk(20, changed=512)
    signs[7] = signs[6]
    prints = [sketched(f"C3_{number}", one) for number, one in enumerate(signs)]
    found = scenes(prints)
    assert len(set(found)) == 19
    assert found[6] == found[7]


def test_no_frame_has_no_scene() -> None:
    assert scenes([]) == []


@pytest.mark.parametrize("count", [700, 1100])
def test_more_frames_than_are_compared_at_once_are_compared_with_all(count: int) -> None:
    rng = np.random.default_rng(2)
    signs = [rng.choice([-1, 1], 512) for _ in range(count)]
    signs[-1] = signs[0]
    names = [f"{chr(97 + i % 26)}{i}x" for i in range(count)]
    found = scenes([sketched(name, one) for name, one in zip(names, signs, strict=True)])
    assert found[0] == found[-1]
    assert len(set(found)) == count - 1
