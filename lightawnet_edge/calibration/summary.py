"""What a designed calibration set covers, as text for the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lightawnet_edge.calibration.features import SOURCE_DISTANCE
from lightawnet_edge.calibration.judgement import listed, set_doubts
from lightawnet_edge.calibration.record import Coverage, SetRecord, Span, Stability
from lightawnet_edge.tables import Fitted, plain_table


def console(record: SetRecord) -> Group:
    """Everything for the terminal, within 80 columns: what was chosen, coverage, doubts."""
    lines = [Text(line) for line in (*_facts(record), *_stability(record.stability))]
    noted = [Text.assemble(("doubt ", "yellow"), doubt) for doubt in set_doubts(record)]
    return Group(Text(headline(record), "bold"), Fitted(_table(record.coverage)), *lines, *noted)


def headline(record: SetRecord) -> str:
    """How much nearer the set is to its pool than chance, in one sentence."""
    found = record.coverage
    return (
        f"{len(record.frames)} of {record.pool} frames: radius {found.radius:.2f}, "
        f"of random sets {found.random_radius:.2f}"
    )


def _facts(record: SetRecord) -> list[str]:
    found = record.coverage
    held = len(found.sources) - len(found.missing)
    kept = record.evaluation
    split = f", {kept.split}" if kept.split else ""
    apart = f"{kept.frames} frames of {kept.data}{split}"
    counts = [f"{name} {chosen}/{pool}" for name, (pool, chosen) in found.sources.items()]
    lines = [
        "radius: how far the pool's strangest frame lies from the nearest of the set,",
        f"  in standard deviations of a feature; two sources lie {SOURCE_DISTANCE:.0f} apart",
        f"sources: {held} of {len(found.sources)}: {listed(counts)}",
        f"kept apart: {apart}; {len(record.refused)} frames of the pool refused",
    ]
    return lines + [f"  refused {match}" for match in record.refused]


def _stability(stability: Stability | None) -> list[str]:
    if stability is None:
        return ["stability of scales: not measured"]
    lines = [
        f"INT8 scales of {stability.weights}, {stability.half} frames against {stability.frames}:"
    ]
    for method in stability.methods:
        worst = stability.worst(method)
        lines.append(
            f"  {method}: {stability.median(method):.1%} in the middle layer, "
            f"{worst.change(method):.1%} in {worst.layer}"
        )
    return lines


def _table(coverage: Coverage) -> Table:
    found = plain_table()
    found.add_column("feature\n/ frames that have it")
    for heading in ("pool min\n/ set", "5 %", "median", "95 %", "max"):
        found.add_column(heading, justify="right", no_wrap=True)
    found.add_column("range\nspanned", justify="right", no_wrap=True)
    for span in coverage.spans:
        if span.known:
            found.add_row(*(Text(cell) for cell in _cells(span)))
    return found


def _cells(span: Span) -> list[str]:
    pairs = zip(span.pool, span.chosen, strict=True)
    return [
        f"{span.feature}\n{span.known}",
        *(f"{pool:.3f}\n{chosen:.3f}" for pool, chosen in pairs),
        f"\n{span.share:.0%}",
    ]
