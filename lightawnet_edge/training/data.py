"""Training frames and masks: found, split, checked and held in memory at the network's size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightawnet_edge.data.faults import listed, refuse
from lightawnet_edge.data.frameset import FrameFile, FrameSet, read_each
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.masks import Extent, doubt_inverted, extent
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.preprocess import resize
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import ColorOrder, Size
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.split import split


class TrainingSet(Dataset[tuple[Tensor, Tensor, int]]):
    """Frames and masks at the network's size, held in memory as uint8."""

    def __init__(
        self, stems: Sequence[str], images: Tensor, masks: Tensor, digests: Sequence[str]
    ) -> None:
        """`images` is (N, C, H, W), `masks` (N, 1, H, W) of 0 and 1, both uint8."""
        self.stems = tuple(stems)
        self.images = images
        self.masks = masks
        self.digests = tuple(digests)
        """SHA-256 of each frame's decoded pixels at its own size."""

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return self.images[index], self.masks[index], index

    def at(self, size: Size) -> TrainingSet:
        """The same frames and masks, resized from the size that they are held in."""
        if size == Size(*self.images.shape[2:]):
            return self
        images = [resize(x[None].float(), size)[0].round_().to(torch.uint8) for x in self.images]
        masks = [_binary(x, size) for x in self.masks]
        return TrainingSet(self.stems, torch.stack(images), torch.stack(masks), self.digests)

    def fingerprint(self) -> str:
        """SHA-256 of names, frames and masks: equal sets train equally."""
        digest = hashlib.sha256("\n".join((*self.stems, *self.digests)).encode())
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


def load(config: TrainConfig, narrate: Narrate = lambda _: None) -> tuple[TrainingSet, TrainingSet]:
    """Read the training and the validation set, and refuse data that cannot be trained on.

    Args:
        config: Names the data and their split.
        narrate: Told what lies in the folder and is not used, and what is to be doubted.

    Raises:
        ArtifactError: Missing, unreadable or unfit files; names all of them.
        SpecError: The split leaves nothing to train or to validate on, or both share a frame.
    """
    frames = FrameSet.open(config.data, masks=True)
    for text in describe_unused(frames.unused):
        narrate(text)
    sides = split(frames, config)
    problems: list[str] = []
    found = [_read_side(side, config, problems) for side in sides]
    refuse(problems, f"Data set '{config.data}'")
    if doubt := doubt_inverted([one.extent for side in found for one in side]):
        narrate(doubt)
    train, val = (_held(side) for side in found)
    _check_overlap(train, val)
    _check_classes(train, "training")
    _check_classes(val, "validation")
    return train, val


@dataclass(frozen=True, slots=True)
class _Read:
    """A pair as it was read."""

    stem: str
    image: Tensor
    mask: Tensor
    extent: Extent
    digest: str


def _read_side(files: Sequence[FrameFile], config: TrainConfig, problems: list[str]) -> list[_Read]:
    """Read pairs; what is wrong with one is added to `problems`, and the pair is left out."""
    read = []
    for found in read_each(files, partial(_read_pair, config)):
        if isinstance(found, _Read):
            read.append(found)
        else:
            problems.append(found)
    return read


def _held(read: Sequence[_Read]) -> TrainingSet:
    return TrainingSet(
        [one.stem for one in read],
        torch.stack([one.image for one in read]),
        torch.stack([one.mask for one in read]),
        [one.digest for one in read],
    )


def _read_pair(config: TrainConfig, file: FrameFile) -> _Read | str:
    """Read one pair, or say what is wrong with it."""
    color = ColorOrder.RGB if config.in_channels == 3 else ColorOrder.GRAY
    try:
        frame, mask = file.read_pair(color)
    except ArtifactError as error:
        return str(error).rstrip(".")
    return _Read(
        file.stem,
        _frame_tensor(frame, config.size),
        _binary(torch.from_numpy(mask)[None], config.size),
        extent(mask),
        hashlib.sha256(str(frame.shape).encode() + frame.tobytes()).hexdigest(),
    )


def _frame_tensor(frame: UInt8, size: Size) -> Tensor:
    """Resize as the device graph does; rounding to 8 bits costs at most half a grey level."""
    x = torch.from_numpy(frame).float()
    x = x.permute(2, 0, 1) if frame.ndim == 3 else x[None]
    return resize(x[None], size)[0].round_().to(torch.uint8)


def _binary(mask: Tensor, size: Size) -> Tensor:
    """A pixel is foreground where at least half of what it covers is."""
    return (resize(mask[None].float(), size)[0] >= 0.5).to(torch.uint8)


def _check_overlap(train: TrainingSet, val: TrainingSet) -> None:
    in_train = dict(zip(train.digests, train.stems, strict=True))
    shared = [
        f"{stem} = {in_train[digest]}"
        for stem, digest in zip(val.stems, val.digests, strict=True)
        if digest in in_train
    ]
    if shared:
        raise SpecError(
            f"{len(shared)} validation frame(s) have the same pixels as a training frame: "
            f"{listed(shared)}. Remove them from one side."
        )


def _check_classes(frames: TrainingSet, name: str) -> None:
    for value, what, expected in ((1, "foreground", "255"), (0, "background", "0")):
        if not bool((frames.masks == value).any()):
            raise ArtifactError(
                f"No {name} mask of {len(frames)} has a {what} pixel ({expected}): there is "
                "nothing to tell apart. Check that the masks belong to these frames."
            )
