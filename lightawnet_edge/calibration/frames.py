"""The calibration set: real frames that set routing and scales, and the digest that names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.bundle.manifest import Source
from lightawnet_edge.calibration.record import RECORD, SetRecord, read_record
from lightawnet_edge.data.frameset import FrameFile, FrameSet
from lightawnet_edge.data.likeness import FramePrint
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.pixels import Mask, UInt8
from lightawnet_edge.data.samples import CALIBRATION
from lightawnet_edge.errors import SpecError
from lightawnet_edge.progress import Narrate, OnStep
from lightawnet_edge.specs import Size

PACKAGED = "packaged samples"


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Frames of a folder in the order of their names, or of their choice, under a digest."""

    source: Source
    listed: FrameSet
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
        listed = _listed(root) if record is None else _designed(root, record)
        name = PACKAGED if folder is None else root.resolve().name
        return cls(Source(name=name, sha256=listed.digest(), frames=len(listed)), listed, record)

    def __len__(self) -> int:
        return len(self.listed)

    def prints(self, on_step: OnStep | None = None) -> tuple[FramePrint, ...]:
        """What the frames are recognized by; those of a designed set stand in its record.

        Raises:
            ArtifactError: A frame cannot be read; names the first.
        """
        return self.listed.prints(on_step) if self.record is None else self.record.prints

    @property
    def has_masks(self) -> bool:
        """Whether there are masks.

        Raises:
            ArtifactError: Some frames have one, and others have not.
        """
        return self.listed.has_masks

    def frames(self, camera: Camera) -> Iterator[UInt8]:
        """Yield each image as a camera would give it."""
        return self.listed.frames(camera)

    def truths(self, size: Size) -> Iterator[Mask]:
        """Yield the mask of each image, fitted as its frame is; nothing where there are none."""
        return self.listed.truths(size)

    def every(self, step: int, start: int) -> CalibrationSet:
        """Every `step`th frame from `start` on."""
        return self.only(range(start, len(self), step))

    def only(self, indices: Iterable[int]) -> CalibrationSet:
        """Some of the frames, in this order."""
        files = tuple(self.listed.files[index] for index in indices)
        return replace(self, listed=replace(self.listed, files=files))


def tell_of(frames: CalibrationSet, narrate: Narrate, *, masks: bool) -> None:
    """Say what lies beside these frames and is not used, and what is to be doubted of masks."""
    doubts = frames.listed.mask_doubts() if masks else []
    for text in (*describe_unused(frames.listed.unused), *doubts):
        narrate(text)


def _listed(root: Path) -> FrameSet:
    try:
        return FrameSet.open(root)
    except SpecError as error:
        raise SpecError(
            f"No image in '{root}', and random data is never used instead. Give a folder of "
            "real frames, or leave it out to use the packaged ones."
        ) from error


def _designed(root: Path, record: SetRecord) -> FrameSet:
    files = (
        FrameFile(one.print.stem, root / one.image, root / one.mask if one.mask else None)
        for one in record.frames
    )
    return FrameSet(root, tuple(files))
