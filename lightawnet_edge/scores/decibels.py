"""A signal against its noise, in decibels."""

from __future__ import annotations

import math

from lightawnet_edge.errors import CheckFailedError


def decibels(signal: float, noise: float, what: str) -> float:
    """Energy of a signal over that of its noise; infinite without noise, minus that without signal.

    Args:
        signal: Sum or mean of squares.
        noise: The same, of the difference from the signal.
        what: Gives the signal; for the message.

    Raises:
        CheckFailedError: One of them is not finite, which is no noise of any size.
    """
    if not (math.isfinite(signal) and math.isfinite(noise)):
        raise CheckFailedError(
            f"{what} gives results that are not finite: how far they are off cannot be told. Look "
            "for the frame that does it, or export in FP32."
        )
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
