"""Scores of an engine stand beside those of its baseline."""

from __future__ import annotations

import pytest

from lightawnet_edge.benchmarks.accuracy import frame_scores
from lightawnet_edge.scores.masks import SegmentationScore


def test_scores_are_paired_by_frame_whatever_their_order() -> None:
    def score(dice: float) -> SegmentationScore:
        return SegmentationScore(dice=dice, iou=0.1, precision=0.2, recall=0.3)

    ours, theirs = {"a": score(0.5), "b": score(0.9)}, {"b": score(0.8), "a": score(0.7)}
    drops = {found.frame: found.dice_drop for found in frame_scores(ours, theirs)}
    assert drops == {"a": pytest.approx(0.2), "b": pytest.approx(-0.1)}
    assert [found.dice_drop for found in frame_scores(ours, None)] == [None, None]
