"""Numbers as text, rounded the same wherever they are shown; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightawnet_edge.scores.intervals import Interval


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with three significant digits."""
    value = 1000 * seconds
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def change_texts(drop: Interval, digits: int = 4) -> tuple[str, str]:
    """The change of Dice that a drop is, and its interval: wherever it is shown, minus is worse."""
    mean, low, high = (change_text(value, digits) for value in (drop.mean, drop.high, drop.low))
    return mean, f"{low} … {high}"


def change_text(drop: float, digits: int = 4) -> str:
    """The change of Dice that a drop is; a rounded zero has no sign."""
    text = f"{-drop:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def percent(share: float) -> str:
    """A share in percent; only the whole is called 100 %."""
    if share >= 1:
        return "100 %"
    return f"{min(100 * share, 99.9):.1f}".removesuffix(".0") + " %"


def shares_text(parts_s: Mapping[str, float]) -> str:
    """Parts of a time, each with its share of the whole."""
    whole = sum(parts_s.values())
    return ", ".join(f"{name} {percent(part / whole)}" for name, part in parts_s.items())
