"""Decibels: of every pair of energies, or a refusal in words."""

from __future__ import annotations

import math

import pytest

from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.scores.decibels import decibels


@pytest.mark.parametrize(
    ("signal", "noise", "expected"),
    [(10.0, 1.0, 10.0), (1.0, 10.0, -10.0), (1.0, 0.0, math.inf), (0.0, 0.0, math.inf),
     (0.0, 1.0, -math.inf)],
)  # fmt: skip
def test_a_signal_is_told_against_its_noise(signal: float, noise: float, expected: float) -> None:
    assert decibels(signal, noise, "'e1'") == pytest.approx(expected)


@pytest.mark.parametrize(("signal", "noise"), [(math.nan, 1.0), (1.0, math.inf), (1.0, math.nan)])
def test_what_is_not_finite_has_no_decibels(signal: float, noise: float) -> None:
    with pytest.raises(CheckFailedError, match=r"^Layer 'e1' gives results that are not finite"):
        decibels(signal, noise, "Layer 'e1'")
