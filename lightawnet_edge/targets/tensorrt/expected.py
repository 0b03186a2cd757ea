"""What a device's engine is held to: golden frames, and how far from them it may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import Tolerance
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.targets.tensorrt.golden import Golden, shows_lesion

GOLDEN_FRAMES = 4
_ROOM = 3.0
"""How much farther from FP32 than its simulation a good engine may be on the same frames. OpenVINO
with its integer kernels never was, of seven graphs on any four of 120 or 146 frames (2000 draws
each); with a factor 2 it was once in 67 of one graph's draws, with 1 in every fifth."""
_FLOOR = Tolerance(mean_abs_probability=1e-3, mask_disagreement=1e-3, dice=0.98)
"""What kernels may differ by where the simulation sees nothing, as in FP32."""
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


def tolerance_for(golden: Golden, simulation: Runs) -> Tolerance:
    """How far an engine may be from FP32 on any golden frame, from how far its simulation is."""
    masks, probabilities = zip(*map(simulation, golden.frames), strict=True)
    assert golden.probabilities is not None
    loss = 1 - min(golden.dices(masks), default=1.0)
    return Tolerance(
        mean_abs_probability=_FLOOR.mean_abs_probability
        + _ROOM * _worst(np.abs(np.stack(probabilities) - golden.probabilities)),
        mask_disagreement=_FLOOR.mask_disagreement
        + _ROOM * _worst(np.stack(masks) != golden.masks),
        dice=max(_LEAST_DICE, _FLOOR.dice - _ROOM * loss),
    )


def _worst(values: NDArray[Any]) -> float:
    """Mean over the pixels of the frame where it is largest; the first axis counts frames."""
    return float(values.mean(axis=tuple(range(1, values.ndim))).max())


def spread(check: CalibrationSet, contract: Contract) -> Iterator[UInt8]:
    """All check frames, those first that lie evenly among them."""
    step = max(1, len(check) // GOLDEN_FRAMES)
    for start in range(step):
        yield from check.every(step, start).frames(contract.frame, contract.color)
