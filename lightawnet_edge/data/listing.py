"""What lies in a folder: images, videos, and what is neither, which is never passed over silently.

A file with the suffix of an image is one, and a fault where its content is not. Other files are
what their first bytes say.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.data.faults import counted, listed, printable, refuse
from lightawnet_edge.data.formats import Kind, format_of
from lightawnet_edge.errors import ArtifactError, SpecError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".npy"}
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"}
)
_SHOWN = 3
"""Names given as examples of what is not used."""
_IMAGE, _VIDEO, _FOLDER = "image", "video", "folder"


@dataclass(frozen=True, slots=True)
class Unused:
    """Entries of a folder that nobody reads, for one reason."""

    folder: Path
    what: str
    """What they are, one of them: `folder`, `mask without an image`."""
    names: tuple[str, ...]

    def __str__(self) -> str:
        # "mask without an image" becomes "masks without an image"
        noun, _, rest = self.what.partition(" without ")
        many = f"{noun}s without {rest}" if rest else f"{noun}s"
        shown = listed([printable(name) for name in self.names], shown=_SHOWN)
        return f"{counted(len(self.names), self.what, many)} ({shown})"


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a folder."""

    folder: Path
    images: Mapping[str, Path]
    """By stem, in the order of their names."""
    videos: tuple[Path, ...]
    unused: tuple[Unused, ...]
    """Entries that are neither."""


def list_folder(folder: Path) -> Listing:
    """List a folder, without the folders in it.

    Raises:
        ArtifactError: The folder is missing or cannot be read. Or the names of its images are no
            names for results: no UTF-8, a stem that two share, or that differs in case alone.
    """
    found = defaultdict[str, list[str]](list)
    for entry in _entries(folder):
        found[_what(entry)].append(entry.name)
    images, videos = found.pop(_IMAGE, []), found.pop(_VIDEO, [])
    refuse(_name_problems(folder, images), f"Folder '{folder}'")
    return Listing(
        folder,
        {Path(name).stem: folder / name for name in images},
        tuple(folder / name for name in videos),
        tuple(Unused(folder, what, tuple(names)) for what, names in sorted(found.items())),
    )


def beside(folder: Path, used: Collection[str]) -> list[Unused]:
    """Images, videos and folders in a folder of which only the folders `used` are read."""
    found = defaultdict[str, list[str]](list)
    for entry in _entries(folder):
        if entry.name not in used:
            found[_what(entry)].append(entry.name)
    return [
        Unused(folder, what, tuple(found[what]))
        for what in (_IMAGE, _VIDEO, _FOLDER)
        if what in found
    ]


def image_files(folder: Path) -> Mapping[str, Path]:
    """Images of a folder by their stem, in the order of their names.

    Raises:
        ArtifactError: As `list_folder` does.
    """
    return list_folder(folder).images


def is_video(path: Path) -> bool:
    """Whether a file is a video: by its content, and by its suffix where that shows nothing."""
    found = format_of(path)
    return path.suffix.lower() in VIDEO_SUFFIXES if found is None else found.kind is Kind.VIDEO


_RECORDS = ("manifest.json", "calibration-set.json", "weights.json")
"""Of a bundle, which takes no stranger, of a calibration set, and of a training run."""


def refuse_among(out: Path, folders: Collection[Path], what: str) -> None:
    """Refuse to write `what` into a folder that frames are read from, or that a record is about.

    Raises:
        SpecError: `out` is one of the folders, a bundle, a calibration set or a run.
    """
    if found := [name for name in _RECORDS if (out / name).is_file()]:
        raise SpecError(
            f"'{out}' holds a {found[0]}, which is about all that lies there: {what} would spoil "
            "it. Choose another --out."
        )
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise SpecError(
            f"'{out}' is the folder of the frames: {what} would lie among them, and be taken for "
            "frames the next time. Choose another --out."
        )


def describe_unused(unused: Sequence[Unused]) -> list[str]:
    """Say what lies in data folders and is not used, a sentence a folder."""
    by_folder = defaultdict[Path, list[Unused]](list)
    for one in unused:
        by_folder[one.folder].append(one)
    return [
        f"not used of '{printable(folder.name)}': {', '.join(str(one) for one in found)}"
        for folder, found in by_folder.items()
    ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        raise ArtifactError(f"No folder '{folder}'.")
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ArtifactError(f"Folder '{folder}' cannot be read: {error.strerror}.") from error


def _what(entry: os.DirEntry[str]) -> str:
    if entry.name.startswith("."):
        return "hidden entry"
    if entry.is_dir():
        return _FOLDER
    if not entry.is_file():
        return "broken link or special file"
    suffix = Path(entry.name).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return _IMAGE
    if suffix in VIDEO_SUFFIXES:
        return _VIDEO
    found = format_of(Path(entry.path))
    if found is None:
        return "other file"
    names = {Kind.IMAGE: _IMAGE, Kind.VIDEO: _VIDEO, Kind.OTHER: f"{found.name} file"}
    return names[found.kind]


def _name_problems(folder: Path, names: Sequence[str]) -> list[str]:
    """Say which names cannot stand beside each other, or in a record."""
    problems = []
    stems = dict[str, str]()
    for name in names:
        if printable(name) != name:
            problems.append(f"the name of '{printable(name)}' is no UTF-8, rename it")
        stem = Path(name).stem
        other = stems.setdefault(stem.casefold(), name)
        if other != name:
            how = "share a stem" if Path(other).stem == stem else "differ in case alone"
            problems.append(f"'{folder / other}' and '{folder / name}' {how}, keep one of them")
    return problems
