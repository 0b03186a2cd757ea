"""The fewest layers back to float, so that an INT8 engine holds a budget of Dice."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lightawnet_edge.approximation.sensitivity import Study
from lightawnet_edge.bundle.choices import RestoreRecord, RestoreStep
from lightawnet_edge.bundle.engine import parts
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.progress import Narrate, OnStep, Stage
from lightawnet_edge.scores.text import change_text
from lightawnet_edge.specs import Precision

CANDIDATES = 12
"""So many layers, the noisiest, are tried."""


def restore(
    study: Study,
    layers: Sequence[str],
    *,
    max_dice_drop: float,
    held_out: bool,
    has_truth: bool,
    narrate: Narrate,
    on_step: OnStep = lambda _: None,
) -> RestoreRecord:
    """Put layers of `study.engine` back to float until it holds the budget; the file is replaced.

    The noisiest layers are put in float one at a time, and then together in the order of the Dice
    that each regains, until the budget holds.

    Args:
        study: The INT8 model, its FP32 device graph, and the frames that Dice is measured on.
        layers: Names of the convolutions that are quantized.
        max_dice_drop: Mean Dice per frame that INT8 may cost.
        held_out: Whether the frames set no range; for the record.
        has_truth: Whether their truths are masks, and not those of FP32; for the record.
        narrate: Told what goes on.
        on_step: Told of each layer that was tried; at most so many are then put back.

    Raises:
        CheckFailedError: All candidates in float do not hold the budget.
    """
    narrate("measuring what INT8 costs")
    exact = study.dice(study.exact, Precision.FP32)
    found = study.dice(study.engine, Precision.INT8)
    record = RestoreRecord(
        max_dice_drop=max_dice_drop,
        frames=len(exact),
        held_out=held_out,
        has_truth=has_truth,
        dice_drop=float(np.mean(exact - found)),
    )
    if record.left <= max_dice_drop:
        return record
    noise, _ = study.noise(layers)
    gains = {}
    tried = sorted(layers, key=lambda name: noise[name])[:CANDIDATES]
    stage = Stage("restoring layers", 2 * len(tried), on_step)
    for layer in stage.over(tried):
        narrate(f"putting {layer} in float, alone")
        gains[layer] = float(np.mean(study.dice_in_float(layer) - found))
    with tempfile.TemporaryDirectory() as scratch:
        worst = sorted(gains, key=lambda name: -gains[name])
        for number, layer in enumerate(stage.over(worst)):
            file = Path(scratch) / f"{number}{study.engine.suffix}"
            study.probe.in_float(study.engine, study.exact, layer, file)
            _replace(file, study.engine)
            drop = float(np.mean(exact - study.dice(study.engine, Precision.INT8)))
            record = replace(
                record, steps=(*record.steps, RestoreStep(layer=layer, dice_drop=drop))
            )
            narrate(f"{layer} back in float: Dice change {change_text(drop)}")
            if drop <= max_dice_drop:
                return record
    raise CheckFailedError(
        f"INT8 changes Dice by {change_text(record.dice_drop)} on {record.frames} frames, and by "
        f"{change_text(record.left)} with {len(record.steps)} layers back in float, expected a "
        f"drop of at most {max_dice_drop:g}. No "
        "bundle was written; raise --max-dice-drop, give more frames with --calibration, or export "
        "with --fp32."
    )


def _replace(source: Path, place: Path) -> None:
    """Copy a model over another one, with its weights where these have a file of their own."""
    for name, other in zip(parts(source.name), parts(place.name), strict=True):
        shutil.copyfile(source.with_name(name), place.with_name(other))
