"""Which frames train, and which validate: no scene, and no group, is on both sides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.data.faults import counted, listed, refuse
from lightawnet_edge.data.likeness import FramePrint, read_prints, write_prints
from lightawnet_edge.data.scenes import scenes
from lightawnet_edge.data.splits import read_groups, split_stems
from lightawnet_edge.errors import SpecError
from lightawnet_edge.progress import Narrate
from lightawnet_edge.training.config import TrainConfig

TRAINED, VALIDATED = "train-frames.json", "val-frames.json"
"""Files of a run with the prints of its frames: which they were, and how they are recognized."""
DEVELOPED = "dev-frames.json"
"""The same of the frames that the best epoch was chosen on, where these were held out."""
VAL_SPLIT = "val.txt"
"""File of a run that names its validation frames, for `--split` of other commands."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Stems on both sides of a split."""

    train: Collection[str]
    val: Collection[str]

    @property
    def all(self) -> set[str]:
        """Both sides."""
        return {*self.train, *self.val}


def named_sides(stems: Sequence[str], config: TrainConfig) -> Sides | None:
    """Sides by split files; None where the config names none.

    Raises:
        ArtifactError: A file is missing, or names nothing, or frames that are not there.
        SpecError: A frame or a group stands on both sides, or one side is empty.
    """
    known = set(stems)
    train = set(split_stems(config.split, known)) if config.split else None
    val = set(split_stems(config.val_split, known)) if config.val_split else None
    if train is None and val is None:
        return None
    sides = Sides(
        known - (val or set()) if train is None else train,
        known - (train or set()) if val is None else val,
    )
    _refuse_shared(set(sides.train) & set(sides.val), "frame")
    _refuse_empty(sides, "Change the split files.")
    if config.groups:
        units = grouped(sorted(sides.all), config.groups)
        train_groups, val_groups = ({units[s] for s in side} for side in (sides.train, sides.val))
        _refuse_shared(train_groups & val_groups, "group")
    return sides


def drawn_sides(units: Mapping[str, str], config: TrainConfig, narrate: Narrate) -> Sides:
    """Sides by a hash of seed and unit: whole units are drawn, and a new one moves no other.

    Args:
        units: Stem to the unit that stays on one side.
        config: Names seed and share.
        narrate: Told what came of it.

    Raises:
        SpecError: One side is empty.
    """
    sizes = Counter(units.values())
    drawn = {unit for unit in sizes if _share(config.seed, unit) < config.val_fraction}
    sides = Sides(
        [stem for stem, unit in units.items() if unit not in drawn],
        [stem for stem, unit in units.items() if unit in drawn],
    )
    what = "group" if config.groups else "scene"
    parts = f"{counted(len(sizes), what)} of at most {max(sizes.values())} frames"
    _refuse_empty(
        sides,
        f"They are {parts}, and a {what} stays on one side. Name the frames with --val-split FILE, "
        "or change --val-fraction or --seed.",
    )
    narrate(f"validation: {len(sides.val)} of {len(units)} frames, drawn by {what}: {parts}")
    return sides


def dev_stems(units: Mapping[str, str], config: TrainConfig, narrate: Narrate) -> frozenset[str]:
    """Training frames to choose the best epoch on, whole scenes or groups; none without a share.

    Args:
        units: Training stem to the unit that stays together.
        config: Names seed and share.
        narrate: Told what came of it.

    Raises:
        SpecError: Nothing, or everything, would be held out.
    """
    if not config.dev_fraction:
        return frozenset()
    share, seed = config.dev_fraction, config.seed
    drawn = {unit for unit in set(units.values()) if _share(seed, f"dev/{unit}") < share}
    found = frozenset(stem for stem, unit in units.items() if unit in drawn)
    if not found or len(found) == len(units):
        raise SpecError(
            f"dev_fraction={config.dev_fraction} holds out {len(found)} of {len(units)} training "
            "frames. Change it, or the seed."
        )
    narrate(f"development: {len(found)} of {len(units)} training frames are held out to choose on")
    return found


def units_of(prints: Sequence[FramePrint], config: TrainConfig) -> dict[str, str]:
    """Stem to what must stay on one side with it: its group, or else its scene.

    Raises:
        ArtifactError: The file of groups cannot be read, or a frame has none in it.
    """
    stems = [one.stem for one in prints]
    if config.groups:
        return grouped(stems, config.groups)
    return dict(zip(stems, scenes(prints), strict=True))


def grouped(stems: Sequence[str], table: Path) -> dict[str, str]:
    """Group of each frame.

    Raises:
        ArtifactError: The file cannot be read, or lacks frames: one without a group could stand
            beside its patient's on the other side.
    """
    known = read_groups(table)
    refuse(
        [f"it names no group of '{stem}'" for stem in stems if stem not in known],
        f"File of groups '{table}'",
        "Give every frame of the set a line 'stem,group'.",
    )
    return {stem: known[stem] for stem in stems}


def keep_sides(
    run: Path,
    train: Sequence[FramePrint],
    val: Sequence[FramePrint],
    dev: Sequence[FramePrint] = (),
) -> None:
    """Write into a run's folder which frames are on which side."""
    write_prints(run / TRAINED, train)
    write_prints(run / VALIDATED, val)
    if dev:
        write_prints(run / DEVELOPED, dev)
    (run / VAL_SPLIT).write_text("".join(f"{one.stem}\n" for one in val), encoding="utf-8")


def kept_sides(run: Path) -> Sides | None:
    """What `keep_sides` wrote; None for a run that an earlier version began.

    Frames that the best epoch was chosen on count as trained on.

    Raises:
        ArtifactError: A file cannot be read.
    """
    if not (run / TRAINED).is_file():
        return None
    again = "Train anew with another --out."
    train, dev, val = (
        [one.stem for one in read_prints(run / name, again=again)] if (run / name).is_file() else []
        for name in (TRAINED, DEVELOPED, VALIDATED)
    )
    return Sides(train + dev, val)


def _refuse_shared(both: set[str], what: str) -> None:
    if both:
        raise SpecError(f"The split files share {len(both)} {what}(s): {listed(sorted(both))}.")


def _refuse_empty(sides: Sides, remedy: str) -> None:
    for name, side in (("training", sides.train), ("validation", sides.val)):
        if not side:
            raise SpecError(f"The split leaves no {name} frame of {len(sides.all)}. {remedy}")


def _share(seed: int, unit: str) -> float:
    """A number in [0, 1) that depends on the seed and the unit alone."""
    digest = hashlib.sha256(f"{seed}/{unit}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
