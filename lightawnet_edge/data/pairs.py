"""Frames with their truth: images and masks of equal stems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.data.pixels import UInt8, fit, fit_mask
from lightawnet_edge.data.splits import split_stems
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import ColorOrder, Size


@dataclass(frozen=True, slots=True)
class Pair:
    """An image file and the file of its mask."""

    name: str
    image: Path
    mask: Path

    def read(self, color: ColorOrder) -> tuple[UInt8, NDArray[np.bool_]]:
        """Read frame and truth.

        Raises:
            ArtifactError: One of them cannot be read, or their sizes differ.
        """
        frame, truth = read_frame(self.image, color), read_mask(self.mask)
        if frame.shape[:2] != truth.shape:
            sizes = Size(*frame.shape[:2]), Size(*truth.shape)
            raise ArtifactError(f"'{self.image.name}' is {sizes[0]}, its mask is {sizes[1]}")
        return frame, truth


def find_pairs(folder: Path, split: Path | None, limit: int | None) -> list[Pair]:
    """Pair the files of `images/` and `masks/` by their stems, in the order of the names.

    Args:
        folder: Holds `images` and `masks`.
        split: Text file with one stem a line, as `splits.read_split` reads it; None takes all.
        limit: Take this many, evenly spaced: sorted names often go by clinic or clip.

    Raises:
        ArtifactError: A folder or a mask is missing, or the split names an unknown image.
        SpecError: No image is left.
    """
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            raise ArtifactError(
                f"'{folder}' has no folder '{name}'. Give a folder that has 'images' and 'masks', "
                "whose files have equal names, with --data DIR."
            )
    images, masks = image_files(folder / "images"), image_files(folder / "masks")
    names = list(images) if split is None else split_stems(split, images)
    if not names:
        raise SpecError(
            f"No image in '{folder / 'images'}'. Give a folder of frames with --data DIR."
        )
    for name in names:
        if name not in masks:
            raise ArtifactError(
                f"Image '{images[name]}' has no mask: expected '{name}.png' or the like in "
                f"'{folder / 'masks'}'. Add it, or name the frames to use with --split FILE."
            )
    if limit is not None and limit < len(names):
        names = [names[index] for index in spaced(len(names), limit)]
    return [Pair(name, images[name], masks[name]) for name in names]


def spaced(count: int, limit: int) -> list[int]:
    """At most `limit` indices below `count`, ascending, evenly spaced."""
    return (
        [int((index + 0.5) * count / limit) for index in range(limit)]
        if limit < count
        else [*range(count)]
    )


def at_size(frame: UInt8, truth: NDArray[np.bool_], size: Size) -> tuple[UInt8, NDArray[np.bool_]]:
    """Stretch a frame and its truth to the frame size of an engine."""
    return fit(frame, size), fit_mask(truth, size)
