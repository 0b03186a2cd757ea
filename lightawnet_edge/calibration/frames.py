"""The calibration set: real frames that set routing and scales, and the digest that names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.manifest import Source
from lightawnet_edge.bundle.store import digest_of, sha256_of
from lightawnet_edge.calibration.record import RECORD, SetRecord, read_record
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.likeness import FramePrint, print_frame
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.data.pixels import UInt8, fit, fit_mask
from lightawnet_edge.data.samples import CALIBRATION
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import ColorOrder, Size

PACKAGED = "packaged samples"


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Image files of a folder in the order of their names, or of their choice; read one by one."""

    source: Source
    files: tuple[Path, ...]
    record: SetRecord | None = None
    """Where the folder is a designed set: what it says of itself."""

    @classmethod
    def open(cls, folder: Path | None) -> CalibrationSet:
        """List a folder of images, or one with a folder `images`; None takes the packaged samples.

        A set that `calibrate` designed is checked against its record. The digest depends on the
        bytes of the images alone, not on their names or their order.

        Raises:
            ArtifactError: There is no such folder, or a designed set has changed.
            SpecError: The folder holds no image. Random data is never used instead.
        """
        root = CALIBRATION if folder is None else folder
        record = read_record(root) if (root / RECORD).is_file() else None
        if record is None:
            files = tuple(frame_files(root).values())
        else:
            files = tuple(root / frame.image for frame in record.frames)
        if not files:
            raise SpecError(
                f"No image in '{root}', and random data is never used instead. Give a folder of "
                "real frames, or leave it out to use the packaged ones."
            )
        digest = digest_of({"files": sorted(sha256_of(file) for file in files)})
        name = PACKAGED if folder is None else root.resolve().name
        return cls(Source(name=name, sha256=digest, frames=len(files)), files, record)

    def prints(self) -> tuple[FramePrint, ...]:
        """What the frames are recognized by; those of a designed set stand in its record."""
        if self.record is not None:
            return self.record.prints
        return tuple(print_frame(file.stem, read_frame(file)) for file in self.files)

    def masks(self) -> tuple[Path, ...] | None:
        """Mask files of the images, from the folder `masks` beside `images`; None without it.

        Raises:
            ArtifactError: An image has no mask there.
        """
        folder = self.files[0].parent.parent / "masks"
        if self.files[0].parent.name != "images" or not folder.is_dir():
            return None
        known = image_files(folder)
        for file in self.files:
            if file.stem not in known:
                raise ArtifactError(
                    f"'{file}' has no mask: expected '{file.stem}.png' or the like in '{folder}'. "
                    "Add it, or leave the whole folder out."
                )
        return tuple(known[file.stem] for file in self.files)

    def frames(self, size: Size, color: ColorOrder) -> Iterator[UInt8]:
        """Yield each image as a camera of this size and color order would give it."""
        for file in self.files:
            yield fit(read_frame(file, color), size)

    def truths(self, size: Size) -> Iterator[NDArray[np.bool_]]:
        """Yield the mask of each image, fitted as its frame is; nothing where there are none."""
        for file in self.masks() or ():
            yield fit_mask(read_mask(file), size)


def frame_files(folder: Path) -> dict[str, Path]:
    """Images of a folder, or of its folder `images` where there is one, by stem.

    Raises:
        ArtifactError: There is no such folder, or two images share a stem.
    """
    images = folder / "images"
    return dict(image_files(images if images.is_dir() else folder))
