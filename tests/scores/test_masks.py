"""Scores of one mask: known values, the empty cases, and what holds for every pair of masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.masks import SegmentationScore, hd95, mean_score, score_mask

Mask = NDArray[np.bool_]
MASKS = arrays(np.bool_, (3, 4))
EMPTY = np.zeros((2, 2), np.bool_)
FULL = np.ones((2, 2), np.bool_)


def test_scores_are_the_textbook_ratios() -> None:
    prediction = np.array([[1, 1, 1, 0]], np.bool_)
    truth = np.array([[0, 1, 1, 1]], np.bool_)
    assert score_mask(prediction, truth) == SegmentationScore(
        dice=4 / 6, iou=2 / 4, precision=2 / 3, recall=2 / 3
    )


def test_two_empty_masks_agree() -> None:
    assert score_mask(EMPTY, EMPTY) == SegmentationScore(dice=1, iou=1, precision=1, recall=1)


@pytest.mark.parametrize(("prediction", "truth"), [(EMPTY, FULL), (FULL, EMPTY)])
def test_one_empty_mask_scores_nothing(prediction: Mask, truth: Mask) -> None:
    nothing = SegmentationScore(dice=0, iou=0, precision=0, recall=0)
    assert score_mask(prediction, truth) == nothing


@given(MASKS, MASKS)
def test_dice_is_symmetric_and_precision_is_the_recall_of_the_swapped(a: Mask, b: Mask) -> None:
    there, back = score_mask(a, b), score_mask(b, a)
    assert there.dice == back.dice
    assert there.iou == back.iou
    assert there.precision == back.recall
    assert 0 <= there.iou <= there.dice <= 1


@given(MASKS)
def test_a_mask_agrees_with_itself(mask: Mask) -> None:
    assert score_mask(mask, mask).dice == 1


@given(st.lists(st.tuples(MASKS, MASKS), min_size=1, max_size=4))
def test_the_mean_gives_each_image_equal_weight(pairs: list[tuple[Mask, Mask]]) -> None:
    scores = [score_mask(a, b) for a, b in pairs]
    assert mean_score(scores).dice == pytest.approx(sum(s.dice for s in scores) / len(scores))


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="no image was measured"):
        mean_score([])


def test_masks_of_unequal_shape_are_refused() -> None:
    with pytest.raises(SpecError, match=r"shape \(2, 2\), the truth \(2, 3\)"):
        score_mask(EMPTY, np.zeros((2, 3), np.bool_))


def test_masks_that_are_not_boolean_are_refused() -> None:
    with pytest.raises(SpecError, match=r"truth has dtype uint8, expected bool"):
        score_mask(EMPTY, np.zeros((2, 2), np.uint8))


def border(mask: Mask) -> list[tuple[int, int]]:
    """Pixels of a mask with a neighbour by a side that is outside of it, or of the image."""
    inside = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    return [
        (y, x) for y, x in inside
        if not {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} <= inside
    ]  # fmt: skip


@given(MASKS, MASKS)
def test_hd95_is_the_percentile_of_all_distances_between_borders(a: Mask, b: Mask) -> None:
    ours, theirs = border(a), border(b)
    if not (ours and theirs):
        assert hd95(a, b) == (None if ours or theirs else 0)
        return
    there = [min(np.hypot(y - v, x - u) for v, u in theirs) for y, x in ours]
    back = [min(np.hypot(y - v, x - u) for v, u in ours) for y, x in theirs]
    # OpenCV's distances are float32.
    assert hd95(a, b) == pytest.approx(np.percentile(there + back, 95), rel=1e-6)


def test_hd95_of_a_shifted_square_is_the_shift() -> None:
    a, b = np.zeros((40, 40), np.bool_), np.zeros((40, 40), np.bool_)
    a[10:20, 10:20] = b[10:20, 17:27] = True
    assert hd95(a, b) == pytest.approx(7)
    assert hd95(a, b) == hd95(b, a)


def test_hd95_has_no_value_where_only_one_mask_is_empty() -> None:
    assert hd95(EMPTY, FULL) is None
    assert hd95(FULL, EMPTY) is None
    assert hd95(EMPTY, EMPTY) == 0


def test_hd95_refuses_masks_of_unequal_shape() -> None:
    with pytest.raises(SpecError, match="shape"):
        hd95(EMPTY, np.zeros((2, 3), np.bool_))
