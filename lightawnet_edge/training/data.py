"""Training frames and masks: found, split, checked and held in memory at the network's size."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightawnet_edge.data.faults import counted, listed, refuse
from lightawnet_edge.data.frameset import FrameFile, FrameSet, read_each
from lightawnet_edge.data.likeness import FramePrint, find_matches, print_frame
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.masks import Extent, doubt_inverted, extent
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.preprocess import resize
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import ColorOrder, Size
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.split import Sides, drawn_sides, kept_sides, named_sides, units_of


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
        return self.images[index], self.masks[index], index

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
    """Indices in an order that is a pure function of the seed and the epoch."""

    def __init__(self, length: int, seed: int) -> None:
        """`epoch` is set by the trainer before each pass."""
        self.length = length
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return iter(order.tolist())


def load(
    config: TrainConfig, narrate: Narrate = lambda _: None, *, resumed: bool = False
) -> tuple[TrainingSet, TrainingSet]:
    """Read the training and the validation set, and refuse data that cannot be trained on.

    Args:
        config: Names the data and their split.
        narrate: Told what lies in the folder and is not used, how the frames were split, and what
            is to be doubted.
        resumed: Whether the run's folder holds its state: a split that it drew stays as it is.

    Raises:
        ArtifactError: Missing, unreadable or unfit files; names all of them.
        SpecError: The split leaves nothing to train or to validate on, or both share a frame.
    """
    frames = FrameSet.open(config.data, masks=True)
    for text in describe_unused(frames.unused):
        narrate(text)
    sides = named_sides([file.stem for file in frames.files], config)
    if sides is None and resumed:
        sides = kept_sides(config.out)
    read = _read_all(_files_of(frames, sides, narrate), config)
    if doubt := doubt_inverted([one.extent for one in read]):
        narrate(doubt)
    if sides is None:
        prints = [one.print for one in read]
        # A run that an earlier version began drew frames, each by itself.
        units = {p.stem: p.stem for p in prints} if resumed else units_of(prints, config)
        sides = drawn_sides(units, config, narrate)
    train, val = (_held(read, side) for side in (sides.train, sides.val))
    _check_overlap(train, val, narrate)
    _check_classes(train, "training")
    _check_classes(val, "validation")
    return train, val


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


def _read_all(files: Sequence[FrameFile], config: TrainConfig) -> list[_Read]:
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
    refuse(problems, f"Data set '{config.data}'")
    return read


def _held(read: Sequence[_Read], side: Collection[str]) -> TrainingSet:
    stems = set(side)
    found = [one for one in read if one.print.stem in stems]
    return TrainingSet(
        [one.print for one in found],
        torch.stack([one.image for one in found]),
        torch.stack([one.mask for one in found]),
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


def _check_overlap(train: TrainingSet, val: TrainingSet, narrate: Narrate) -> None:
    matches = find_matches(val.prints, train.prints)
    if copies := [f"{one.stem} = {one.other}" for one in matches if one.same_pixels]:
        raise SpecError(
            f"{len(copies)} validation frame(s) have the same pixels as a training frame: "
            f"{listed(copies)}. Remove them from one side."
        )
    if matches:
        narrate(
            f"{len(matches)} of {counted(len(val), 'validation frame')} nearly show the picture of "
            f"a training frame, so their scores flatter: {listed([str(one) for one in matches])}"
        )


def _check_classes(frames: TrainingSet, name: str) -> None:
    for value, what, expected in ((1, "foreground", "255"), (0, "background", "0")):
        if not bool((frames.masks == value).any()):
            raise ArtifactError(
                f"No {name} mask of {len(frames)} has a {what} pixel ({expected}): there is "
                "nothing to tell apart. Check that the masks belong to these frames."
            )
