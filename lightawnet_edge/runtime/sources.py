"""Where the frames of a stream come from, each as the bundle takes it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Protocol

import numpy as np

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.listing import is_video, list_folder
from lightawnet_edge.data.video import heard_pictures, video_facts
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.runtime.lens import Lens, Note, Shot
from lightawnet_edge.specs import ColorOrder

USUAL_RATE = 30.0
"""Frames per second where neither the source nor the user says how many there are."""
MAX_RATE = 1000.0
_OTHER_VIDEO_RATE = 25.0
"""Of a video that does not say how many it has, as `Film` takes it."""


class Source(Protocol):
    """Gives frames, one after the other."""

    name: str
    """For people."""
    rate: float
    """Frames per second."""
    paced: bool
    """Whether its frames are there before they are due; a camera keeps its own time."""
    repeats: bool
    """Whether it can be read again from its beginning."""

    def shots(self) -> Iterator[Shot | Note]:
        """Read from the beginning, or from now on; ends with the source.

        Raises:
            ArtifactError: No frame of it can be had, or none any more.
            SpecError: Its frames are of another size than the bundle's.
        """

    def close(self) -> None:
        """End waiting for frames, from another thread."""


class VideoFile:
    """The frames of a video; one whose decoder complains is skipped, for it may be made up."""

    paced = repeats = True

    def __init__(self, path: Path, lens: Lens, rate: float | None = None) -> None:
        """Read a video, at its own rate or another.

        Raises:
            ArtifactError: No frame comes out.
            SpecError: As for `Lens.shot`.
        """
        own = video_facts(path).rate
        known = own is not None and math.isfinite(own) and 0 < own <= MAX_RATE
        self.name = str(path)
        self.rate = rate or (own if own is not None and known else _OTHER_VIDEO_RATE)
        self._path, self._lens = path, lens
        _check_first(self)

    def shots(self) -> Iterator[Shot | Note]:
        """Read the video from its beginning."""
        for count, (pixels, heard) in enumerate(heard_pictures(self._path)):
            # Before its first frame, a stream may begin anywhere.
            if heard and (count or pixels is None):
                yield Note("skipped", f"frame {count}: {heard[0]}")
            elif pixels is not None:
                yield self._lens.shot(pixels, f"'{self.name}'")

    def close(self) -> None:
        """A file is not waited for."""


class Folder:
    """The images of a folder, in the order of their names; one that cannot be read is skipped."""

    paced = repeats = True

    def __init__(self, path: Path, lens: Lens, rate: float | None = None) -> None:
        """List a folder.

        Raises:
            ArtifactError: There is no image in it, or none can be read.
            SpecError: As for `Lens.shot`.
        """
        self.name, self.rate, self._lens = str(path), rate or USUAL_RATE, lens
        self._files = sorted(list_folder(path).images.values())
        _check_first(self)

    def shots(self) -> Iterator[Shot | Note]:
        """Read the images from the first on."""
        for file in self._files:
            try:
                picture = read_frame(file, ColorOrder.BGR)
            except ArtifactError as error:
                yield Note("skipped", str(error))
            else:
                yield self._lens.shot(picture, f"'{file}'")

    def close(self) -> None:
        """A file is not waited for."""


class Raw:
    """Frames one after the other, without anything between them, in the bytes of the contract."""

    repeats = False

    def __init__(self, file: FileIO, contract: Contract, rate: float | None = None) -> None:
        """Read a pipe or a file: at its producer's pace, or at a given rate."""
        self.name, self.rate, self.paced = "-", rate or USUAL_RATE, rate is not None
        self._file, self._shape = file, contract.frame_shape

    def shots(self) -> Iterator[Shot | Note]:
        """Read on."""
        while True:
            frame = np.empty(self._shape, np.uint8)
            got, room = 0, frame.data.cast("B")
            while got < len(room):
                more = self._file.readinto(room[got:])
                if not more:
                    break
                got += more
            if got < len(room):
                if got:
                    yield Note("skipped", f"the last {got} of {len(room)} bytes are no whole frame")
                return
            yield Shot(frame, None)

    def close(self) -> None:
        """A blocked read ends with its producer; the thread that waits is no hindrance."""


def standard_input(contract: Contract, rate: float | None) -> Raw:
    """Raw frames on standard input.

    Raises:
        SpecError: It is a terminal.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise SpecError(
            f"'-' takes raw frames of shape {contract.frame_shape} ({contract.color}) on standard "
            "input, which is a terminal here. Pipe them in, e.g. from ffmpeg -f rawvideo."
        )
    return Raw(FileIO(sys.stdin.fileno(), closefd=False), contract, rate)


def stored(path: Path, lens: Lens, rate: float | None) -> Source:
    """A video file or a folder of images.

    Raises:
        ArtifactError: It is neither, or not there.
        SpecError: As for `Lens.shot`.
    """
    if path.is_dir():
        return Folder(path, lens, rate)
    if not path.is_file():
        raise ArtifactError(
            f"No source '{path}'. A source is a video, a folder of images, a camera (0, "
            "/dev/video0), rtsp://..., a GStreamer pipeline, or - for raw frames on standard input."
        )
    if not is_video(path):
        raise ArtifactError(
            f"'{path}' is no video. For single images: lightawnet-edge run BUNDLE {path}"
        )
    return VideoFile(path, lens, rate)


def _check_first(source: Source) -> None:
    """What can be refused is refused before an engine is loaded."""
    told = ""
    for one in source.shots():
        if isinstance(one, Shot):
            return
        told = told or f" {one.detail.rstrip('.')}."
    raise ArtifactError(f"No frame of '{source.name}' can be decoded.{told}")
