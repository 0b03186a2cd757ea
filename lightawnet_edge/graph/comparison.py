"""How far graphs and engines are from the FP32 graph that they come from, on real frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.scores.intervals import mean_interval
from lightawnet_edge.scores.masks import score_mask

Truths = Callable[[], Iterable[NDArray[np.bool_]]]
"""Starts over with each call: the true mask of every frame, in the order of the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """Differences between two device graphs over frames; probabilities lie in [0, 1]."""

    frames: int
    max_abs_probability: float
    """Largest difference at any pixel of any frame."""
    mean_abs_probability: float
    """Mean over pixels and frames."""
    mask_disagreement: float
    """Share of mask pixels that differ, mean over frames."""
    max_mask_disagreement: float
    """The same on the worst frame."""
    dice_fp32: float | None = None
    """Mean Dice of the FP32 graph; None where the frames have no masks, as all that follows."""
    dice_drop: float | None = None
    """Mean over frames of the Dice that FP32 has more on the same frame; negative is a gain."""
    dice_drop_low: float | None = None
    """Lower end of its 95 % interval."""
    dice_drop_high: float | None = None
    worst_dice_drop: float | None = None
    """The drop of the frame that loses most."""


def compare(
    reference: Runs,
    candidates: Mapping[str, Runs],
    frames: Callable[[], Iterable[UInt8]],
    truths: Truths | None = None,
) -> dict[str, Numerics]:
    """Run each frame through all, and compare what comes out.

    Args:
        reference: The FP32 graph.
        candidates: What is compared with it, by the name of what runs it.
        frames: Starts over with each call; uint8, shaped like the graphs' input.
        truths: True masks, as many and as large as the frames; None where there are none.

    Raises:
        CheckFailedError: A candidate gives probabilities that are not finite; counted over all
            frames.
        SpecError: There are no frames.
    """
    found: dict[str, list[_Difference]] = {name: [] for name in candidates}
    broken: dict[str, dict[int, int]] = {name: {} for name in candidates}
    pairs = zip(frames(), truths() if truths else repeat(None), strict=truths is not None)
    for index, (frame, truth) in enumerate(pairs):
        expected = reference(frame)
        for name, run in candidates.items():
            given = run(frame)
            if count := int((~np.isfinite(given[1])).sum()):
                broken[name][index] = count
            else:
                found[name].append(_difference(expected, given, truth))
    for name, counts in broken.items():
        if counts:
            raise CheckFailedError(
                f"Run by {name}, the typed graph gives {sum(counts.values())} probabilities that "
                f"are not finite on frame {', '.join(map(str, counts))}. Calibrate on frames that "
                "include such a one, or export with --fp32."
            )
    if not all(found.values()):
        raise SpecError("The numeric check needs frames, and there are none.")
    return {name: _summary(differences) for name, differences in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """What one frame shows; `dice` holds that of FP32 and that of the candidate."""

    worst: float
    mean: float
    disagreement: float
    dice: tuple[float, float] | None


def _difference(expected: Any, given: Any, truth: NDArray[np.bool_] | None) -> _Difference:
    error = np.abs(given[1] - expected[1])
    dice = None
    if truth is not None:
        exact, typed = (score_mask(one[0].astype(bool), truth).dice for one in (expected, given))
        dice = (exact, typed)
    return _Difference(
        worst=float(error.max()),
        mean=float(error.mean()),
        disagreement=float(np.mean(given[0] != expected[0])),
        dice=dice,
    )


def _summary(found: list[_Difference]) -> Numerics:
    scores = [one.dice for one in found if one.dice is not None]
    drops = [exact - typed for exact, typed in scores]
    drop = mean_interval(drops) if drops else None
    return Numerics(
        frames=len(found),
        max_abs_probability=max(one.worst for one in found),
        mean_abs_probability=float(np.mean([one.mean for one in found])),
        mask_disagreement=float(np.mean([one.disagreement for one in found])),
        max_mask_disagreement=max(one.disagreement for one in found),
        dice_fp32=float(np.mean([exact for exact, _ in scores])) if scores else None,
        dice_drop=None if drop is None else drop.mean,
        dice_drop_low=None if drop is None else drop.low,
        dice_drop_high=None if drop is None else drop.high,
        worst_dice_drop=max(drops, default=None),
    )
