"""What a designed calibration set says of itself: `calibration-set.json` beside its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.codec import OMIT, dumps, read_document
from lightawnet_edge.data.likeness import FramePrint, Match
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import Method

SCHEMA = 2
# 1: first version. 2: layers hold the ranges of every method; they held the extremes of all frames,
# and the means of the frames' extremes, which set no scale any more.
RECORD = "calibration-set.json"
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)

_LARGEST = float(np.finfo(np.float32).max)

Ends = tuple[float, float, float, float]
"""Lower and upper end of a range over the set; then over the first half of it."""
Five = tuple[float, float, float, float, float]
"""A feature's QUANTILES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One feature, over those frames for which it is known; all zero where there are none."""

    feature: str
    known: int
    """Frames of the pool for which it is known."""
    pool: Five
    chosen: Five

    @property
    def share(self) -> float:
        """Share of the pool's range that the set spans."""
        width = self.pool[-1] - self.pool[0]
        return (self.chosen[-1] - self.chosen[0]) / width if width > 0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How well a set stands for the pool that it was chosen from."""

    radius: float
    """Distance, in standard deviations of a feature, of the pool's strangest frame to the set."""
    random_radius: float
    """Median of the same for random sets of as many frames."""
    spans: tuple[Span, ...]
    sources: Mapping[str, tuple[int, int]]
    """Source to its number of frames in the pool and in the set."""

    @property
    def missing(self) -> list[str]:
        """Sources that the set holds no frame of."""
        return [name for name, (_, chosen) in self.sources.items() if not chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRange:
    """INT8 ranges of a convolution's input in FP32, over the set and over the first half of it."""

    layer: str
    ranges: Mapping[Method, Ends]
    """Method to the range that it gives; zero lies in each."""

    def __post_init__(self) -> None:
        if not all(abs(value) <= _LARGEST for ends in self.ranges.values() for value in ends):
            raise SpecError(f"the ranges of layer '{self.layer}' are none of FP32.")

    def change(self, method: Method) -> float:
        """Relative change of the INT8 scale of a method at half the size."""
        low, high, half_low, half_high = self.ranges[method]
        return abs((half_high - half_low) / (high - low) - 1) if high > low else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """How far INT8 scales move when the set is cut to its first half, which is a design, too."""

    weights: str
    """Name of the checkpoint."""
    frames: int
    half: int
    layers: tuple[LayerRange, ...]
    mismatch: float | None = field(default=None, metadata=OMIT)
    """How far the network's activations on the set lie from their statistics in training, in nats;
    None in sets that were designed before it was measured."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise SpecError("The stability of scales needs at least one layer, found none.")
        if any(layer.ranges.keys() != self.layers[0].ranges.keys() for layer in self.layers):
            raise SpecError("The ranges of all layers must be of the same methods.")

    @property
    def methods(self) -> tuple[Method, ...]:
        """Those that were measured: a set of an earlier version knows min-max alone."""
        return tuple(self.layers[0].ranges)

    def median(self, method: Method) -> float:
        """Relative change of the scale in the middle layer."""
        return float(np.median([layer.change(method) for layer in self.layers]))

    def worst(self, method: Method) -> LayerRange:
        """The layer whose scale changes most."""
        return max(self.layers, key=lambda layer: layer.change(method))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenFrame:
    """A frame of the set."""

    print: FramePrint
    image: str
    """Path in the set's folder, with forward slashes: 'images/NAME'."""
    mask: str | None
    """The same: 'masks/NAME'."""
    source: str
    features: Mapping[str, float | None]

    def __post_init__(self) -> None:
        _check_place(self.image, "images")
        if self.mask is not None:
            _check_place(self.mask, "masks")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptApart:
    """The evaluation set that no frame was chosen from."""

    data: str
    """Name of the folder."""
    split: str | None
    """Name of the split file; None for the whole folder."""
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRecord:
    """A designed set: what it was chosen from and how, what it covers, and its frames."""

    data: str
    """Name of the pool's folder."""
    split: str | None
    pool: int
    """Frames that could be chosen."""
    seed: int
    evaluation: KeptApart
    refused: tuple[Match, ...]
    """Frames of the pool that the evaluation set shows, too; none of them was chosen."""
    overlap: tuple[Match, ...]
    """Chosen frames that the evaluation set shows, too: someone insisted."""
    coverage: Coverage
    stability: Stability | None
    """None where it was not measured."""
    frames: tuple[ChosenFrame, ...]
    """In the order of choice: the first n are the design of n."""
    files: Mapping[str, str]
    """Path in the folder to SHA-256, of every image and mask."""

    def __post_init__(self) -> None:
        if not self.frames:
            raise SpecError("A calibration set has at least one frame, found none.")
        for place in self.files:
            _check_place(place, "masks" if place.startswith("masks/") else "images")

    @property
    def prints(self) -> tuple[FramePrint, ...]:
        """What the frames are recognized by."""
        return tuple(frame.print for frame in self.frames)


def write_record(folder: Path, record: SetRecord) -> None:
    """Write the record of a set into its folder."""
    text = dumps(record, schema=SCHEMA, indent=1, sort_keys=False)
    (folder / RECORD).write_text(text, encoding="utf-8")


def read_record(folder: Path) -> SetRecord:
    """Read the record of a set, and check that its files are what they were.

    Raises:
        ArtifactError: The record cannot be understood, or a file is missing, changed or new.
    """
    again = "Design the set again: lightawnet-edge calibrate."
    record = read_document(
        SetRecord, folder / RECORD, schema=SCHEMA, again=again, upgrades=UPGRADES
    )
    _check_files(folder, record, again)
    return record


def _from_extremes(data: dict[str, Any]) -> dict[str, Any]:
    """Lift a record of schema 1: what extremes give is min-max."""
    for layer in data["stability"]["layers"] if data["stability"] else ():
        low, high, half_low, half_high = layer.pop("extremes")
        ends = [min(low, 0), max(high, 0), min(half_low, 0), max(half_high, 0)]
        layer["ranges"] = {str(Method.MIN_MAX): ends}
        layer.pop("means")
    return data


UPGRADES = {1: _from_extremes}
"""As `codec.loads` takes them."""


def _check_files(folder: Path, record: SetRecord, again: str) -> None:
    for frame in record.frames:
        for name in (frame.image, frame.mask):
            if name is not None and name not in record.files:
                raise ArtifactError(
                    f"The record of calibration set '{folder}' has no sha256 of '{name}'. {again}"
                )
    for name, expected in record.files.items():
        if not (folder / name).is_file():
            raise ArtifactError(f"Calibration set '{folder}' lacks its file '{name}'. {again}")
        if (found := sha256_of(folder / name)) != expected:
            raise ArtifactError(
                f"'{folder / name}' has changed since the calibration set was designed: sha256 is "
                f"{found[:12]}…, its record says {expected[:12]}…. {again}"
            )
    there = {f"images/{path.name}" for path in (folder / "images").iterdir()}
    if strange := sorted(there - record.files.keys()):
        raise ArtifactError(
            f"Calibration set '{folder}' holds '{strange[0]}', which its record does not know. "
            f"Remove the file. {again}"
        )


def _check_place(place: str, folder: str) -> None:
    """Refuse a path that does not name a file of this folder of the set."""
    head, _, name = place.partition("/")
    if head != folder or name in ("", ".", "..") or set("/\\\0") & set(name):
        raise SpecError(f"'{place}' is no file of the folder '{folder}'.")
