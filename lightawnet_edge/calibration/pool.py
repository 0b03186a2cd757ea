"""The pool that a calibration set is chosen from: frames read, described, and kept from overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lightawnet_edge.calibration.features import frame_features
from lightawnet_edge.calibration.judgement import listed
from lightawnet_edge.calibration.record import KeptApart
from lightawnet_edge.data.faults import refuse
from lightawnet_edge.data.frameset import FrameFile, FrameSet, read_each
from lightawnet_edge.data.likeness import FramePrint, Match, find_matches, print_frame, show_nothing
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.masks import Extent, doubt_inverted, extent
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS
from lightawnet_edge.options import option
from lightawnet_edge.progress import Narrate, OnStep

PACKAGED = "packaged samples, evaluation half"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSpec:
    """What to choose from, how many, and what to keep apart."""

    data: Path = option(
        "Frames to choose from: a folder with images/ (and masks/), or one of images.",
    )
    frames: int = option("Frames to choose.", default=128)
    split: Path | None = option(
        "File with the names of the frames to choose from, one a line.",
        default=None,
    )
    groups: Path | None = option(
        "CSV file 'stem,group' with each frame's source. Default: read off the names.",
        default=None,
    )
    evaluation: Path | None = option(
        "Frames that accuracy will be measured on: none of them is chosen. Default: --data "
        "where --evaluation-split is given, the packaged evaluation frames otherwise.",
        default=None,
    )
    evaluation_split: Path | None = option(
        "File with the names of the evaluation frames, one a line.",
        default=None,
    )
    allow_overlap: bool = option(
        "Choose frames of the evaluation set nevertheless.",
        "--allow-overlap",
        default=False,
    )
    seed: int = option("Equal seeds and frames give equal sets.", default=0)
    stability: bool = option(
        "Measure how INT8 scales move at half the size (needs torch).", default=True
    )
    weights: str = option(
        "Checkpoint whose scales are measured: a file, or a packaged name.",
        default=DEFAULT_WEIGHTS,
    )
    force: bool = option("Replace a calibration set of this name.", "--force", default=False)

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise SpecError(f"frames={self.frames} is too few: a calibration set has at least 2.")
        if self.seed < 0:
            raise SpecError(f"seed={self.seed} must not be negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A frame that may be chosen."""

    image: Path
    mask: Path | None
    print: FramePrint
    features: tuple[float, ...]
    extent: Extent | None
    """Of the mask, where there is one."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What a set is chosen from."""

    candidates: tuple[Candidate, ...]
    overlapping: tuple[Match, ...]
    """Frames that the evaluation set holds, too: candidates only where someone insists."""
    evaluation: KeptApart


def read_pool(spec: DesignSpec, on_step: OnStep, narrate: Narrate = lambda _: None) -> Pool:
    """Read all frames of the pool and of the evaluation set.

    Args:
        spec: What to choose from, and what to keep apart.
        on_step: Told of each frame.
        narrate: Told what lies in the pool's folder and is not used, and what is to be doubted.

    Raises:
        SpecError: The pool holds fewer frames than are to be chosen.
        ArtifactError: A folder or split is missing; or frames or masks cannot be read, which are
            all named: a damaged frame is as far from all others as a rare one.
    """
    pool = FrameSet.open(spec.data, split=spec.split)
    for text in describe_unused(pool.unused):
        narrate(text)
    held_out, evaluation = _evaluation(spec)
    kept_apart = _read(held_out, "reading the evaluation set", _printed, on_step)
    found = _read(pool, "reading the pool", _candidate, on_step)
    if doubt := doubt_inverted([one.extent for one in found if one.extent]):
        narrate(doubt)
    if blank := _blank(found):
        narrate(f"{len(blank)} frames show nothing, and are not chosen from: {listed(blank)}")
        found = [one for one in found if one.print.stem not in blank]
    overlapping = find_matches([one.print for one in found], kept_apart)
    refused = set() if spec.allow_overlap else {match.stem for match in overlapping}
    candidates = tuple(one for one in found if one.print.stem not in refused)
    if len(candidates) < spec.frames:
        why = f", without {len(refused)} that the evaluation set holds, too" if refused else ""
        raise SpecError(
            f"The pool '{spec.data}' has {len(candidates)} frames{why}: too few to choose "
            f"{spec.frames}. Give more frames, or ask for fewer with --frames."
        )
    return Pool(candidates, tuple(overlapping), evaluation)


def _blank(found: Sequence[Candidate]) -> list[str]:
    """Frames without content: each is as far from all others as a rare one."""
    prints = [one.print for one in found]
    return [one.stem for one, empty in zip(prints, show_nothing(prints), strict=True) if empty]


def _printed(file: FrameFile) -> FramePrint:
    return print_frame(file.stem, file.read())


def _candidate(file: FrameFile) -> Candidate:
    frame, truth = (file.read(), None) if file.mask is None else file.read_pair()
    return Candidate(
        image=file.image,
        mask=file.mask,
        print=print_frame(file.stem, frame),
        features=frame_features(frame, truth),
        extent=None if truth is None else extent(truth),
    )


def _read(
    frames: FrameSet, stage: str, call: Callable[[FrameFile], _T], on_step: OnStep
) -> list[_T]:
    """Call for every frame, sorted by stem.

    Raises:
        ArtifactError: Names all that cannot be read.
    """
    problems: list[str] = []

    def read(file: FrameFile) -> _T | None:
        try:
            return call(file)
        except ArtifactError as error:
            problems.append(str(error).rstrip("."))
            return None

    files = sorted(frames.files, key=lambda file: file.image.name)
    found = [one for one in read_each(files, read, stage, on_step) if one is not None]
    refuse(sorted(problems), f"Data set '{frames.folder}'")
    return found


def _evaluation(spec: DesignSpec) -> tuple[FrameSet, KeptApart]:
    folder = spec.evaluation or (spec.data if spec.evaluation_split else EVALUATION)
    frames = FrameSet.open(folder, split=spec.evaluation_split)
    return frames, KeptApart(
        data=PACKAGED if folder == EVALUATION else folder.resolve().name,
        split=spec.evaluation_split.name if spec.evaluation_split else None,
        frames=len(frames),
    )
