"""Training frames and masks: found, split, checked and held in memory at the network's size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightawnet_edge.data.frames import MASK_THRESHOLD, read_frame, read_mask_values
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.preprocess import resize
from lightawnet_edge.specs import ColorOrder, Size
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.pairs import Pair, find_pairs, listed, refuse, split

RINGING = 48
"""A mask value this close to 0 or 255 may be JPEG ringing: masks of Kvasir-SEG ring no further."""
MAX_BETWEEN = 0.02
"""Share of pixels that may lie between: soft edges of a mask that was resized once."""
MAX_LABELS = 8
"""A mask with this few levels is no photograph of a mask: levels between are labels."""


class FrameSet(Dataset[tuple[Tensor, Tensor, int]]):
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

    def at(self, size: Size) -> FrameSet:
        """The same frames and masks, resized from the size that they are held in."""
        if size == Size(*self.images.shape[2:]):
            return self
        images = [resize(x[None].float(), size)[0].round_().to(torch.uint8) for x in self.images]
        masks = [_binary(x, size) for x in self.masks]
        return FrameSet(self.stems, torch.stack(images), torch.stack(masks), self.digests)

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


def load(config: TrainConfig) -> tuple[FrameSet, FrameSet]:
    """Read the training and the validation set, and refuse data that cannot be trained on.

    Raises:
        ArtifactError: Missing, unreadable or unfit files; names the first of them.
        SpecError: The split leaves nothing to train or to validate on, or both share a frame.
    """
    train, val = split(find_pairs(config.data), config)
    problems: list[str] = []
    sets = [_read_set(pairs, config, problems) for pairs in (train, val)]
    refuse(problems, f"Data set '{config.data}'")
    _check_overlap(*sets)
    _check_classes(sets[0], "training")
    _check_classes(sets[1], "validation")
    return sets[0], sets[1]


def mask_problem(values: NDArray[np.uint8]) -> str | None:
    """Say what keeps a mask (H, W) from being binary, or None; an empty mask is binary.

    JPEG masks ring, and resized ones have soft edges: values within RINGING of 0 and 255 pass, and
    so does a share of MAX_BETWEEN of the pixels between. A label map gives itself away by few
    levels, some of them between; a mask of 0 and 1 by a brightest value that `frames.read_mask`
    takes for background.
    """
    levels = np.unique(values)
    top = int(levels[-1])
    if 0 < top <= MASK_THRESHOLD:
        return f"its brightest value is {top}, foreground is 255"
    between = (values > RINGING) & (values < 255 - RINGING)
    if between.any() and len(levels) <= MAX_LABELS:
        return f"its values are {', '.join(str(level) for level in levels)}, expected 0 and 255"
    if (share := float(between.mean())) > MAX_BETWEEN:
        return f"{share:.1%} of its values lie between {RINGING} and {255 - RINGING}"
    return None


@dataclass(frozen=True, slots=True)
class _Read:
    """A pair as it was read."""

    stem: str
    image: Tensor
    mask: Tensor
    digest: str


def _read_set(pairs: Sequence[Pair], config: TrainConfig, problems: list[str]) -> FrameSet:
    """Read pairs; what is wrong with one is added to `problems`, and the pair is left out."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda pair: _read_pair(pair, config), pairs))
    problems += [result for result in results if isinstance(result, str)]
    found = [result for result in results if isinstance(result, _Read)]
    nothing = torch.empty(0, dtype=torch.uint8)
    return FrameSet(
        [pair.stem for pair in found],
        torch.stack([pair.image for pair in found]) if found else nothing,
        torch.stack([pair.mask for pair in found]) if found else nothing,
        [pair.digest for pair in found],
    )


def _read_pair(pair: Pair, config: TrainConfig) -> _Read | str:
    """Read one pair, or say what is wrong with it."""
    color = ColorOrder.RGB if config.in_channels == 3 else ColorOrder.GRAY
    try:
        frame, mask = read_frame(pair.image, color), read_mask_values(pair.mask)
    except ArtifactError as error:
        return str(error).rstrip(".")
    if problem := _pair_problem(pair, frame, mask):
        return problem
    return _Read(
        pair.stem,
        _frame_tensor(frame, config.size),
        _mask_tensor(mask, config.size),
        hashlib.sha256(str(frame.shape).encode() + frame.tobytes()).hexdigest(),
    )


def _pair_problem(pair: Pair, frame: NDArray[np.uint8], mask: NDArray[np.uint8]) -> str | None:
    if frame.shape[:2] != mask.shape:
        sizes = [Size(*array.shape[:2]) for array in (frame, mask)]
        return f"'{pair.image}' is {sizes[0]}, its mask '{pair.mask}' is {sizes[1]}"
    problem = mask_problem(mask)
    return problem and f"mask '{pair.mask}' is not binary: {problem}"


def _frame_tensor(frame: NDArray[np.uint8], size: Size) -> Tensor:
    """Resize as the device graph does; rounding to 8 bits costs at most half a grey level."""
    x = torch.from_numpy(frame).float()
    x = x.permute(2, 0, 1) if frame.ndim == 3 else x[None]
    return resize(x[None], size)[0].round_().to(torch.uint8)


def _mask_tensor(mask: NDArray[np.uint8], size: Size) -> Tensor:
    """A pixel is foreground where at least half of what it covers is."""
    return _binary(torch.from_numpy(mask > MASK_THRESHOLD)[None], size)


def _binary(mask: Tensor, size: Size) -> Tensor:
    return (resize(mask[None].float(), size)[0] >= 0.5).to(torch.uint8)


def _check_overlap(train: FrameSet, val: FrameSet) -> None:
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


def _check_classes(frames: FrameSet, name: str) -> None:
    for value, what, expected in ((1, "foreground", "255"), (0, "background", "0")):
        if not bool((frames.masks == value).any()):
            raise ArtifactError(
                f"No {name} mask of {len(frames)} has a {what} pixel ({expected}): there is "
                "nothing to tell apart. Check that the masks belong to these frames."
            )
