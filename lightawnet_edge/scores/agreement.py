"""How far an engine is from the FP32 that it comes from, over frames: one record for all of them.

FP32 is the network in PyTorch, or its device graph. What is not finite agrees with nothing: such a
pixel counts as wholly different, in the probability and in the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.intervals import mean_interval
from lightawnet_edge.scores.masks import score_mask

LESION = 0.01
"""Share of the pixels from which a mask shows a lesion: of fewer, Dice tells little."""

Mask = NDArray[np.uint8] | NDArray[np.bool_]
"""(H, W): what is not 0 is foreground."""
Probability = NDArray[np.float32]
"""(h, w), in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Differences between an engine and FP32 over frames; probabilities lie in [0, 1]."""

    frames: int
    mask_disagreement: float
    """Share of mask pixels that differ, mean over frames."""
    worst_mask_disagreement: float | None = None
    """The same on the worst frame; None in records that were made before it was kept."""
    mean_abs_probability: float | None = None
    """Mean over pixels and frames; None where the engine gives no probability, as the next two."""
    worst_abs_probability: float | None = None
    """Mean over the pixels of the worst frame."""
    max_abs_probability: float | None = None
    """Largest difference at any pixel of any frame."""
    not_finite: int = 0
    """Pixels of all frames whose probability is NaN or infinite on either side."""
    dice: float | None = None
    """Mean Dice with the FP32 mask, over frames where that shows a lesion; None without any."""
    worst_dice: float | None = None
    """The least of these."""
    dice_fp32: float | None = None
    """Mean Dice of FP32 with true masks; None where the frames have none, as all that follows."""
    dice_drop: float | None = None
    """Mean over frames of the Dice that FP32 has more on the same frame; negative is a gain."""
    dice_drop_low: float | None = None
    """Lower end of its 95 % interval."""
    dice_drop_high: float | None = None
    worst_dice_drop: float | None = None
    """The drop of the frame that loses most."""


@dataclass(slots=True)
class Comparison:
    """Takes in frame by frame, and gives the agreement; memory does not grow with their size."""

    _disagreements: list[float] = field(default_factory=list)
    _errors: list[tuple[float, float]] = field(default_factory=list)
    _not_finite: int = 0
    _dices: list[float] = field(default_factory=list)
    _scores: list[tuple[float, float]] = field(default_factory=list)

    def add(
        self,
        expected: tuple[Mask, Probability | None],
        found: tuple[Mask, Probability | None],
        truth: NDArray[np.bool_] | None = None,
    ) -> None:
        """Compare what FP32 and the engine make of one frame.

        Args:
            expected: Mask and probability of FP32.
            found: Those of the engine, in equal shapes.
            truth: True mask of the frame, (H, W); None where there is none.
        """
        exact, mask = expected[0] != 0, found[0] != 0
        differs = float(np.mean(exact != mask))
        if expected[1] is not None and found[1] is not None:
            differs = max(differs, self._add_probability(expected[1], found[1]))
        self._disagreements.append(differs)
        if shows_lesion(exact):
            self._dices.append(score_mask(mask, exact).dice)
        if truth is not None:
            self._scores.append((score_mask(exact, truth).dice, score_mask(mask, truth).dice))

    def _add_probability(self, expected: Probability, found: Probability) -> float:
        """Take in the errors; give the share of pixels that are not finite."""
        broken = ~(np.isfinite(expected) & np.isfinite(found))
        with np.errstate(invalid="ignore"):
            error = np.where(broken, 1.0, np.abs(found - expected))
        self._errors.append((float(error.mean()), float(error.max())))
        self._not_finite += int(broken.sum())
        return float(broken.mean())

    def agreement(self) -> Agreement:
        """Sum up.

        Raises:
            SpecError: No frame was taken in.
        """
        if not self._disagreements:
            raise SpecError("There is no frame to compare on. Give at least one.")
        means, maxima = zip(*self._errors, strict=True) if self._errors else ((), ())
        drops = [exact - lossy for exact, lossy in self._scores]
        drop = mean_interval(drops) if drops else None
        return Agreement(
            frames=len(self._disagreements),
            mask_disagreement=float(np.mean(self._disagreements)),
            worst_mask_disagreement=max(self._disagreements),
            mean_abs_probability=_mean(means),
            worst_abs_probability=max(means, default=None),
            max_abs_probability=max(maxima, default=None),
            not_finite=self._not_finite,
            dice=_mean(self._dices),
            worst_dice=min(self._dices, default=None),
            dice_fp32=_mean([exact for exact, _ in self._scores]),
            dice_drop=None if drop is None else drop.mean,
            dice_drop_low=None if drop is None else drop.low,
            dice_drop_high=None if drop is None else drop.high,
            worst_dice_drop=max(drops, default=None),
        )


def shows_lesion(mask: Mask) -> bool:
    """Whether so much of a mask is set that its Dice tells something."""
    return bool(np.mean(mask != 0) >= LESION)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
