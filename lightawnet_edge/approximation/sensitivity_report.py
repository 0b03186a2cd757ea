"""Sensitivity as people read it, and as programs do."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from lightawnet_edge.approximation.sensitivity import LayerSensitivity, Sensitivity
from lightawnet_edge.codec import encode
from lightawnet_edge.scores.intervals import Interval, mean_interval
from lightawnet_edge.scores.latency import MIN_FRAMES
from lightawnet_edge.scores.text import change_texts
from lightawnet_edge.tables import Fitted, plain_table

SCHEMA = 1  # 1: first version. Say here what every later number changed.


def console(found: Sensitivity, name: str) -> Group:
    """One layer a row, the worst first."""
    table = plain_table()
    table.add_column("layer", no_wrap=True)
    table.add_column("ran in", no_wrap=True)
    for title in ("MACs", "SQNR dB", "Dice change", "95 %"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in found.layers:
        table.add_row(
            layer.layer.name.replace("+", "\n+"),  # of several: a line each
            str(layer.layer.executed or "unknown"),
            f"{layer.mac_share:.1%}",
            f"{layer.sqnr_db:.1f}",
            *_gain(layer),
        )
    drop = _drop(found)
    change = "{} (95 %: {})".format(*change_texts(drop))
    notes = [
        f"INT8 changes Dice by {change} against FP32 on {len(found.dice)} frames; minus is worse",
        "SQNR: energy of the FP32 result over that of the error, which earlier layers add to",
        "Dice change: with that layer alone in float; measured for the noisiest layers",
        f"masks of the copy that shows results: {found.masks_differ:.4%} of the pixels differ",
    ]
    notes += doubts(found)
    head = Text(f"sensitivity of {name}", "bold")
    return Group(head, Fitted(table), *(Text(note, "dim") for note in notes))


def doubts(found: Sensitivity) -> list[str]:
    """Reasons not to trust the numbers; empty when there are none."""
    if len(found.dice) >= MIN_FRAMES:
        return []
    return [f"{len(found.dice)} frames are few: intervals of Dice are too narrow"]


def document(found: Sensitivity, name: str) -> dict[str, Any]:
    """What `sensitivity --json` prints, but for the schema number: each frame apart."""
    return {
        "bundle": name,
        "dice": found.dice,
        "exact_dice": found.exact_dice,
        "dice_drop": asdict(_drop(found)),
        "masks_differ": found.masks_differ,
        "doubts": doubts(found),
        "layers": [
            {
                **encode(layer.layer),
                "mac_share": layer.mac_share,
                "sqnr_db": layer.sqnr_db if math.isfinite(layer.sqnr_db) else None,
                "dice_gain": asdict(layer.gain) if layer.gain else None,
                "dice_gains": layer.gains,
            }
            for layer in found.layers
        ],
    }


def _gain(layer: LayerSensitivity) -> tuple[str, str]:
    gain = layer.gain
    if gain is None:
        return "–", ""
    return change_texts(Interval(-gain.mean, -gain.high, -gain.low))


def _drop(found: Sensitivity) -> Interval:
    return mean_interval(np.subtract(found.exact_dice, found.dice))
