"""Raw samples on the disk while a benchmark goes on: an interruption loses none of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType

from lightawnet_edge.benchmarks.timing import Rounds
from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import dumps
from lightawnet_edge.scores.masks import SegmentationScore

SCHEMA = 1  # 1: first version. Say here what every later number changed.
SAMPLES = "samples.json"
"""File beside a report; it stays where a benchmark was interrupted, or an engine failed."""
_PAUSE_S = 2.0
"""Between two writes: a killed process loses no more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSamples:
    """What one engine has given so far; every time in seconds."""

    bundle: str
    load_s: float
    first_s: float
    rounds_s: Rounds
    compute_s: Rounds
    copy_s: Rounds
    others: tuple[float, ...]
    """CPUs that other programs kept busy, by round."""
    scores: Mapping[str, SegmentationScore]
    """By frame, against its truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What a benchmark has measured so far."""

    created: str
    """UTC, ISO 8601."""
    engines: tuple[EngineSamples, ...]
    """Those that failed, too."""


Keep = Callable[[tuple[EngineSamples, ...]], None]
"""Told of all samples whenever there are more."""


@dataclass(slots=True)
class Journal:
    """Keeps samples in a file of a report's folder; a disk that takes none ends no benchmark."""

    file: Path | None
    """None keeps nothing."""
    created: str
    clock: Callable[[], float] = time.monotonic
    _engines: tuple[EngineSamples, ...] = ()
    _written_s: float = field(default=0.0)

    def __call__(self, engines: tuple[EngineSamples, ...]) -> None:
        """Take all samples that there are, and write them now and then."""
        self._engines = engines
        if self.clock() - self._written_s >= _PAUSE_S:
            self._write()

    @property
    def kept(self) -> Path | None:
        """The file, where something was written."""
        return self.file if self.file is not None and self.file.is_file() else None

    def _write(self) -> None:
        if self.file is None or not any(engine.rounds_s for engine in self._engines):
            return
        samples = Samples(created=self.created, engines=self._engines)
        with suppress(OSError):
            text = dumps(samples, schema=SCHEMA, indent=None, sort_keys=False)
            replace_file(self.file, text.encode(), lasting=False)
        self._written_s = self.clock()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write()


def folder_name(created: str) -> str:
    """Time of a benchmark as a name that sorts by time, e.g. '2026-01-31T12-00-00'."""
    return datetime.fromisoformat(created).strftime("%Y-%m-%dT%H-%M-%S")
