"""Training frames and masks: found, split, checked and held in memory at the network's size."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightawnet_edge.data.faults import counted, listed, refuse
from lightawnet_edge.data.frameset import FrameFile, FrameSet, read_each
from lightawnet_edge.data.likeness import FramePrint, find_matches, print_frame
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.masks import Extent, doubt_inverted, extent
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.data.splits import split_stems
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.preprocess import resize
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import ColorOrder, Size
from lightawnet_edge.training.config import MoreData, TrainConfig
from lightawnet_edge.training.split import (
    Sides,
    dev_stems,
    drawn_sides,
    kept_sides,
    named_sides,
    units_of,
)


class TrainingSet(Dataset[tuple[Tensor, Tensor, int]]):
    """Frames and masks at the network's size, held in memory as uint8."""

    def __init__(self, prints: Sequence[FramePrint], images: Tensor, masks: Tensor) -> None:
        """`images` is (N, C, H, W), `masks` (N, 1, H, W) of 0 and 1, both uint8."""
        self.prints = tuple(prints)
        self.images = images
        self.masks = masks

    def __len__(self) -> int:
        return len(self.prints)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        """Frame, mask and the index as it came: see `EpochSampler`."""
        frame = index % len(self)
        return self.images[frame], self.masks[frame], index

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the frames."""
        return tuple(one.stem for one in self.prints)

    def at(self, size: Size) -> TrainingSet:
        """The same frames and masks, resized from the size that they are held in."""
        if size == Size(*self.images.shape[2:]):
            return self
        images = [resize(x[None].float(), size)[0].round_().to(torch.uint8) for x in self.images]
        masks = [_binary(x, size) for x in self.masks]
        return TrainingSet(self.prints, torch.stack(images), torch.stack(masks))

    def fingerprint(self) -> str:
        """SHA-256 of names, frames and masks: equal sets train equally."""
        pixels = (one.pixels_sha256 for one in self.prints)
        digest = hashlib.sha256("\n".join((*self.stems, *pixels)).encode())
        digest.update(np.packbits(self.masks.numpy()).tobytes())
        return digest.hexdigest()


class EpochSampler(Sampler[int]):
    """Indices in an order that is a pure function of the seed and the epoch.

    An index of `length` or more is a frame's next showing in the epoch: the same frame modulo
    `length`, changed by numbers of its own.
    """

    def __init__(self, length: int, seed: int, parts: Sequence[Part] = ()) -> None:
        """`epoch` is set by the trainer before each pass; without `parts` each frame comes once."""
        self.length = length
        self.seed = seed
        self.parts = tuple(parts) or (Part(length, 1.0),)
        self.epoch = 0

    def __len__(self) -> int:
        return sum(part.shown for part in self.parts)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        if all(part.weight == 1 for part in self.parts):
            return iter(random.permutation(self.length).tolist())
        return iter(random.permutation(np.concatenate(list(self._drawn(random)))).tolist())

    def _drawn(self, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        first = 0
        for part in self.parts:
            whole, rest = divmod(part.shown, part.frames)
            for showing in range(whole + 1):
                count = part.frames if showing < whole else rest
                yield first + random.permutation(part.frames)[:count] + showing * self.length
            first += part.frames


@dataclass(frozen=True, slots=True)
class Part:
    """Training frames of one folder, which stand together, and how often each is shown."""

    frames: int
    weight: float

    @property
    def shown(self) -> int:
        """Frames of an epoch that come from here."""
        return max(1, round(self.frames * self.weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """Frames of a run, by what they are for; no frame is in two of them."""

    train: TrainingSet
    """All folders, one after the other."""
    parts: tuple[Part, ...]
    """Of the training frames, in their order."""
    val: TrainingSet
    dev: TrainingSet | None = None
    """Training frames that are held out to choose the best epoch on; None: the choice is made on
    the validation frames."""

    @property
    def judge(self) -> TrainingSet:
        """What every epoch is scored on."""
        return self.dev or self.val

    def fingerprint(self) -> str:
        """What all frames and masks are told apart by."""
        sets = [one for one in (self.train, self.val, self.dev) if one is not None]
        return " ".join(one.fingerprint() for one in sets)


def load(config: TrainConfig, narrate: Narrate = lambda _: None, *, resumed: bool = False) -> Sets:
    """Read the frames of a run: those to train on, to validate on, and to choose on.

    Args:
        config: Names the data and their split.
        narrate: Told what lies in the folder and is not used, how the frames were split, and what
            is to be doubted.
        resumed: Whether the run's folder holds its state: a split that it drew stays as it is.

    Raises:
        ArtifactError: Missing, unreadable or unfit files; names all of them.
        SpecError: The split leaves nothing to train or to validate on, or both share a frame.
    """
    read, sides = _main_folder(config, narrate, resumed=resumed)
    held, val = (_chosen(read, side) for side in (sides.train, sides.val))
    units = units_of([one.print for one in held], config) if config.dev_fraction else {}
    slice_ = dev_stems(units, config, narrate)
    folders = [[one for one in held if one.print.stem not in slice_]]
    folders += [_further(more, config, narrate) for more in config.more]
    weights = (config.weight, *(more.weight for more in config.more))
    sets = Sets(
        train=_held([one for folder in folders for one in folder]),
        parts=tuple(Part(len(f), w) for f, w in zip(folders, weights, strict=True)),
        val=_held(val),
        dev=_held([one for one in held if one.print.stem in slice_]) if slice_ else None,
    )
    _check_overlap(sets.train, sets.val, narrate)
    if sets.dev is not None:
        _check_overlap(sets.dev, sets.val, narrate)
        _check_overlap(sets.train, sets.dev, narrate, "development")
    _check_classes(sets.train, "training")
    _check_classes(sets.val, "validation")
    return sets


def _main_folder(
    config: TrainConfig, narrate: Narrate, *, resumed: bool
) -> tuple[list[_Read], Sides]:
    """Pairs of the folder that is validated on, and their sides."""
    frames = _open(config.data, narrate)
    sides = named_sides([file.stem for file in frames.files], config)
    if sides is None and resumed:
        sides = _of_main_folder(kept_sides(config.out))
    read = _read_all(_files_of(frames, sides, narrate), config, config.data)
    if doubt := doubt_inverted([one.extent for one in read]):
        narrate(doubt)
    if sides is None:
        prints = [one.print for one in read]
        # A run that an earlier version began drew frames, each by itself.
        units = {p.stem: p.stem for p in prints} if resumed else units_of(prints, config)
        sides = drawn_sides(units, config, narrate)
    return read, sides


def _of_main_folder(sides: Sides | None) -> Sides | None:
    """Sides without the frames of further folders, whose names alone have a slash."""
    if sides is None:
        return None
    return Sides([stem for stem in sides.train if "/" not in stem], sides.val)


def _further(more: MoreData, config: TrainConfig, narrate: Narrate) -> list[_Read]:
    """Pairs of a further folder, named after it: two folders may use one name."""
    frames = _open(more.data, narrate)
    files = frames.files
    if more.split is not None:
        asked = set(split_stems(more.split, {file.stem for file in files}))
        files = tuple(file for file in files if file.stem in asked)
    read = _read_all(files, config, more.data)
    if doubt := doubt_inverted([one.extent for one in read]):
        narrate(doubt)
    return [replace(one, print=_named(one.print, more.data.name)) for one in read]


def _named(one: FramePrint, folder: str) -> FramePrint:
    return replace(one, stem=f"{folder}/{one.stem}")


def _open(folder: Path, narrate: Narrate) -> FrameSet:
    frames = FrameSet.open(folder, masks=True)
    for text in describe_unused(frames.unused):
        narrate(text)
    return frames


@dataclass(frozen=True, slots=True)
class _Read:
    """A pair as it was read."""

    print: FramePrint
    image: Tensor
    mask: Tensor
    extent: Extent


def _files_of(frames: FrameSet, sides: Sides | None, narrate: Narrate) -> Sequence[FrameFile]:
    """Frames of the split; all where it is to be drawn yet."""
    if sides is None:
        return frames.files
    asked = sides.all
    found = [file for file in frames.files if file.stem in asked]
    missing = sorted(asked - {file.stem for file in found})
    refuse([f"the run's frame '{stem}' is missing" for stem in missing], f"'{frames.folder}'")
    if left := len(frames) - len(found):
        narrate(f"not used of '{frames.folder.name}': {counted(left, 'frame')} that no side names")
    return found


def _read_all(files: Sequence[FrameFile], config: TrainConfig, folder: Path) -> list[_Read]:
    """Read pairs.

    Raises:
        ArtifactError: Names all that cannot be read or used.
    """
    read: list[_Read] = []
    problems: list[str] = []
    for found in read_each(files, partial(_read_pair, config)):
        if isinstance(found, _Read):
            read.append(found)
        else:
            problems.append(found)
    refuse(problems, f"Data set '{folder}'")
    return read


def _chosen(read: Sequence[_Read], side: Collection[str]) -> list[_Read]:
    stems = set(side)
    return [one for one in read if one.print.stem in stems]


def _held(read: Sequence[_Read]) -> TrainingSet:
    return TrainingSet(
        [one.print for one in read],
        torch.stack([one.image for one in read]),
        torch.stack([one.mask for one in read]),
    )


def _read_pair(config: TrainConfig, file: FrameFile) -> _Read | str:
    """Read one pair, or say what is wrong with it."""
    color = ColorOrder.RGB if config.in_channels == 3 else ColorOrder.GRAY
    try:
        frame, mask = file.read_pair(color)
    except ArtifactError as error:
        return str(error).rstrip(".")
    return _Read(
        print_frame(file.stem, frame),
        _frame_tensor(frame, config.size),
        _binary(torch.from_numpy(mask)[None], config.size),
        extent(mask),
    )


def _frame_tensor(frame: UInt8, size: Size) -> Tensor:
    """Resize as the device graph does; rounding to 8 bits costs at most half a grey level."""
    x = torch.from_numpy(frame).float()
    x = x.permute(2, 0, 1) if frame.ndim == 3 else x[None]
    return resize(x[None], size)[0].round_().to(torch.uint8)


def _binary(mask: Tensor, size: Size) -> Tensor:
    """A pixel is foreground where at least half of what it covers is."""
    return (resize(mask[None].float(), size)[0] >= 0.5).to(torch.uint8)


def _check_overlap(
    train: TrainingSet, val: TrainingSet, narrate: Narrate, name: str = "validation"
) -> None:
    matches = find_matches(val.prints, train.prints)
    if copies := [f"{one.stem} = {one.other}" for one in matches if one.same_pixels]:
        raise SpecError(
            f"{len(copies)} {name} frame(s) have the same pixels as a training frame: "
            f"{listed(copies)}. Remove them from one side."
        )
    if matches:
        narrate(
            f"{len(matches)} of {counted(len(val), f'{name} frame')} nearly show the picture of "
            f"a training frame, so their scores flatter: {listed([str(one) for one in matches])}"
        )


def _check_classes(frames: TrainingSet, name: str) -> None:
    for value, what, expected in ((1, "foreground", "255"), (0, "background", "0")):
        if not bool((frames.masks == value).any()):
            raise ArtifactError(
                f"No {name} mask of {len(frames)} has a {what} pixel ({expected}): there is "
                "nothing to tell apart. Check that the masks belong to these frames."
            )
