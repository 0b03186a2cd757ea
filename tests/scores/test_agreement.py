"""How far an engine is from FP32: what is counted, and that nothing broken passes for agreement."""

from __future__ import annotations

import numpy as np
import pytest

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.agreement import Agreement, Comparison, shows_lesion

HALF = np.repeat(np.array([[0], [255]], np.uint8), 8, axis=0).repeat(16, axis=1)
"""(16, 16): the lower half is foreground."""
NONE = np.zeros_like(HALF)
PROBABILITY = (HALF / 255).astype(np.float32)


def compared(*frames: tuple[np.ndarray, np.ndarray | None]) -> Agreement:
    """Masks with their probabilities against the lower half."""
    comparison = Comparison()
    for mask, probability in frames:
        comparison.add((HALF, PROBABILITY), (mask, probability))
    return comparison.agreement()


def test_an_equal_engine_agrees_wholly() -> None:
    assert compared((HALF, PROBABILITY)) == Agreement(
        frames=1, mask_disagreement=0, worst_mask_disagreement=0, mean_abs_probability=0,
        worst_abs_probability=0, max_abs_probability=0, dice=1, worst_dice=1,
    )  # fmt: skip


def test_means_are_over_frames_and_the_worst_is_kept() -> None:
    other = HALF.copy()
    other[8:12] = 0
    found = compared((HALF, PROBABILITY), (other, PROBABILITY * np.float32(0.5)))
    assert (found.mask_disagreement, found.worst_mask_disagreement) == (0.125, 0.25)
    assert (found.mean_abs_probability, found.worst_abs_probability) == (0.125, 0.25)
    assert found.max_abs_probability == 0.5
    assert found.worst_dice == pytest.approx(2 * 64 / (64 + 128))
    assert found.dice == pytest.approx((1 + 2 * 64 / (64 + 128)) / 2)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["both", "expected", "found"])
def test_what_is_not_finite_agrees_with_nothing(poison: float, side: str) -> None:
    """NaN equals NaN nowhere, and infinity does not cancel infinity."""
    broken = np.full_like(PROBABILITY, poison)
    comparison = Comparison()
    comparison.add(
        (HALF, PROBABILITY if side == "found" else broken),
        (HALF, PROBABILITY if side == "expected" else broken),
    )
    found = comparison.agreement()
    assert found.mask_disagreement == 1
    assert found.mean_abs_probability == 1
    assert found.not_finite == PROBABILITY.size


def test_without_a_probability_masks_alone_are_compared() -> None:
    found = compared((NONE, None))
    assert (found.mask_disagreement, found.dice) == (0.5, 0)
    assert found.mean_abs_probability is found.max_abs_probability is None


def test_dice_is_that_of_frames_whose_fp32_mask_shows_a_lesion() -> None:
    dot = NONE.copy()
    dot[0, 0] = 255
    assert not shows_lesion(dot)
    comparison = Comparison()
    comparison.add((dot, None), (NONE, None))
    assert comparison.agreement().worst_dice is None


def test_with_truths_the_drop_of_dice_is_paired() -> None:
    truth = HALF > 0
    comparison = Comparison()
    comparison.add((HALF, None), (HALF, None), truth)
    comparison.add((HALF, None), (NONE, None), truth)
    found = comparison.agreement()
    assert (found.dice_fp32, found.dice_drop, found.worst_dice_drop) == (1, 0.5, 1)
    assert found.dice_drop_low is not None
    assert found.dice_drop_high is not None
    assert 0 <= found.dice_drop_low <= 0.5 <= found.dice_drop_high <= 1


def test_no_frame_is_no_agreement() -> None:
    with pytest.raises(SpecError, match="no frame to compare on"):
        Comparison().agreement()
