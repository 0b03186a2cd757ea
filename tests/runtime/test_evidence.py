"""Numbers of an engine that works, and of one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.runtime.evidence import Repeats, plausible
from lightawnet_edge.specs import ColorOrder, Matrix, Normalization, Range, Region, Size, Yuv


def contract(color: ColorOrder = ColorOrder.RGB, crop: Region | None = None) -> Contract:
    return Contract(
        frame=Size(32, 48), color=color, network=Size(16, 32), normalization=Normalization(),
        threshold=0.5, probability=True, crop=crop,
        yuv=Yuv(matrix=Matrix.BT601, range=Range.LIMITED) if color.chroma else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (0, True),
        (1, True),
        (1.0000001, True),
        (-1e-4, False),
        (1.001, False),
        (np.nan, False),
        (np.inf, False),
    ],
)
def test_probabilities_are_finite_and_within_0_and_1(value: float, good: bool) -> None:
    values = np.full((4, 4), 0.5, np.float32)
    values[2, 3] = value
    assert plausible(values) is good


def test_equal_bits_of_another_frame_repeat_and_of_the_same_frame_do_not() -> None:
    repeats = Repeats(contract())
    frame, other = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)
    other[31, 47, 2] = 1
    values = np.full((16, 32), 0.5, np.float32)
    assert not repeats(frame, values), "nothing came before"
    assert not repeats(frame.copy(), values.copy()), "a still picture"
    assert repeats(other, values.copy())
    assert not repeats(frame, np.nextafter(values, 1, dtype=np.float32))
    repeats.forget()
    assert not repeats(other, values)


@pytest.mark.parametrize("color", [ColorOrder.RGB, ColorOrder.NV12, ColorOrder.YUY2])
def test_what_changes_outside_of_the_region_tells_nothing(color: ColorOrder) -> None:
    asked = contract(color, Region(16, 8, 16, 16))
    repeats = Repeats(asked)
    frame = np.zeros(asked.frame_shape, np.uint8)
    values = np.full((16, 32), 0.5, np.float32)
    repeats(frame, values)
    clock = frame.copy()
    clock[0, 0] = 255
    assert not repeats(clock, values)
    picture = clock.copy()
    picture[12, 20] = 255
    assert repeats(picture, values)


def test_a_change_of_colour_alone_is_a_change_in_nv12() -> None:
    asked = contract(ColorOrder.NV12, Region(16, 8, 16, 16))
    repeats = Repeats(asked)
    frame = np.zeros(asked.frame_shape, np.uint8)
    values = np.full((16, 32), 0.5, np.float32)
    repeats(frame, values)
    outside = frame.copy()
    outside[32, 16] = 9
    assert not repeats(outside, values)
    inside = outside.copy()
    inside[32 + 4, 16] = 9
    assert repeats(inside, values)
