"""Which frames train, and which validate: by split files, or by a hash that moves no frame."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightawnet_edge.data.faults import listed
from lightawnet_edge.data.frameset import FrameFile, FrameSet
from lightawnet_edge.data.splits import split_stems
from lightawnet_edge.errors import SpecError
from lightawnet_edge.training.config import TrainConfig


def split(frames: FrameSet, config: TrainConfig) -> tuple[list[FrameFile], list[FrameFile]]:
    """Part the frames by split files, or by a hash of seed and stem: a new frame moves no other.

    Raises:
        ArtifactError: A split file is missing, names nothing, or frames that are not there.
        SpecError: A frame stands on both sides, or one side is empty.
    """
    stems = {file.stem for file in frames.files}
    train = _named(config.split, stems) if config.split else None
    val = _named(config.val_split, stems) if config.val_split else None
    if train is None and val is None:
        val = {stem for stem in stems if _share(config.seed, stem) < config.val_fraction}
    if train is None:
        train = stems - (val or set())
    if val is None:
        val = stems - train
    if both := sorted(train & val):
        raise SpecError(f"The split files share {len(both)} frame(s): {listed(both)}.")
    for name, side in (("training", train), ("validation", val)):
        if not side:
            raise SpecError(
                f"The split leaves no {name} frame of {len(frames)}. Change the split files, or "
                "--val-fraction."
            )
    return (
        [file for file in frames.files if file.stem in train],
        [file for file in frames.files if file.stem in val],
    )


def _named(file: Path, stems: set[str]) -> set[str]:
    return set(split_stems(file, stems))


def _share(seed: int, stem: str) -> float:
    """A number in [0, 1) that depends on the seed and the stem alone."""
    digest = hashlib.sha256(f"{seed}/{stem}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
