"""Numbers as text, rounded the same wherever they are shown."""

from __future__ import annotations

from lightawnet_edge.scores.intervals import Interval


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with three significant digits."""
    value = 1000 * seconds
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def dice_texts(drop: Interval, digits: int = 4) -> tuple[str, str]:
    """A drop of Dice and its interval; a rounded zero has no sign."""
    mean, low, high = (_signed(value, digits) for value in (drop.mean, drop.low, drop.high))
    return mean, f"{low} … {high}"


def percent(share: float) -> str:
    """A share in percent; only the whole is called 100 %."""
    if share >= 1:
        return "100 %"
    return f"{min(100 * share, 99.9):.1f}".removesuffix(".0") + " %"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
