"""Training curves as a PNG for a model card."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from lightawnet_edge.benchmarks.figures import COLORS, LIGHT
from lightawnet_edge.evaluation.training_record import TrainingRecord

_SIZE_IN = (8.0, 2.7)
_DPI = 100
_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": LIGHT.faint,
}


def curves(stages: Sequence[TrainingRecord]) -> bytes:
    """Training loss and validation Dice over all epochs of all stages, one after the other."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mpl.set_loglevel("error")
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_IN, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        loss, dice = figure.subplots(1, 2)
        _panel(loss, stages, "loss", "training loss")
        epoch, value = _best(stages)
        title = f"validation Dice at network size, best {value:.3f} in epoch {epoch}"
        _panel(dice, stages, "dice", title)
        dice.plot(epoch, value, "D", color=COLORS[1], ms=6)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Any, stages: Sequence[TrainingRecord], column: str, title: str) -> None:
    """A line for each stretch of epochs of one stage and one network size."""
    done = 0
    for stage in stages:
        for size, rows in groupby(zip(stage.sizes, stage.epochs, strict=True), lambda p: p[0]):
            values = [row[column] for _, row in rows]
            marker = "o" if len(values) == 1 else ""
            epochs = range(done + 1, done + len(values) + 1)
            axes.plot(epochs, values, color=COLORS[0], lw=1.4, ms=3, marker=marker)
            if done:
                axes.axvline(done + 0.5, color=LIGHT.ink, lw=0.8, ls=(0, (4, 3)))
            axes.annotate(
                size, (done + 0.7, 0.02), xycoords=("data", "axes fraction"), size=7, rotation=90,
                va="bottom", bbox={"fc": LIGHT.paper, "ec": "none", "pad": 0.6},
            )  # fmt: skip
            done += len(values)
    axes.set_xlabel("epoch")
    axes.set_title(title, fontsize=9, loc="left")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _best(stages: Sequence[TrainingRecord]) -> tuple[int, float]:
    """Epoch, counted over all stages, and Dice of the last stage: its best is what was kept."""
    epoch, value = stages[-1].best
    return sum(len(stage.epochs) for stage in stages[:-1]) + epoch, value
