"""What a run folder says of a training: its config, and a row for each epoch."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.training.config import CONFIG, read_toml
from lightawnet_edge.training.made import MadeWeights, kept_made
from lightawnet_edge.training.split import kept_sides

METRICS = "metrics.csv"
_NEEDED = ("loss", "dice", "seconds")


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One stage of a training."""

    config: Mapping[str, Any]
    """As it stands in `config.toml`; keys that this version does not know are welcome."""
    epochs: tuple[Mapping[str, float], ...]
    """Column to value, those that are numbers; at least `loss`, `dice` and `seconds`."""
    sizes: tuple[str, ...]
    """Network input of each epoch; empty text where the file does not say."""
    folder: Path
    """As it was given."""
    made: MadeWeights
    """Its checkpoints."""
    trained: frozenset[str] | None = None
    """Names of the training frames; None in the folder of an earlier version."""

    @property
    def seconds(self) -> float:
        """Duration of all epochs, with validation."""
        return sum(row["seconds"] for row in self.epochs)

    @property
    def best(self) -> tuple[int, float]:
        """Epoch of highest validation Dice, counted from 1, and that Dice.

        Dice at another size is another number: only epochs at the size of the last one compete.
        """
        scores = zip(self.epochs, self.sizes, range(1, len(self.sizes) + 1), strict=True)
        dice, epoch = max(
            (row["dice"], -number) for row, size, number in scores if size == self.sizes[-1]
        )
        return int(-epoch), dice


def read_run(folder: Path) -> TrainingRecord:
    """Read `config.toml`, `metrics.csv`, which frames were trained on, and the weights' digests.

    Raises:
        ArtifactError: One of them is missing or cannot be understood.
    """
    file = folder / METRICS
    if not file.is_file():
        raise ArtifactError(
            f"'{folder}' holds no '{METRICS}'. Give the folder of a run that 'lightawnet-edge "
            "train' finished at least one epoch of."
        )
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    epochs = tuple(dict(_numbers(row)) for row in rows)
    for number, row in enumerate(epochs, start=1):
        if missing := [name for name in _NEEDED if name not in row]:
            raise ArtifactError(f"'{file}', epoch {number}: no number in '{missing[0]}'.")
    if not epochs:
        raise ArtifactError(f"'{file}' has no epoch: the run was stopped before its first end.")
    sizes = tuple(row.get("size") or "" for row in rows)
    sides = kept_sides(folder)
    trained = None if sides is None else frozenset(sides.train)
    config, made = read_toml(folder / CONFIG), kept_made(folder)
    return TrainingRecord(config, epochs, sizes, folder, made, trained)


def settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Every setting as text, whatever it is; a table or a list of them is one line each."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            found |= {f"{key} {n}": _text(one) for n, one in enumerate(value, start=1)}
        else:
            found[key] = _text(value)
    return found


def side_by_side(stages: Sequence[Mapping[str, str]]) -> Iterator[list[str]]:
    """Rows of a table: the setting, and its value in each stage."""
    for name in dict.fromkeys(name for stage in stages for name in stage):
        yield [name, *(stage.get(name, "") for stage in stages)]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else _placeless(str(value))


def _placeless(text: str) -> str:
    """Shorten an absolute path to its last part: a card tells no one's folders."""
    for kind in (PurePosixPath, PureWindowsPath):
        if (path := kind(text)).is_absolute():
            return path.name
    return text


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        try:
            yield key, float(value)
        except (TypeError, ValueError):
            continue
