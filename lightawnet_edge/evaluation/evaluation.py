"""How well a checkpoint segments a set of frames, as values that go to JSON and come back.

Stored are the scores of each frame; every mean and interval is computed from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from lightawnet_edge.benchmarks.provenance import Asked
from lightawnet_edge.codec import OMIT, read_document
from lightawnet_edge.data.faults import listed
from lightawnet_edge.data.likeness import Match
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.metadata import SCHEMA as METADATA_SCHEMA
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.scores.intervals import Interval, mean_interval
from lightawnet_edge.scores.latency import MIN_FRAMES
from lightawnet_edge.scores.masks import check_shares
from lightawnet_edge.specs import MAX_SIDE, Size

SCHEMA = 1  # 1: first version. Say here what every later number changed.
EVALUATION_JSON, WORST_JPEG = "evaluation.json", "worst.jpg"
"""Files that `evaluate --out` writes."""
WORST = 8
"""Frames on the contact sheet."""
EMPTY = "empty"
"""Size class of a frame whose truth has no lesion."""
SMALL_BELOW, LARGE_FROM = 0.05, 0.15
"""Share of the image that the lesions of a frame cover: small below the first, large from the
second, medium between."""
SIZES = {
    "small": f"< {100 * SMALL_BELOW:.0f} %",
    "medium": f"{100 * SMALL_BELOW:.0f}-{100 * LARGE_FROM:.0f} %",
    "large": f"≥ {100 * LARGE_FROM:.0f} %",
}
"""Class of lesion size to the share of the image that it stands for."""
_PLAIN_NAME = re.compile(r"[^/\\\0]+")
"""A card of that name is written."""
UNKNOWN = "unknown"
"""Group of a frame that no group is given for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """One frame: its mask against its truth, at the truth's own size."""

    DERIVED: ClassVar = ("hd95_share", "size")

    stem: str
    height: int
    width: int
    group: str | None
    """Centre, clip or the like; None where no groups are given."""
    truth_share: float
    """Share of the image that is lesion."""
    predicted_share: float
    """Share of the image that was called lesion."""
    dice: float
    iou: float
    precision: float
    recall: float
    hd95_px: float | None
    """In pixels of the truth; None where exactly one of the masks is empty."""

    def __post_init__(self) -> None:
        Size(self.height, self.width)
        check_shares(
            truth_share=self.truth_share, predicted_share=self.predicted_share, dice=self.dice,
            iou=self.iou, precision=self.precision, recall=self.recall,
        )  # fmt: skip
        if self.hd95_px is not None and not 0 <= self.hd95_px <= 2 * MAX_SIDE:
            raise SpecError(f"hd95_px={self.hd95_px} is no distance within a frame.")

    @property
    def hd95_share(self) -> float | None:
        """HD95 as a share of the image's diagonal."""
        diagonal_px: float = (self.height**2 + self.width**2) ** 0.5
        return None if self.hd95_px is None else self.hd95_px / diagonal_px

    @property
    def size(self) -> str:
        """Class of lesion size."""
        if self.truth_share == 0:
            return EMPTY
        if self.truth_share < SMALL_BELOW:
            return "small"
        return "medium" if self.truth_share < LARGE_FROM else "large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Means over frames of equal weight, each with its 95 % bootstrap interval."""

    n: int
    dice: Interval
    iou: Interval
    precision: Interval
    recall: Interval
    hd95_px: Interval | None
    """Over the frames where it is defined; None where there is none."""
    hd95_share: Interval | None
    hd95_undefined: int
    """Frames of which exactly one mask is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyFrames:
    """Frames without a lesion, and on how many of them one was seen."""

    DERIVED: ClassVar = ("share",)

    n: int
    false_alarms: int
    """Frames with at least one pixel called lesion."""

    @property
    def share(self) -> float | None:
        """False alarms over frames; None without frames."""
        return self.false_alarms / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights(CheckpointMeta):
    """An evaluated checkpoint: its file, and what it says of itself."""

    name: str
    """Of the file, without its suffix."""
    sha256: str
    """Of the file's bytes."""
    parameters: int
    """Number of trained values."""
    schema: int = METADATA_SCHEMA
    """Of what the checkpoint says of itself."""


@dataclass(frozen=True, kw_only=True)  # without slots, which leave cached properties no place
class Evaluation:
    """A checkpoint on a set of frames; but for `asked`, nothing in it tells time or place."""

    DERIVED: ClassVar = ("overall", "by_size", "by_group", "empty", "missed", "doubts")

    version: str
    """Of this package."""
    weights: Weights
    size: str
    """Network input, HEIGHTxWIDTH."""
    data: str
    """Name of the folder."""
    split: str | None
    """Name of the split file; None for the whole folder."""
    limit: int | None
    frames_sha256: str
    """Of the names and the bytes of all images and masks, in their order."""
    tools: Mapping[str, str]
    """Name to version, of all that touched the pixels."""
    frames: tuple[FrameResult, ...]
    trained_on: tuple[Match, ...] | None = field(default=None, metadata=OMIT)
    """Frames that show a picture of the training; None where no record of it lies beside the
    weights."""
    asked: Asked | None = field(default=None, metadata=OMIT)
    """The command line that asked for it; None for a call from Python."""
    doubted: tuple[str, ...] = field(default=(), metadata=OMIT)
    """What is to be doubted of the frames and masks themselves."""

    def __post_init__(self) -> None:
        if not self.frames:
            raise SpecError("An evaluation has at least one frame, found none.")
        if not _PLAIN_NAME.fullmatch(name := self.weights.name):
            raise SpecError(f"weights.name='{name}' is no plain file name.")

    @cached_property
    def overall(self) -> Summary:
        """All frames, empty ones too."""
        return summarize_frames(self.frames)

    @cached_property
    def by_size(self) -> dict[str, Summary]:
        """Class of lesion size to its frames; classes without frames are left out."""
        return self._parts(lambda frame: frame.size, SIZES)

    @cached_property
    def by_group(self) -> dict[str, Summary]:
        """Group to its frames, by name; empty where no groups are given."""
        named = {frame.group for frame in self.frames if frame.group is not None}
        return self._parts(lambda frame: frame.group, sorted(named))

    @property
    def empty(self) -> EmptyFrames:
        """Frames without a lesion."""
        empty = [frame for frame in self.frames if frame.size == EMPTY]
        return EmptyFrames(
            n=len(empty), false_alarms=sum(frame.predicted_share > 0 for frame in empty)
        )

    @property
    def missed(self) -> int:
        """Frames with a lesion where nothing was found."""
        return sum(frame.truth_share > 0 == frame.predicted_share for frame in self.frames)

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust the scores, in sentences without a full stop."""
        found = [*self.doubted]
        if self.trained_on:
            names = listed([str(match) for match in self.trained_on])
            found.append(
                f"{len(self.trained_on)} of {len(self.frames)} frames show a picture that the "
                f"weights were trained on, so these scores flatter: {names}"
            )
        if len(self.frames) < MIN_FRAMES:
            found.append(f"fewer than {MIN_FRAMES} frames: the intervals are too narrow")
        return found

    def worst(self, count: int) -> list[FrameResult]:
        """Frames of lowest Dice; of equal ones, those where more pixels are concerned."""
        return sorted(
            self.frames,
            key=lambda frame: (
                frame.dice, -frame.truth_share - frame.predicted_share, frame.stem,
            ),
        )[:count]  # fmt: skip

    def _parts(
        self, key: Callable[[FrameResult], str | None], names: Sequence[str] | Mapping[str, str]
    ) -> dict[str, Summary]:
        parts = {name: [frame for frame in self.frames if key(frame) == name] for name in names}
        return {name: summarize_frames(part) for name, part in parts.items() if part}


def summarize_frames(frames: Sequence[FrameResult]) -> Summary:
    """Average over frames, each of equal weight.

    Raises:
        SpecError: There are no frames.
    """
    if not frames:
        raise SpecError("There is no frame to average over.")
    defined = [frame for frame in frames if frame.hd95_px is not None]

    def mean(name: str, over: Sequence[FrameResult]) -> Interval:
        return mean_interval([getattr(frame, name) for frame in over])

    return Summary(
        n=len(frames),
        dice=mean("dice", frames),
        iou=mean("iou", frames),
        precision=mean("precision", frames),
        recall=mean("recall", frames),
        hd95_px=mean("hd95_px", defined) if defined else None,
        hd95_share=mean("hd95_share", defined) if defined else None,
        hd95_undefined=len(frames) - len(defined),
    )


def read_evaluation(path: Path) -> Evaluation:
    """Read what `evaluate --out` wrote into a folder, or a file of what `--json` printed.

    Raises:
        ArtifactError: The file is missing, or is no evaluation of this schema.
    """
    path = path / EVALUATION_JSON if path.is_dir() else path
    again = "Run 'lightawnet-edge evaluate' again."
    return read_document(Evaluation, path, schema=SCHEMA, again=again)
