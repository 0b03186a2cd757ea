"""Scores of one predicted mask against the truth; numpy, and OpenCV for distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationScore:
    """Overlap of two masks of one image (or a mean over images); every value in [0, 1]."""

    dice: float
    """2 TP / (2 TP + FP + FN)."""
    iou: float
    """TP / (TP + FP + FN)."""
    precision: float
    """TP / (TP + FP)."""
    recall: float
    """TP / (TP + FN)."""


def score_mask(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> SegmentationScore:
    """Score a predicted mask; both are boolean, of equal shape.

    Two empty masks agree: all values are 1. Where only one is empty nothing was found rightly: all
    values are 0, precision and recall too, which leaves no image out of a mean.

    Raises:
        SpecError: The shapes differ, or a mask is not boolean.
    """
    _check(prediction, truth)
    hits = int(np.count_nonzero(prediction & truth))
    predicted, true = int(np.count_nonzero(prediction)), int(np.count_nonzero(truth))
    if predicted == 0 or true == 0:
        agreed = float(predicted == true)
        return SegmentationScore(dice=agreed, iou=agreed, precision=agreed, recall=agreed)
    return SegmentationScore(
        dice=2 * hits / (predicted + true),
        iou=hits / (predicted + true - hits),
        precision=hits / predicted,
        recall=hits / true,
    )


def hd95(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    """95th percentile of the distances between the borders of two masks, in pixels.

    The border of a mask is made of its pixels that touch, by a side, a pixel outside it or the edge
    of the image. Distances from each border to the other are pooled, then the percentile is taken,
    linear between values. Two empty masks agree: 0. Where only one is empty there is no border to
    measure to: None, which callers count apart, because any number would be made up.

    Args:
        prediction: Boolean, shape (H, W).
        truth: The same.

    Raises:
        SpecError: The shapes differ, or a mask is not boolean.

    References:
        Huttenlocher et al. 1993, "Comparing Images Using the Hausdorff Distance", §II (ranked).
    """
    _check(prediction, truth)
    found, real = bool(prediction.any()), bool(truth.any())
    if not (found and real):
        return None if found or real else 0.0
    ours, theirs = _border(prediction), _border(truth)
    distances = np.concatenate([_distance_to(theirs)[ours], _distance_to(ours)[theirs]])
    return float(np.percentile(distances, 95))


def mean_score(scores: Sequence[SegmentationScore]) -> SegmentationScore:
    """Average over images, each of equal weight.

    Raises:
        SpecError: There are no scores.
    """
    if not scores:
        raise SpecError("There is no score to average: no image was measured.")
    return SegmentationScore(
        dice=float(np.mean([score.dice for score in scores])),
        iou=float(np.mean([score.iou for score in scores])),
        precision=float(np.mean([score.precision for score in scores])),
        recall=float(np.mean([score.recall for score in scores])),
    )


def check_shares(**shares: float) -> None:
    """Refuse what is no share of anything.

    Raises:
        SpecError: A value is not in [0, 1]; names the first.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise SpecError(f"{name}={share} must be in [0, 1].")


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _distance_to(border: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Exact Euclidean distance of every pixel to the nearest one of a border."""
    import cv2

    outside = (~border).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _check(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    if prediction.shape != truth.shape:
        raise SpecError(f"The prediction has shape {prediction.shape}, the truth {truth.shape}.")
    for name, mask in (("prediction", prediction), ("truth", truth)):
        if mask.dtype != np.bool_:
            raise SpecError(
                f"The {name} has dtype {mask.dtype}, expected bool. Threshold it first."
            )
