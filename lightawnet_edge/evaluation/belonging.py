"""Whether records are about the same weights: a card of two models would be about neither."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.evaluation.evaluation import Evaluation
from lightawnet_edge.evaluation.training_record import TrainingRecord
from lightawnet_edge.model.packaged import BEST, LAST
from lightawnet_edge.training.made import MADE

_SHOWN = 12
"""Digits of a SHA-256 that a message shows."""


def check_belonging(result: Evaluation, stages: Sequence[TrainingRecord]) -> None:
    """Refuse runs that did not make the evaluated weights, the last of them by its own hand.

    Raises:
        ArtifactError: The last run made other weights, a run started from others than those of the
            run before, or a run does not say which weights it made; names both sides.
    """
    if not stages:
        return
    last, evaluated = stages[-1], result.weights
    if evaluated.sha256 not in _made(last):
        raise ArtifactError(
            f"The evaluation is about other weights than those of run '{last.folder}': "
            f"'{evaluated.name}' has sha256 {evaluated.sha256[:_SHOWN]}…, {_told(last)}. Run "
            f"'lightawnet-edge evaluate --weights {last.folder / BEST}', or give the run of "
            f"'{evaluated.name}' with --run."
        )
    for before, stage in pairwise(stages):
        if stage.made.init is None and not stage.config.get("init"):
            raise ArtifactError(
                f"Run '{stage.folder}' did not start from run '{before.folder}': by its config it "
                "started anew. Leave out the runs before it."
            )
        if stage.made.init is not None and stage.made.init not in _made(before):
            raise ArtifactError(
                f"Run '{stage.folder}' did not start from run '{before.folder}': it started from "
                f"weights of sha256 {stage.made.init[:_SHOWN]}…, {_told(before)} there. Give "
                "the runs with --run in the order in which they were trained."
            )


def untold(stages: Sequence[TrainingRecord]) -> list[str]:
    """What the records cannot tell of how the runs hang together, in sentences."""
    return [
        f"stage {number}: which weights it started from was not recorded by the version that "
        f"trained it; that they are those of stage {number - 1} is what the card was told"
        for number, stage in enumerate(stages[1:], start=2)
        if stage.made.init is None
    ]


def _made(stage: TrainingRecord) -> set[str]:
    if not stage.made.all:
        raise ArtifactError(
            f"Run '{stage.folder}' does not say which weights it made: it has no '{MADE}', which "
            f"earlier versions did not write, and no '{BEST}' either. Put its '{BEST}' back, "
            "or leave the run out."
        )
    return stage.made.all


def _told(stage: TrainingRecord) -> str:
    kinds = {BEST: stage.made.best, LAST: stage.made.last}
    return ", ".join(f"{name} has {sha[:_SHOWN]}…" for name, sha in kinds.items() if sha)
