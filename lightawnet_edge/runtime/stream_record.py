"""What a stream did: its events while it runs, and its numbers at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from lightawnet_edge.codec import OMIT, json_text
from lightawnet_edge.data.faults import counted
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.scores.histogram import Histogram
from lightawnet_edge.specs import Condition, Reaction

SCHEMA = 1  # 1: first version


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a device's log should hold: a line of JSON."""

    time: str
    """UTC, as ISO 8601."""
    at_s: float
    """Seconds since the stream began."""
    event: str
    """`start`, `condition`, `source`, `restart`, `end`."""
    what: str
    """The condition that was entered; or what happened."""
    reaction: Reaction | None = field(default=None, metadata=OMIT)
    """To a condition."""
    mask_age_s: float | None = field(default=None, metadata=OMIT)
    """Age of the last mask, where there is one."""
    detail: str | None = field(default=None, metadata=OMIT)


Tell = Callable[[Event], None]
"""Told of each event, in the thread that it happens in."""


class Log:
    """Appends events to a file, a line of JSON each, which is written when it is there."""

    def __init__(self, path: Path) -> None:
        """Open a file, which is made where there is none.

        Raises:
            ArtifactError: It cannot be written.
        """
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ArtifactError(f"'{path}' cannot be written: {error.strerror}.") from error
        self._turn = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write a line."""
        with self._turn:
            self._file.write(f"{json_text(event)}\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of a histogram; all times are seconds. Percentiles are off by 0.55 % at most."""

    count: int
    mean_s: float
    min_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, histogram: Histogram) -> Spread | None:
        """Of what was counted; None where that is nothing."""
        p50, p90, p99 = (histogram.quantile_s(share) for share in (0.5, 0.9, 0.99))
        mean_s = histogram.mean_s
        if p50 is None or p90 is None or p99 is None or mean_s is None:
            return None
        return cls(
            count=histogram.count,
            mean_s=mean_s,
            min_s=histogram.min_s,
            p50_s=p50,
            p90_s=p90,
            p99_s=p99,
            max_s=histogram.max_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """What a stream spent in one condition."""

    entered: int
    """How often it was entered."""
    seconds: float
    reaction: Reaction


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecord:
    """What became of every frame, and of the screen."""

    DERIVED: ClassVar[tuple[str, ...]] = ("missed", "missed_share")

    bundle: str
    source: str
    rate: float
    """Frames per second, nominal."""
    deadline_s: float
    seconds: float
    """How long frames came."""
    captured: int
    """Frames of the source; the sum of `masks`, `dropped`, `lost` and `left`."""
    masks: int
    dropped: int
    """Frames that a newer one replaced before the engine was free."""
    lost: int
    """Frames whose call did not end."""
    left: int
    """Frames that were on their way when the stream was ended."""
    late: int
    """Masks that came after their deadline."""
    skipped: int
    """Frames that could not be decoded; they are not among `captured`."""
    unwritten: int
    """Pictures and masks that came faster than they could be written."""
    restarts: int
    source_events: dict[str, int]
    """`stalled`, `lost`, `reconnected`, `starts over`: how often."""
    latency: Spread | None
    """From a frame's capture to its mask."""
    age: Spread | None
    """Of the mask on the screen, each time a frame was captured while one was shown."""
    conditions: dict[str, Spell]
    ended: str
    """Why, in a few words."""

    @property
    def missed(self) -> int:
        """Frames without a mask at their deadline: dropped, lost or late."""
        return self.dropped + self.lost + self.late

    @property
    def missed_share(self) -> float:
        """Of the captured frames."""
        return self.missed / self.captured if self.captured else 0.0


def describe(record: StreamRecord) -> str:
    """The table at a stream's end."""
    head = (
        f"{record.bundle} on '{record.source}': {record.captured} frames in "
        f"{record.seconds:.1f} s, {record.rate:g} a second asked; {record.ended}"
    )
    frames = (
        f"{record.masks} masks, {record.dropped} dropped, {record.lost} lost, {record.left} left, "
        f"{record.skipped} not decoded"
    )
    missed = (
        f"{record.missed} ({record.missed_share:.1%}) without a mask at the deadline of "
        f"{record.deadline_s * 1e3:.1f} ms: {record.dropped} dropped, {record.lost} lost, "
        f"{record.late} late"
    )
    lines = [
        head,
        f"  frames           {frames}",
        f"  missed           {missed}",
        f"  capture to mask  {_spread(record.latency)}",
        f"  mask on screen   {_spread(record.age)} old",
        f"  engine           {counted(record.restarts, 'restart')}",
    ]
    if told := ", ".join(f"{what}: {count}" for what, count in record.source_events.items()):
        lines.append(f"  source           {told}")
    if record.unwritten:
        lines.append(f"  not written      {record.unwritten} pictures and masks: too slow a disk")
    return "\n".join([*lines, "", *_table(record)])


def _spread(found: Spread | None) -> str:
    if found is None:
        return "none"
    named = {"p50": found.p50_s, "p90": found.p90_s, "p99": found.p99_s, "max": found.max_s}
    return ", ".join(f"{name} {1e3 * value:.1f}" for name, value in named.items()) + " ms"


def _table(record: StreamRecord) -> list[str]:
    total_s = sum(spell.seconds for spell in record.conditions.values())
    rows = [f"  {'condition':<12} {'entered':>8} {'seconds':>9} {'share':>7}  reaction"]
    for condition in Condition:
        spell = record.conditions[str(condition)]
        share = spell.seconds / total_s if total_s else 0.0
        rows.append(
            f"  {condition!s:<12} {spell.entered:>8} {spell.seconds:>9.2f} {share:>7.1%}  "
            f"{spell.reaction}"
        )
    return rows
