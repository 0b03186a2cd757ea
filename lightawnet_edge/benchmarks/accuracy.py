"""Frames with their truth, and how masks score against it.

An engine is scored on the frames that its device would give it: an image is stretched to the
frame size of the engine's contract, its truth likewise, and masks are compared there, in full size.
"""

from __future__ import annotations

from collections.abc import Mapping

from lightawnet_edge.benchmarks.records import FrameScore
from lightawnet_edge.scores.masks import SegmentationScore


def frame_scores(
    scores: Mapping[str, SegmentationScore], baseline: Mapping[str, SegmentationScore] | None
) -> tuple[FrameScore, ...]:
    """Pair the scores of an engine with those of its baseline, frame by frame.

    Args:
        scores: Frame to score.
        baseline: The same frames, scored with the FP32 network; None where there is none.
    """
    return tuple(
        FrameScore(
            frame=frame,
            dice=score.dice,
            iou=score.iou,
            precision=score.precision,
            recall=score.recall,
            dice_drop=None if baseline is None else baseline[frame].dice - score.dice,
        )
        for frame, score in scores.items()
    )
