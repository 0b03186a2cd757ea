"""The calibration set: real frames that set routing and scales, and the digest that names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.bundle import Source, digest_of, sha256_of
from lightawnet_edge.errors import SpecError
from lightawnet_edge.frames import UInt8, fit, image_files, read_frame
from lightawnet_edge.samples import CALIBRATION
from lightawnet_edge.specs import ColorOrder, Size

PACKAGED = "packaged samples"


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Image files of a folder, in the order of their names; read one at a time."""

    source: Source
    files: tuple[Path, ...]

    @classmethod
    def open(cls, folder: Path | None) -> CalibrationSet:
        """List a folder of images, or one with a folder `images`; None takes the packaged samples.

        The digest depends on the bytes of the images alone, not on their names or their order.

        Raises:
            ArtifactError: There is no such folder.
            SpecError: The folder holds no image. Random data is never used instead.
        """
        root = CALIBRATION if folder is None else folder
        images = root / "images" if (root / "images").is_dir() else root
        files = tuple(image_files(images).values())
        if not files:
            raise SpecError(
                f"No image in '{images}', and scales are never calibrated on random data. Give a "
                "folder of real frames with --calibration DIR, or leave it out to use the packaged "
                "samples."
            )
        digest = digest_of({"files": sorted(sha256_of(file) for file in files)})
        name = PACKAGED if folder is None else root.resolve().name
        return cls(Source(name=name, sha256=digest, frames=len(files)), files)

    def frames(self, size: Size, color: ColorOrder) -> Iterator[UInt8]:
        """Yield each image as a camera of this size and color order would give it."""
        for file in self.files:
            yield fit(read_frame(file, color), size)
