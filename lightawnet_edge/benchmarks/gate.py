"""What measured engines must hold; a pure function of their records."""

from __future__ import annotations

from collections.abc import Sequence

from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.bundle.layers import int8_shortfall
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.specs import Precision


def check_int8(records: Sequence[Record], minimum: float | None) -> None:
    """Check that INT8 engines ran in INT8 on the machine that measured them.

    Args:
        records: Engines of other precisions, and baselines, pass.
        minimum: Least share of the convolution MACs; None takes the usual one.

    Raises:
        CheckFailedError: Names every engine that falls short, and its layers with the most MACs.
    """
    found = {
        record.bundle: int8_shortfall(
            Precision(record.precision),
            record.executed,
            record.layers,
            minimum,
        )
        for record in records
    }
    missed = [f"{bundle}: {text}" for bundle, text in found.items() if text is not None]
    if missed:
        raise CheckFailedError(
            f"{' '.join(missed)} It was measured and reported all the same; see "
            "'lightawnet-edge inspect', or take it as it is with --min-int8-share 0."
        )
