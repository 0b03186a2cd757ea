"""Which method sets the INT8 ranges: the one whose masks stay closest to the FP32 network's.

Closest to FP32, not to the truth: on a few dozen frames one lesion that is found by luck outweighs
what the methods differ by, and the FP32 masks are there for every frame.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.graph.quantization import Frames, MasksOf
from lightawnet_edge.progress import Narrate, OnStep, Stage
from lightawnet_edge.scores.masks import score_mask
from lightawnet_edge.specs import Method, Precision, Target
from lightawnet_edge.targets.base import Draft
from lightawnet_edge.targets.quantize import draft

HELD_OUT_STRIDE = 4
"""Every fourth scene of the calibration set compares methods, and sets no range."""
MIN_HELD_OUT = 16
"""With fewer, chance would choose."""
FALLBACK = Method.PERCENTILE
"""Taken then: first or second wherever the four were compared (docs/quantization.md)."""


def quantize_best(
    device_graph: Path,
    folder: Path,
    target: Target,
    frames: Frames,
    *,
    masks: MasksOf,
    held_out: Collection[int] = (),
    method: Method | None = None,
    narrate: Narrate = lambda _: None,
    on_step: OnStep = lambda _: None,
) -> tuple[Path, MethodRecord]:
    """Quantize a device graph to INT8, and return the model file in `folder` with its record.

    Args:
        device_graph: FP32 device graph.
        folder: Where the model is written.
        target: Of both models that are compared.
        frames: The calibration set: uint8, (H, W, 3) or (H, W).
        masks: Runs the candidates.
        held_out: Indices of the frames that may compare methods, and then set no range: none shows
            what another frame shows.
        method: None: the best on the held-out frames, or `FALLBACK` where these are too few.
        narrate: Told what goes on.
        on_step: Told of each frame.

    Raises:
        BackendUnavailableError: The quantizer of `target` is not installed.
        ArtifactError: The quantizer refuses the graph.
    """
    count = sum(1 for _ in frames())
    chooses = method is None and len(held_out) >= MIN_HELD_OUT
    if method is None and not chooses and count >= HELD_OUT_STRIDE * MIN_HELD_OUT:
        narrate(
            f"no method is chosen by measuring: the {count} frames share scenes, and fewer than "
            f"{MIN_HELD_OUT} scenes can be held out; {FALLBACK} is taken"
        )
    apart = frozenset(held_out) if chooses else frozenset()
    rest = count - len(apart)
    narrate(f"counting activations of {rest} frames for INT8")
    stage = Stage("counting activations", rest, on_step)
    prepared = draft(device_graph, target, lambda: stage.over(_part(frames, apart, taken=False)))
    dice: dict[str, float] = {}
    if chooses:
        narrate(f"comparing {len(Method)} methods on {len(apart)} other frames")
        stage = Stage("comparing methods", (1 + len(Method)) * len(apart), on_step)
        dice = _compare(
            prepared, device_graph, masks, lambda: stage.over(_part(frames, apart, taken=True))
        )
        method = max(Method, key=lambda one: dice[str(one)])
    method = method or FALLBACK
    record = MethodRecord(method=method, scale_frames=rest, held_out=len(apart), dice=dice)
    return prepared.write(folder, method), record


def _part(frames: Frames, apart: Collection[int], *, taken: bool) -> Iterable[NDArray[np.uint8]]:
    return (frame for index, frame in enumerate(frames()) if (index in apart) is taken)


def _compare(
    prepared: Draft, device_graph: Path, masks: MasksOf, frames: Frames
) -> dict[str, float]:
    """Mean Dice of each method's masks with those of the FP32 graph."""
    exact = masks(device_graph, Precision.FP32, frames)
    dice = {}
    for method in Method:
        with tempfile.TemporaryDirectory() as scratch:
            file = prepared.write(Path(scratch), method)
            found = masks(file, Precision.INT8, frames)
        scores = [score_mask(mask, truth).dice for mask, truth in zip(found, exact, strict=True)]
        dice[str(method)] = float(np.mean(scores))
    return dice
