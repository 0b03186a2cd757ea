"""Pictures of a result, as SVG in data URIs; each for light and for dark pages."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightawnet_edge.benchmarks.records import Record

COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2")
"""Okabe and Ito's palette: told apart by colour-blind readers, on white as on near-black; the first
are the plainest on a picture of the gut, where the outline of an engine has its colour, too."""
BASELINE_COLOR = "#8a8f98"
MARKERS = ("o", "s", "^", "D", "v", "P")
_WIDTH_IN = 5.4
_MARGIN_IN = 1.0
_ROW_IN = 0.55
_TALL_IN = 6.4
_NAME_LETTERS = 18
"""Longer names go over two lines."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of everything in a picture that is not data."""

    ink: str
    faint: str
    paper: str


LIGHT = Theme(ink="#22262b", faint="#e1e4e8", paper="#ffffff")
DARK = Theme(ink="#d8dce2", faint="#343a42", paper="#1a1d21")
Draw = Callable[[Any, Theme], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """The same picture twice, as data URIs."""

    light: str
    dark: str


def colors_of(records: Sequence[Record]) -> dict[str, str]:
    """Record to its colour, the same wherever it is shown; gray for baselines."""
    engines = [record.bundle for record in records if not record.is_baseline]
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(engines)}
    return {record.bundle: colors.get(record.bundle, BASELINE_COLOR) for record in records}


def latency_figure(records: Sequence[Record], deadline_s: float) -> Figure:
    """Every timed call as a dot, one row an engine; within a row from first to last, downwards."""
    colors = colors_of(records)

    def draw(axes: Any, theme: Theme) -> None:
        for row, record in enumerate(records):
            samples_s = np.concatenate([np.array(s) for s in record.timing.rounds_s])
            _strip(axes, row, 1000 * samples_s, colors[record.bundle])
            latency = record.latency
            for value_s, half in ((latency.p50_s, 0.4), (latency.p90_s, 0.3), (latency.p99_s, 0.3)):
                axes.plot([1000 * value_s] * 2, [row - half, row + half], color=theme.ink, lw=1.3)
        axes.axvline(1000 * deadline_s, color=theme.ink, lw=1, ls=(0, (4, 3)))
        axes.annotate(
            f"{1000 * deadline_s:.1f} ms", (1000 * deadline_s, 1), color=theme.ink, size=9.5,
            xycoords=("data", "axes fraction"), xytext=(0, 3), ha="center",
            textcoords="offset points",
        )  # fmt: skip
        _log_axis(axes)
        _rows(axes, records, theme)
        axes.set_xlabel("ms per frame, log scale; ticks: p50, p90, p99")

    return _figure(draw, _MARGIN_IN + _ROW_IN * max(2, len(records)))


def change_figure(records: Sequence[Record]) -> Figure:
    """How Dice changes on each frame, with the mean and its 95 % interval."""
    colors = colors_of(records)
    compared = [record for record in records if record.dice_drop and not record.is_baseline]

    def draw(axes: Any, theme: Theme) -> None:
        axes.axvline(0, color=theme.ink, lw=1, ls=(0, (4, 3)))
        for row, record in enumerate(compared):
            changes = np.array([-(score.dice_drop or 0.0) for score in record.scores])
            _strip(axes, row, changes, colors[record.bundle])
            if (drop := record.dice_drop) is not None:
                axes.plot([-drop.high, -drop.low], [row, row], color=theme.ink, lw=2)
                axes.plot(-drop.mean, row, "D", color=theme.ink, ms=5)
        # Differences that are all but zero shall not be blown up to look like something.
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.01), max(high, 0.01))
        _rows(axes, compared, theme)
        axes.set_xlabel("change of Dice against FP32; diamond: mean, bar: 95 %")

    return _figure(draw, _MARGIN_IN + _ROW_IN * max(2, len(compared)))


def trade_figure(records: Sequence[Record]) -> Figure:
    """Dice over p50; the bar is the 95 % interval of the paired difference from FP32."""
    colors = colors_of(records)

    def draw(axes: Any, theme: Theme) -> None:
        for index, record in enumerate(records):
            axes.errorbar(
                1000 * record.latency.p50_s, record.accuracy["dice"], yerr=error_of(record),
                clip_on=False,
                label=record.bundle, color=colors[record.bundle], ls="none",
                marker=MARKERS[index % len(MARKERS)], ms=9, mec=theme.paper, mew=0.8, capsize=3,
            )  # fmt: skip
        axes.margins(x=0.12)
        _log_axis(axes)
        axes.set_ylim(*dice_limits(*axes.get_ylim()))
        axes.grid(axis="both", color=theme.faint, lw=0.8)
        axes.set_xlabel("p50, ms per frame, log scale")
        axes.set_ylabel("Dice, mean over frames")
        axes.legend(
            frameon=False, labelcolor=theme.ink, loc="upper center", bbox_to_anchor=(0.45, -0.12),
            ncol=2, handletextpad=0.4, columnspacing=1.4,
        )  # fmt: skip

    return _figure(draw, _TALL_IN)


def error_of(record: Record) -> list[list[float]] | None:
    """How far the 95 % interval of the difference from FP32 goes below and above a mean Dice."""
    drop = record.dice_drop
    if drop is None:
        return None
    above = min(drop.mean - drop.low, 1 - record.accuracy["dice"])  # no Dice is more than 1
    return [[max(0.0, drop.high - drop.mean)], [max(0.0, above)]]


def dice_limits(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis of Dice: room around the values, and none beyond what Dice can be."""
    middle, half = (low + high) / 2, max(0.01, (high - low) * 0.6)
    top = min(1.0, middle + half)
    return max(0.0, min(middle - half, top - 0.02)), top


def _strip(axes: Any, row: int, values: Any, color: str) -> None:
    """Dots from the top of a row to its bottom, in their order."""
    spread = np.linspace(-0.3, 0.3, len(values)) if len(values) > 1 else np.zeros(1)
    # As pixels: thousands of dots would make a vector picture heavy.
    axes.plot(values, row + spread, "o", ms=3.4, mew=0, color=color, alpha=0.6, rasterized=True)


def _rows(axes: Any, records: Sequence[Record], theme: Theme) -> None:
    axes.set_yticks(range(len(records)), [_wrapped(record.bundle) for record in records])
    axes.set_ylim(len(records) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=theme.faint, lw=0.8)


def _wrapped(name: str) -> str:
    """Break a long name at the hyphen nearest to its middle."""
    cuts = [index + 1 for index, letter in enumerate(name) if letter == "-"]
    if len(name) <= _NAME_LETTERS or not cuts:
        return name
    cut = min(cuts, key=lambda index: abs(index - len(name) / 2))
    return f"{name[:cut]}\n{name[cut:]}"


def _log_axis(axes: Any) -> None:
    """Log scale with plain numbers; more of them where the range is less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1, 2, 5) if high / low > 8 else (1, 1.5, 2, 3, 4, 5, 7)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=99))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _figure(draw: Draw, height_in: float) -> Figure:
    return Figure(*(_svg(draw, theme, height_in) for theme in (LIGHT, DARK)))


def _svg(draw: Draw, theme: Theme, height_in: float) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(_style(theme)):
        canvas = Canvas(figsize=(_WIDTH_IN, height_in), dpi=160)
        FigureCanvasSVG(canvas)
        draw(canvas.add_subplot(), theme)
        buffer = io.BytesIO()
        canvas.savefig(
            buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None}
        )
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _style(theme: Theme) -> dict[str, Any]:
    colored = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return dict.fromkeys(colored, theme.ink) | {
        "axes.axisbelow": True,
        "axes.linewidth": 0.8,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 11,
        "legend.fontsize": 10,
        # Equal results give equal bytes.
        "svg.hashsalt": "bench",
    }
