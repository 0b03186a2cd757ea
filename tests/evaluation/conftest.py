"""Evaluations by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lightawnet_edge.codec import dumps
from lightawnet_edge.evaluation.evaluation import SCHEMA, Evaluation, FrameResult, Weights
from lightawnet_edge.specs import Size

MakeEvaluation = Callable[..., Evaluation]


def document(result: Evaluation) -> str:
    """What `evaluate --json` prints of it."""
    return dumps(result, schema=SCHEMA, indent=None, sort_keys=False)


def frame_result(stem: str, **changes: Any) -> FrameResult:
    """A frame by hand, of middling scores."""
    values: dict[str, Any] = {
        "stem": stem, "height": 30, "width": 40, "group": None, "truth_share": 0.2,
        "predicted_share": 0.2, "dice": 0.8, "iou": 0.7, "precision": 0.8, "recall": 0.8,
        "hd95_px": 5.0,
    }  # fmt: skip
    return FrameResult(**(values | changes))


@pytest.fixture(scope="session")
def make_evaluation() -> MakeEvaluation:
    """An evaluation by hand: two empty frames, three lesions, of which one was missed."""

    def make(**changes: Any) -> Evaluation:
        nothing = {"dice": 0.0, "iou": 0.0, "precision": 0.0, "recall": 0.0, "hd95_px": None}
        frames = (
            frame_result("a", group="north"),
            frame_result("b", group="south", truth_share=0.02, dice=0.4),
            frame_result("c", group="north", predicted_share=0.0, **nothing),
            frame_result("d", group="south", truth_share=0.0, **nothing),
            frame_result(
                "e", group="north", truth_share=0.0, predicted_share=0.0, dice=1.0, hd95_px=0.0
            ),
        )
        values: dict[str, Any] = {
            "version": "0.1.0",
            "weights": Weights(
                name="tiny", sha256="a" * 64, parameters=1234, in_channels=3, size=Size(64, 64),
                training_data="Blobs, 2026", license="CC0-1.0",
            ),
            "size": "64x64", "data": "blobs", "split": "val.txt", "limit": None,
            "frames_sha256": "b" * 64, "tools": {"torch": "2"}, "frames": frames,
        }  # fmt: skip
        return Evaluation(**(values | changes))

    return make
