"""The frames of a routing study: a calibration set in two halves, one for means, one for costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightawnet_edge.approximation.routing_study import StudyFrames
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.store import digest_of, sha256_of
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.data.pixels import fit_mask
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.specs import Size


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
    if len(calibration.files) < 2:
        raise SpecError(
            "A study of the routing needs two frames at least: some set the means, others tell "
            "what freezing costs. Give more with --calibration DIR."
        )
    masks = calibration.masks()
    first, second = (replace(calibration, files=calibration.files[side::2]) for side in (0, 1))
    threshold = contract.threshold
    return StudyFrames(
        calibration=partial(_inputs, first, contract),
        measured=partial(_inputs, second, contract),
        truths=None if masks is None else partial(_truths, masks[1::2], contract.network),
        logit_threshold=math.log(threshold / (1 - threshold)),
    )


def masks_digest(calibration: CalibrationSet) -> str | None:
    """Digest of the masks, each with its frame; None where there are none."""
    masks = calibration.masks()
    if masks is None:
        return None
    pairs = zip(calibration.files, masks, strict=True)
    return digest_of({"pairs": sorted([sha256_of(file), sha256_of(mask)] for file, mask in pairs)})


def _inputs(calibration: CalibrationSet, contract: Contract) -> Iterator[Tensor]:
    preprocess = Preprocess(contract.network, contract.normalization, contract.color)
    for frame in calibration.frames(contract.frame, contract.color):
        yield preprocess(torch.from_numpy(frame))


def _truths(masks: tuple[Path, ...], size: Size) -> Iterator[NDArray[np.bool_]]:
    for mask in masks:
        yield fit_mask(read_mask(mask), size)
