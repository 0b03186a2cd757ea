"""The frames of a routing study: a calibration set in two halves, one for means, one for costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from lightawnet_edge.approximation.routing_study import StudyFrames
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.pixels import Mask, fit_mask
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.preprocess import Preprocess


def halve(calibration: CalibrationSet, contract: Contract) -> StudyFrames:
    """Part a set for a study: every other frame sets the means, the rest is measured on.

    Not its first half and its second: names often go by clinic or clip, and a designed set is in
    the order of choice, so that each half then stands for the whole.

    Args:
        calibration: With masks, where Dice shall be that against the truth.
        contract: Frames, network size and threshold of the engine.

    Raises:
        SpecError: There are fewer than two frames.
        ArtifactError: Some frames have masks, and others have none.
    """
    if len(calibration) < 2:
        raise SpecError(
            "A study of the routing needs two frames at least: some set the means, others tell "
            "what freezing costs. Give more with --calibration DIR."
        )
    first, second = calibration.every(2, 0), calibration.every(2, 1)
    threshold = contract.threshold
    return StudyFrames(
        calibration=partial(_inputs, first, contract),
        measured=partial(_inputs, second, contract),
        truths=partial(_truths, second, contract) if calibration.has_masks else None,
        logit_threshold=math.log(threshold / (1 - threshold)),
    )


def _truths(calibration: CalibrationSet, contract: Contract) -> Iterator[Mask]:
    """Truths of what the network sees, at its size."""
    if contract.crop is None:
        yield from calibration.truths(contract.network)
        return
    for truth in calibration.truths(contract.frame):
        yield fit_mask(truth[contract.crop.slices], contract.network)


def _inputs(calibration: CalibrationSet, contract: Contract) -> Iterator[Tensor]:
    preprocess = Preprocess.of(contract)
    for frame in calibration.frames(contract.camera):
        yield preprocess(torch.from_numpy(frame))
