"""The pool that a calibration set is chosen from: frames read, described, and kept from overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lightawnet_edge.calibration.features import frame_features
from lightawnet_edge.calibration.frames import frame_files
from lightawnet_edge.calibration.record import KeptApart
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.likeness import FramePrint, Match, find_matches, print_frame
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.data.splits import split_stems
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.machine.machine import default_threads
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS
from lightawnet_edge.options import option
from lightawnet_edge.progress import OnStep, Step

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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A frame that may be chosen."""

    image: Path
    mask: Path | None
    print: FramePrint
    features: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """What a set is chosen from."""

    candidates: tuple[Candidate, ...]
    overlapping: tuple[Match, ...]
    """Frames that the evaluation set holds, too: candidates only where someone insists."""
    evaluation: KeptApart


def read_pool(spec: DesignSpec, on_step: OnStep) -> Pool:
    """Read all frames of the pool and of the evaluation set.

    Raises:
        SpecError: The pool holds fewer frames than are to be chosen.
        ArtifactError: A folder, split, image or mask is missing or cannot be read.
    """
    images = _named(spec.data, spec.split)
    held_out, evaluation = _evaluation(spec)
    kept_apart = list(_each("reading the evaluation set", _printed, held_out, on_step))
    read = _reader(image_files(spec.data / "masks") if (spec.data / "masks").is_dir() else {})
    found = list(_each("reading the pool", read, images, on_step))
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


def _printed(stem: str, image: Path) -> FramePrint:
    return print_frame(stem, read_frame(image))


def _reader(masks: Mapping[str, Path]) -> Callable[[str, Path], Candidate]:
    def read(stem: str, image: Path) -> Candidate:
        frame, mask = read_frame(image), masks.get(stem)
        truth = None if mask is None else read_mask(mask)
        return Candidate(image, mask, print_frame(stem, frame), frame_features(frame, truth))

    return read


def _each(
    stage: str, call: Callable[[str, Path], _T], images: Mapping[str, Path], on_step: OnStep
) -> Iterator[_T]:
    """Call for every image, in order; OpenCV decodes beside Python."""
    with ThreadPoolExecutor(default_threads()) as threads:
        for done, found in enumerate(threads.map(call, images, images.values())):
            on_step(Step(stage, done, len(images)))
            yield found
    on_step(Step(stage, len(images), len(images)))


def _evaluation(spec: DesignSpec) -> tuple[dict[str, Path], KeptApart]:
    folder = spec.evaluation or (spec.data if spec.evaluation_split else EVALUATION)
    images = _named(folder, spec.evaluation_split)
    return images, KeptApart(
        data=PACKAGED if folder == EVALUATION else folder.resolve().name,
        split=spec.evaluation_split.name if spec.evaluation_split else None,
        frames=len(images),
    )


def _named(folder: Path, split: Path | None) -> dict[str, Path]:
    """Images of a folder by stem, in the order of their names."""
    images = frame_files(folder)
    if not images:
        raise ArtifactError(f"No image in '{folder}'.")
    if split is None:
        return images
    return {stem: images[stem] for stem in sorted(split_stems(split, images))}
