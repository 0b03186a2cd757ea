"""What a device's engine is held to: golden frames, and how far from them it may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.scores.agreement import Comparison, shows_lesion
from lightawnet_edge.targets.tensorrt.golden import Golden

GOLDEN_FRAMES = 4
_ROOM = 3.0
"""How much farther from FP32 than its simulation a good engine may be on the same frames. OpenVINO
with its integer kernels never was, of seven graphs on any four of 120 or 146 frames (2000 draws
each); with a factor 2 it was once in 67 of one graph's draws, with 1 in every fifth."""
_SMALL, _CLOSE = 1e-3, 0.98
"""What kernels may differ by where the simulation sees nothing, as in FP32; and the Dice then."""
_LEAST_DICE = 0.5
"""An engine that finds less than that of a lesion's mask never passes, whatever is simulated."""


def golden_of(frames: Iterable[UInt8], run: Runs) -> Golden:
    """The first frames that show a lesion to the FP32 device graph, or any where these are few."""
    lesions: list[tuple[UInt8, UInt8, NDArray[np.float32]]] = []
    others: list[tuple[UInt8, UInt8, NDArray[np.float32]]] = []
    for frame in frames:
        given = (frame, *run(frame))
        if shows_lesion(given[1]):
            lesions.append(given)
        elif len(others) < GOLDEN_FRAMES:
            others.append(given)
        if len(lesions) == GOLDEN_FRAMES:
            break
    shown, masks, probabilities = zip(*(lesions + others)[:GOLDEN_FRAMES], strict=True)
    return Golden(
        frames=np.stack(shown), masks=np.stack(masks), probabilities=np.stack(probabilities)
    )


def tolerance_for(golden: Golden, simulation: Runs) -> AgreementLimits:
    """How far an engine may be from FP32 on any golden frame, from how far its simulation is."""
    comparison = Comparison()
    assert golden.probabilities is not None
    for frame, mask, exact in zip(golden.frames, golden.masks, golden.probabilities, strict=True):
        comparison.add((mask, exact), simulation(frame))
    found = comparison.agreement()
    assert found.worst_abs_probability is not None
    assert found.worst_mask_disagreement is not None
    loss = 0.0 if found.worst_dice is None else 1 - found.worst_dice
    return AgreementLimits(
        worst_abs_probability=min(1.0, _SMALL + _ROOM * found.worst_abs_probability),
        worst_mask_disagreement=min(1.0, _SMALL + _ROOM * found.worst_mask_disagreement),
        worst_dice=max(_LEAST_DICE, _CLOSE - _ROOM * loss),
    )


def spread(check: CalibrationSet, contract: Contract) -> Iterator[UInt8]:
    """All check frames, those first that lie evenly among them."""
    step = max(1, len(check) // GOLDEN_FRAMES)
    for start in range(step):
        yield from check.every(step, start).frames(contract.camera)
