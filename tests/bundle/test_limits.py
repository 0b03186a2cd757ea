"""Limits: what holds says nothing, what does not is named with what was found and expected."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lightawnet_edge.bundle.limits import EXACT, USUAL, AgreementLimits, Limits
from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.agreement import Agreement


def found(**changes: Any) -> Agreement:
    values: dict[str, Any] = {
        "frames": 4, "mask_disagreement": 0.002, "worst_mask_disagreement": 0.004,
        "mean_abs_probability": 0.001, "worst_abs_probability": 0.002, "max_abs_probability": 0.2,
        "dice": 0.99, "worst_dice": 0.97,
    }  # fmt: skip
    return Agreement(**(values | changes))


def test_a_good_int8_engine_holds_the_usual_limits_and_not_those_of_an_exact_one() -> None:
    assert list(USUAL.agreement(exact=False).shortfalls(found())) == []
    assert list(USUAL.agreement(exact=True).shortfalls(found())) == [
        "masks differ in 0.20% of the pixels, expected at most 0.10%"
    ]


def test_an_engine_that_finds_nothing_is_out_of_the_usual_limits() -> None:
    """Of frames that are mostly background few pixels differ: Dice tells."""
    texts = list(USUAL.approximate.shortfalls(found(mask_disagreement=0.04, dice=0.0)))
    assert texts == [
        "the masks of lesions have a mean Dice of 0.000 with those of FP32, expected at least 0.800"
    ]


def test_what_is_not_finite_is_out_of_every_limit() -> None:
    for limits in (EXACT, USUAL.approximate, AgreementLimits()):
        texts = list(limits.shortfalls(found(mask_disagreement=0.0, not_finite=3)))
        assert texts[0] == "3 probabilities are not finite, expected none"


def test_each_limit_is_asked() -> None:
    limits = AgreementLimits(
        mask_disagreement=0.001, worst_mask_disagreement=0.003, worst_abs_probability=0.001,
        dice=0.995, worst_dice=0.98,
    )  # fmt: skip
    assert list(limits.shortfalls(found())) == [
        "masks differ in 0.20% of the pixels, expected at most 0.10%",
        "masks differ in 0.40% of the pixels of a frame, expected at most 0.30%",
        "probabilities differ by 0.002 on average, expected at most 0.001",
        (
            "the masks of lesions have a mean Dice of 0.990 with those of FP32, expected at least "
            "0.995"
        ),
        "the mask of a lesion has a Dice of 0.970 with that of FP32, expected at least 0.980",
    ]


def test_what_an_engine_does_not_give_is_not_asked() -> None:
    silent = found(worst_abs_probability=None, dice=None, worst_dice=None)
    limits = AgreementLimits(worst_abs_probability=0.0, dice=1.0, worst_dice=1.0)
    assert list(limits.shortfalls(silent)) == []


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_a_limit_is_a_share(value: float) -> None:
    with pytest.raises(SpecError, match="must lie between 0 and 1"):
        Limits(int8_share=value)
    with pytest.raises(SpecError, match="must lie between 0 and 1"):
        AgreementLimits(dice=value)
