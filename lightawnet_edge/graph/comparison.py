"""How far graphs and engines are from the FP32 graph that they come from, on real frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.scores.agreement import Agreement, Comparison

Truths = Callable[[], Iterable[NDArray[np.bool_]]]
"""Starts over with each call: the true mask of every frame, in the order of the frames."""


def compare(
    reference: Runs,
    candidates: Mapping[str, Runs],
    frames: Callable[[], Iterable[UInt8]],
    truths: Truths | None = None,
) -> dict[str, Agreement]:
    """Run each frame through all, and compare what comes out.

    Args:
        reference: The FP32 graph.
        candidates: What is compared with it, by the name of what runs it.
        frames: Starts over with each call; uint8, shaped like the graphs' input.
        truths: True masks, as many and as large as the frames; None where there are none.

    Raises:
        CheckFailedError: A candidate gives probabilities that are not finite; counted over all
            frames.
        SpecError: There are no frames.
    """
    found = {name: Comparison() for name in candidates}
    broken: dict[str, dict[int, int]] = {name: {} for name in candidates}
    pairs = zip(frames(), truths() if truths else repeat(None), strict=truths is not None)
    for index, (frame, truth) in enumerate(pairs):
        expected = reference(frame)
        for name, run in candidates.items():
            given = run(frame)
            if count := int((~np.isfinite(given[1])).sum()):
                broken[name][index] = count
            found[name].add(expected, given, truth)
    for name, counts in broken.items():
        if counts:
            raise CheckFailedError(
                f"Run by {name}, the typed graph gives {sum(counts.values())} probabilities that "
                f"are not finite on frame {', '.join(map(str, counts))}. Calibrate on frames that "
                "include such a one, or export with --fp32."
            )
    return {name: comparison.agreement() for name, comparison in found.items()}
