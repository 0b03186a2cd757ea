"""Which weights a run made, by their bytes: records of other weights are not about this run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.bundle.store import replace_file, sha256_of
from lightawnet_edge.codec import dumps, read_document
from lightawnet_edge.model.packaged import BEST, LAST

MADE = "weights.json"
"""File of a run that names its checkpoints by their bytes."""
SCHEMA = 1  # 1: first version. Say here what every later number changed.


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeWeights:
    """SHA-256 of a run's checkpoints, and of what it started from."""

    best: str | None
    """Of `best.safetensors`; None where a run of an earlier version has none any more."""
    last: str | None
    """Of `last.safetensors`, likewise."""
    init: str | None = None
    """Of the checkpoint that it started from; None where it started anew, or does not say."""

    @property
    def all(self) -> set[str]:
        """Of every checkpoint that it made."""
        return {sha256 for sha256 in (self.best, self.last) if sha256 is not None}


def keep_made(run: Path, init: str | None) -> None:
    """Write into a run's folder which weights it has made so far."""
    made = MadeWeights(best=sha256_of(run / BEST), last=sha256_of(run / LAST), init=init)
    replace_file(run / MADE, dumps(made, schema=SCHEMA).encode())


def kept_made(run: Path) -> MadeWeights:
    """What `keep_made` wrote; in the folder of an earlier version, what the checkpoints there are.

    Raises:
        ArtifactError: The file cannot be read.
    """
    if (run / MADE).is_file():
        again = "Remove it where the run's checkpoints lie beside it."
        return read_document(MadeWeights, run / MADE, schema=SCHEMA, again=again)
    best, last = (
        sha256_of(run / name) if (run / name).is_file() else None for name in (BEST, LAST)
    )
    return MadeWeights(best=best, last=last)
