"""How well a checkpoint segments a set of frames, as values that go to JSON and come back.

Stored are the scores of each frame; every mean and interval is computed from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.scores.intervals import Interval, mean_interval

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
UNKNOWN = "unknown"
"""Group of a frame that no group is given for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """One frame: its mask against its truth, at the truth's own size."""

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

    def to_json(self) -> dict[str, Any]:
        """Plain values, with those that are computed."""
        return {**asdict(self), "hd95_share": self.hd95_share, "size": self.size}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrameResult:
        """Inverse of `to_json`; the computed values are computed again."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__})


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

    def to_json(self) -> dict[str, Any]:
        """Plain values: each mean with `ci95`."""
        counts = {"n": self.n, "hd95_undefined": self.hd95_undefined}
        names = ("dice", "iou", "precision", "recall", "hd95_px", "hd95_share")
        return counts | {name: _interval_json(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyFrames:
    """Frames without a lesion, and on how many of them one was seen."""

    n: int
    false_alarms: int
    """Frames with at least one pixel called lesion."""

    @property
    def share(self) -> float | None:
        """False alarms over frames; None without frames."""
        return self.false_alarms / self.n if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"n": self.n, "false_alarms": self.false_alarms, "share": self.share}


@dataclass(frozen=True, kw_only=True)  # without slots, which leave cached properties no place
class Evaluation:
    """A checkpoint on a set of frames."""

    version: str
    """Of this package."""
    weights: Mapping[str, Any]
    """`name` and `sha256` of the file, and what the checkpoint says of itself."""
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

    def to_json(self) -> dict[str, Any]:
        """Plain values with the schema number; nothing in them tells time or place."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "weights": dict(self.weights),
            "size": self.size,
            "data": self.data,
            "split": self.split,
            "limit": self.limit,
            "frames_sha256": self.frames_sha256,
            "tools": dict(self.tools),
            "overall": self.overall.to_json(),
            "by_size": {name: part.to_json() for name, part in self.by_size.items()},
            "by_group": {name: part.to_json() for name, part in self.by_group.items()},
            "empty": self.empty.to_json(),
            "missed": self.missed,
            "frames": [frame.to_json() for frame in self.frames],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Inverse of `to_json`; the computed values are computed again."""
        own = {key: data[key] for key in cls.__dataclass_fields__}
        return cls(**{**own, "frames": tuple(map(FrameResult.from_json, data["frames"]))})


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
        ArtifactError: The file is missing, not JSON, of an unknown schema, or lacks a field.
    """
    advice = "Run 'lightawnet-edge evaluate' again."
    path = path / EVALUATION_JSON if path.is_dir() else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"Evaluation '{path}' cannot be read: {error}. {advice}") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise ArtifactError(
            f"Evaluation '{path}' has schema {schema!r}, this version reads {SCHEMA}. {advice}"
        )
    try:
        return Evaluation.from_json(data)
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"Evaluation '{path}' cannot be understood: {error!r}. {advice}"
        ) from error


def _interval_json(interval: Interval | None) -> dict[str, Any] | None:
    return (
        None if interval is None else {"mean": interval.mean, "ci95": [interval.low, interval.high]}
    )
