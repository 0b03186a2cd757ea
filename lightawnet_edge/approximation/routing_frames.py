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
from lightawnet_edge.calibration.judgement import Judgement
from lightawnet_edge.data.pixels import Mask, fit_mask
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.preprocess import Preprocess


def halve(calibration: CalibrationSet, judgement: Judgement, contract: Contract) -> StudyFrames:
    """Part a set for a study: every other scene sets the means, the rest is measured on.

    Not its first half and its second: names often go by clinic or clip, and a designed set is in
    the order of choice, so that each half then stands for the whole.

    Args:
        calibration: With masks, where Dice shall be that against the truth.
        judgement: Of these frames: says which of them share a scene.
        contract: Frames, network size and threshold of the engine.

    Raises:
        SpecError: There are fewer than two scenes.
        ArtifactError: Some frames have masks, and others have none.
    """
    measured = judgement.held_out(2)
    if not measured:
        raise SpecError(
            f"A study of the routing needs two scenes at least, found {judgement.scenes} in "
            f"{len(calibration)} frames: some set the means, others tell what freezing costs. Give "
            "more with --calibration DIR."
        )
    means = [index for index in range(len(calibration)) if index not in measured]
    first, second = calibration.only(means), calibration.only(measured)
    threshold = contract.threshold
    return StudyFrames(
        calibration=partial(network_inputs, first, contract),
        measured=partial(network_inputs, second, contract),
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


def network_inputs(calibration: CalibrationSet, contract: Contract) -> Iterator[Tensor]:
    """Frames as the network of an engine gets them: (1, C, h, w)."""
    preprocess = Preprocess.of(contract)
    for frame in calibration.frames(contract.camera):
        yield preprocess(torch.from_numpy(frame))
