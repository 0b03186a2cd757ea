"""A routing study as people read it: a table, a picture, JSON."""

from __future__ import annotations

import io
import math
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.text import Text

from lightawnet_edge.approximation.routing_study import RoutingStudy
from lightawnet_edge.benchmarks.figures import COLORS, LIGHT
from lightawnet_edge.scores.latency import MIN_FRAMES
from lightawnet_edge.scores.text import change_texts
from lightawnet_edge.tables import Fitted, plain_table

SCHEMA = 1  # 1: first version. Say here what every later number changed.
_SIZE_IN = (8.0, 3.6)
_DPI = 110


def truth_text(found: RoutingStudy) -> str:
    """What Dice is measured against."""
    return (
        "the masks" if found.has_truth else "the dynamic network's own masks: there are no others"
    )


def console(found: RoutingStudy, name: str) -> Group:
    """One block a row, in the order of the network, and all of them frozen at the end."""
    table = plain_table()
    table.add_column("frozen", no_wrap=True)
    table.add_column("experts %", no_wrap=True)
    table.add_column("spread %", no_wrap=True)
    for title in ("varying", "Dice change", "95 %", "SNR dB"):
        table.add_column(title, justify="right", no_wrap=True)
    for block in found.blocks:
        table.add_row(
            block.block,
            " ".join(f"{100 * value:.0f}" for value in block.mean),
            " ".join(f"{100 * value:.1f}" for value in block.spread),
            f"{block.varying_energy:.2%}",
            *change_texts(block.dice_drop),
            f"{block.snr_db:.1f}",
        )
    table.add_row("all", "", "", "", *change_texts(found.all_drop), f"{found.all_snr_db:.1f}")
    notes = [
        f"means, spreads: {found.calibrated_frames} frames; costs: {len(found.dice)} others",
        f"Dice is measured against {truth_text(found)}",
        "experts, spread: mean weight of each kernel of the bank, and its deviation over frames",
        "varying: share of the mixed kernel's energy that differs between frames",
    ]
    notes += doubts(found)
    head = Text(f"routing of {name}", "bold")
    return Group(head, Fitted(table), *(Text(note, "dim") for note in notes))


def doubts(found: RoutingStudy) -> list[str]:
    """Reasons not to trust the numbers; empty when there are none."""
    if len(found.dice) >= MIN_FRAMES:
        return []
    return [f"{len(found.dice)} frames are few: intervals of Dice are too narrow"]


def document(found: RoutingStudy, name: str) -> dict[str, Any]:
    """What `inspect --routing --json` prints, but for the schema number: each frame apart."""
    blocks = [
        {
            "block": block.block,
            "mean": block.mean,
            "spread": block.spread,
            "varying_energy": block.varying_energy,
            "dice_drop": asdict(block.dice_drop),
            "dice_drops": block.dice_drops,
            "snr_db": _finite(block.snr_db),
        }
        for block in found.blocks
    ]
    return {
        "weights": name,
        "calibrated_frames": found.calibrated_frames,
        "measured_frames": len(found.dice),
        "has_truth": found.has_truth,
        "dice": found.dice,
        "doubts": doubts(found),
        "blocks": blocks,
        "all": {"dice_drop": asdict(found.all_drop), "snr_db": _finite(found.all_snr_db)},
    }


def picture(found: RoutingStudy, name: str) -> bytes:
    """Mixture weights with their spread, and the cost of freezing, block by block; a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    weights, costs = figure.subplots(1, 2)
    blocks = [block.block for block in found.blocks]
    for expert in range(len(found.blocks[0].mean)):
        weights.errorbar(
            [index + 0.16 * (expert - 1.5) for index in range(len(blocks))],
            [block.mean[expert] for block in found.blocks],
            [block.spread[expert] for block in found.blocks],
            fmt="o", ms=3, lw=1, color=COLORS[expert % len(COLORS)],
        )  # fmt: skip
    weights.set_xticks(range(len(blocks)), blocks)
    weights.set_ylim(-0.02, 1.02)
    weights.set_title(f"{name}: weight of each expert, mean and spread", fontsize=9, loc="left")
    drops = [block.dice_drop for block in found.blocks] + [found.all_drop]
    for index, drop in enumerate(drops):
        costs.plot([index, index], [-drop.high, -drop.low], color=LIGHT.ink, lw=1)
        costs.plot(index, -drop.mean, "o", ms=4, color=COLORS[1])
    costs.axhline(0, color=LIGHT.ink, lw=0.8)
    costs.set_xticks(range(len(drops)), [*blocks, "all"])
    title = f"change of Dice when frozen, 95 %, {len(found.dice)} frames"
    costs.set_title(title, fontsize=9, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _finite(value: float) -> float | None:
    """JSON has no infinity: None where nothing changed."""
    return value if math.isfinite(value) else None
