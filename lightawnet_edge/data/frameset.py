"""THE list of frames: what training, calibration, checks, benchmarks and evaluation read.

A folder has `images`, and `masks` with equal stems where there is a truth; or it is a plain folder
of images. What lies there and is not used is told, what cannot be used is refused, and every
command reads a frame and its mask by the same rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.bundle.store import digest_of, sha256_of
from lightawnet_edge.data.faults import printable, refuse
from lightawnet_edge.data.images import read_frame, read_size
from lightawnet_edge.data.likeness import FramePrint, print_frame
from lightawnet_edge.data.listing import Listing, Unused, beside, list_folder
from lightawnet_edge.data.masks import Extent, doubt_inverted, extent, read_mask
from lightawnet_edge.data.pixels import Mask, UInt8, fit_mask
from lightawnet_edge.data.splits import read_groups, split_stems
from lightawnet_edge.data.yuv import seen_by
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.machine.machine import default_threads
from lightawnet_edge.progress import OnStep, Step
from lightawnet_edge.specs import ColorOrder, Size

IMAGES, MASKS = "images", "masks"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FrameFile:
    """An image on disk, and its mask where there is one."""

    stem: str
    image: Path
    mask: Path | None = None

    def read(self, color: ColorOrder = ColorOrder.RGB) -> UInt8:
        """Read the frame; one that its file wants turned is refused where it has a mask.

        Raises:
            ArtifactError: It cannot be read.
        """
        return read_frame(self.image, color, turn=self.mask is None)

    def read_truth(self) -> Mask:
        """Read the mask.

        Raises:
            ArtifactError: There is none, it cannot be read, or has another size than its frame.
        """
        return self._truth_of(read_size(self.image))

    def read_pair(self, color: ColorOrder = ColorOrder.RGB) -> tuple[UInt8, Mask]:
        """Read frame and truth.

        Raises:
            ArtifactError: One of them cannot be read, or their sizes differ.
        """
        frame = self.read(color)
        return frame, self._truth_of(Size(*frame.shape[:2]))

    def seen_by(self, camera: Camera) -> UInt8:
        """Read the frame as a camera would give it.

        Raises:
            ArtifactError: It cannot be read.
        """
        return seen_by(camera, self.read(camera.color))

    def pair_seen_by(self, camera: Camera) -> tuple[UInt8, Mask]:
        """Read the frame as a camera would give it, and the truth at the camera's size.

        Raises:
            ArtifactError: One of them cannot be read, or their sizes differ.
        """
        frame, truth = self.read_pair(camera.color)
        return seen_by(camera, frame), fit_mask(truth, camera.size)

    def _truth_of(self, size: Size) -> Mask:
        """Read the mask of a frame of this size."""
        if self.mask is None:
            raise ArtifactError(f"'{self.image}' has no mask.")
        truth = read_mask(self.mask)
        if truth.shape != (size.height, size.width):
            raise ArtifactError(
                f"'{self.image}' is {size}, its mask '{self.mask}' is {Size(*truth.shape)}."
            )
        return truth


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Frames in the order of their names, or of a split; read one by one."""

    folder: Path
    files: tuple[FrameFile, ...]
    unused: tuple[Unused, ...] = ()
    """What lies in the folder and is not read; what a split leaves out is not counted."""

    def __len__(self) -> int:
        return len(self.files)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        masks: bool = False,
        split: Path | None = None,
        limit: int | None = None,
    ) -> FrameSet:
        """List the frames of a folder.

        Args:
            folder: Holds `images` and `masks`; or, where no masks are needed, images.
            masks: Whether every frame needs a mask. Otherwise a frame has one where there is one.
            split: Text file with the frames to use, a name a line; None takes all.
            limit: Take this many, evenly spaced: sorted names often go by clinic or clip.

        Raises:
            ArtifactError: A folder is missing; a frame has no mask, or a name that cannot be used;
                the split names unknown frames. Names all of them.
            SpecError: No image is left.
        """
        _check_folders(folder, masks=masks)
        images, truths = _listings(folder)
        if masks and images.images and not images.images.keys() & truths.images.keys():
            raise ArtifactError(
                f"No pairs in '{folder}': {len(images.images)} images and {len(truths.images)} "
                f"masks, and no two with equal stems. Expected {IMAGES}/NAME.jpg beside "
                f"{MASKS}/NAME.png (or .jpg, .npy)."
            )
        stems = list(images.images) if split is None else split_stems(split, images.images)
        if not stems:
            raise SpecError(
                f"No image in '{folder}'. Give a folder of frames, or one that has '{IMAGES}' and "
                f"'{MASKS}' in it."
            )
        files = [FrameFile(stem, images.images[stem], truths.images.get(stem)) for stem in stems]
        if masks:
            _refuse_without_mask(
                folder, files, "Add it, or name the frames to use with --split FILE."
            )
        if limit is not None:
            files = [files[index] for index in spaced(len(files), limit)]
        return cls(folder, tuple(files), _unused(folder, images, truths))

    @property
    def has_masks(self) -> bool:
        """Whether there are masks.

        Raises:
            ArtifactError: Some frames have one, and others have not.
        """
        if not any(file.mask for file in self.files):
            return False
        _refuse_without_mask(
            self.folder, self.files, "Add it, or leave the whole folder of masks out."
        )
        return True

    def part(self, which: slice) -> FrameSet:
        """Some of the frames."""
        return replace(self, files=self.files[which])

    def groups(self, table: Path) -> Mapping[str, str]:
        """Group of each frame that has one in a CSV file `stem,group`.

        Raises:
            ArtifactError: The file cannot be read.
            SpecError: It names none of the frames.
        """
        known = read_groups(table)
        found = {file.stem: known[file.stem] for file in self.files if file.stem in known}
        if not found:
            raise SpecError(
                f"None of the {len(self)} frames has a group in '{table}': expected stems like "
                f"'{self.files[0].stem}'. Give the groups of these frames with --groups FILE."
            )
        return found

    def digest(self) -> str:
        """Digest of the images: of their bytes alone, not of their names or their order."""
        return digest_of({"files": sorted(sha256_of(file.image) for file in self.files)})

    def masks_digest(self) -> str | None:
        """Digest of the masks, each with its frame; None where there are none.

        Raises:
            ArtifactError: Some frames have one, and others have not.
        """
        if not self.has_masks:
            return None
        pairs = [(file.image, file.mask) for file in self.files if file.mask]
        return digest_of({"pairs": sorted([sha256_of(one), sha256_of(two)] for one, two in pairs)})

    def frames(self, camera: Camera) -> Iterator[UInt8]:
        """Yield each image as a camera would give it."""
        return (file.seen_by(camera) for file in self.files)

    def truths(self, size: Size) -> Iterator[Mask]:
        """Yield the mask of each image, fitted as its frame is; nothing where there are none."""
        if self.has_masks:
            for file in self.files:
                yield fit_mask(file.read_truth(), size)

    def check_pairs(self, color: ColorOrder, on_step: OnStep | None = None) -> list[str]:
        """Read every frame with its mask once, and say what is to be doubted of the whole set.

        Raises:
            ArtifactError: Names all pairs that cannot be read or used.
        """
        problems: list[str] = []
        extents: list[Extent] = []
        for found in read_each(self.files, partial(_checked, color), "checking", on_step):
            if isinstance(found, Extent):
                extents.append(found)
            else:
                problems.append(found)
        refuse(problems, f"Data set '{self.folder}'")
        return [doubt] if (doubt := doubt_inverted(extents)) else []

    def mask_doubts(self) -> list[str]:
        """Say what is to be doubted of the masks as a whole; nothing where there are none.

        Raises:
            ArtifactError: A mask cannot be read, or does not fit its frame; names the first.
        """
        if not self.has_masks:
            return []
        extents = list(read_each(self.files, lambda file: extent(file.read_truth())))
        return [doubt] if (doubt := doubt_inverted(extents)) else []

    def prints(self, on_step: OnStep | None = None) -> tuple[FramePrint, ...]:
        """What the frames are recognized by.

        Raises:
            ArtifactError: A frame cannot be read; names the first.
        """
        return tuple(read_each(self.files, _printed, "looking at frames", on_step))


def read_each(
    files: Sequence[FrameFile],
    read: Callable[[FrameFile], _T],
    stage: str = "",
    on_step: OnStep | None = None,
) -> Iterator[_T]:
    """Read files in threads, for OpenCV decodes beside Python; yield in order, few at a time.

    Args:
        files: What to read.
        read: Called for each file, in some thread; what it raises is raised here.
        stage: What this is, for progress.
        on_step: Hears how many are done, before each and at the end.
    """
    tell = on_step or (lambda _: None)
    threads = default_threads()
    left = iter(files)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(read, file) for file in islice(left, 2 * threads))
        for done in range(len(files)):
            tell(Step(stage, done, len(files)))
            found = waiting.popleft().result()
            waiting.extend(pool.submit(read, file) for file in islice(left, 1))
            yield found
    tell(Step(stage, len(files), len(files)))


def spaced(count: int, limit: int) -> list[int]:
    """At most `limit` indices below `count`, ascending, evenly spaced."""
    if limit >= count:
        return [*range(count)]
    return [int((index + 0.5) * count / limit) for index in range(limit)]


def _refuse_without_mask(folder: Path, files: Sequence[FrameFile], remedy: str) -> None:
    """Refuse frames without a mask; what is wrong with the pairs is told with them."""
    problems = [
        f"image '{file.image}' has no mask: expected '{file.stem}.png' or the like in "
        f"'{folder / MASKS}'"
        for file in files
        if file.mask is None
    ]
    if problems:
        pairs = [file for file in files if file.mask is not None]
        checked = read_each(pairs, partial(_checked, ColorOrder.RGB))
        problems += [found for found in checked if isinstance(found, str)]
    refuse(problems, f"Data set '{folder}'", remedy)


def _printed(file: FrameFile) -> FramePrint:
    return print_frame(file.stem, file.read())


def _checked(color: ColorOrder, file: FrameFile) -> Extent | str:
    """How much of a pair is foreground, or what is wrong with it."""
    try:
        return extent(file.read_pair(color)[1])
    except ArtifactError as error:
        return str(error).rstrip(".")


def _check_folders(folder: Path, *, masks: bool) -> None:
    name = str(folder.resolve())
    if printable(name) != name:
        raise ArtifactError(f"The path of '{printable(name)}' is no UTF-8. Rename the folder.")
    needed = (IMAGES, MASKS) if masks else ()
    if missing := [f"no folder '{name}'" for name in needed if not (folder / name).is_dir()]:
        raise ArtifactError(
            f"'{folder}' has {' and '.join(missing)}. Give a folder that has '{IMAGES}' and "
            f"'{MASKS}', whose files have equal names, with --data DIR."
        )


def _listings(folder: Path) -> tuple[Listing, Listing]:
    """Images of a folder, or of its folder `images`; and the masks beside such a folder."""
    images = folder / IMAGES if (folder / IMAGES).is_dir() else folder
    masks = images.parent / MASKS
    if images.name == IMAGES and masks.is_dir():
        return _both_listed(images, masks)
    return list_folder(images), Listing(images, {}, (), ())


def _both_listed(images: Path, masks: Path) -> tuple[Listing, Listing]:
    """Both listings; where neither can be used, the faults of both are told."""
    try:
        found = list_folder(images)
    except ArtifactError as error:
        try:
            list_folder(masks)
        except ArtifactError as other:
            raise ArtifactError(f"{error} {other}") from error
        raise
    return found, list_folder(masks)


def _unused(folder: Path, images: Listing, masks: Listing) -> tuple[Unused, ...]:
    """What lies there and is neither a frame nor the mask of one."""
    alone = tuple(path.name for stem, path in masks.images.items() if stem not in images.images)
    found = [*images.unused, *masks.unused]
    for listing in (images, masks):
        names = tuple(path.name for path in listing.videos)
        found += [Unused(listing.folder, "video", names)] if names else []
    found += [Unused(masks.folder, "mask without an image", alone)] if alone else []
    if images.folder != folder:
        found += beside(folder, (IMAGES, MASKS))
    return tuple(found)
