"""Frames and masks on disk: found by equal stems, and split into training and validation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.data.frames import image_files
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.training.config import TrainConfig

SHOWN = 10
"""Problems listed in one message; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A frame and its mask on disk."""

    stem: str
    image: Path
    mask: Path


def find_pairs(root: Path) -> list[Pair]:
    """Pairs of `images/` and `masks/` with equal stems, in the order of their names.

    Raises:
        ArtifactError: A folder is missing, there is no pair, or a frame has no mask.
    """
    images, masks = (image_files(root / name) for name in ("images", "masks"))
    if not images.keys() & masks.keys():
        raise ArtifactError(
            f"No pairs in '{root}': {len(images)} images and {len(masks)} masks, and no two with "
            "equal stems. Expected images/NAME.jpg beside masks/NAME.png (or .jpg, .npy)."
        )
    refuse(
        [f"'{image}' has no mask '{root / 'masks' / stem}.*'" for stem, image in images.items()
         if stem not in masks],
        f"Data set '{root}'",
    )  # fmt: skip
    return [Pair(stem, image, masks[stem]) for stem, image in images.items()]


def split(pairs: Sequence[Pair], config: TrainConfig) -> tuple[list[Pair], list[Pair]]:
    """Part the pairs by split files, or by a hash of seed and stem: a new frame moves no other.

    Raises:
        ArtifactError: A split file is missing, or names a frame that is not there.
        SpecError: A frame stands on both sides, or one side is empty.
    """
    by_stem = {pair.stem: pair for pair in pairs}
    train = _named(config.split, by_stem) if config.split else None
    val = _named(config.val_split, by_stem) if config.val_split else None
    if train is None and val is None:
        val = {stem for stem in by_stem if _share(config.seed, stem) < config.val_fraction}
    if train is None:
        train = by_stem.keys() - (val or set())
    if val is None:
        val = by_stem.keys() - train
    if both := sorted(train & val):
        raise SpecError(f"The split files share {len(both)} frame(s): {listed(both)}.")
    for name, side in (("training", train), ("validation", val)):
        if not side:
            raise SpecError(
                f"The split leaves no {name} frame of {len(pairs)}. Change the split files, or "
                "--val-fraction."
            )
    return [p for p in pairs if p.stem in train], [p for p in pairs if p.stem in val]


def _named(file: Path, by_stem: Mapping[str, Pair]) -> set[str]:
    """Stems of a split file; a name may carry a suffix, blank lines and # comments are skipped."""
    if not file.is_file():
        raise ArtifactError(f"No split file '{file}'.")
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    names = [line for line in lines if line and not line.startswith("#")]
    stems = {name if name in by_stem else Path(name).stem for name in names}
    refuse(
        [f"frame '{stem}' is not in the data set" for stem in sorted(stems - by_stem.keys())],
        f"Split file '{file}'",
    )
    return stems


def _share(seed: int, stem: str) -> float:
    """A number in [0, 1) that depends on the seed and the stem alone."""
    digest = hashlib.sha256(f"{seed}/{stem}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def refuse(problems: Sequence[str], what: str) -> None:
    """Raise one ArtifactError that lists the problems, if there are any."""
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise ArtifactError(f"{what} has {len(problems)} {noun}: {listed(problems, '; ')}.")


def listed(items: Sequence[str], comma: str = ", ") -> str:
    """Join the first items; count the rest."""
    rest = len(items) - SHOWN
    return comma.join(items[:SHOWN]) + (f"{comma}and {rest} more" if rest > 0 else "")
