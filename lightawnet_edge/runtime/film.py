"""An annotated copy of a video, beside the masks of its frames."""

from __future__ import annotations

import math
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from lightawnet_edge.data.pixels import UInt8, fit, opencv
from lightawnet_edge.data.video import openable, video_facts
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import Size

_KINDS = ((".mp4", "mp4v"), (".avi", "MJPG"))
"""Suffix and codec: FFmpeg's, or else the one that every OpenCV has."""
_USUAL_RATE = 25.0
"""Frames per second where a video does not say how many it has."""
_MAX_RATE = 1000.0


class Film:
    """A video that is written aside, and appears under its name when it is whole."""

    def __init__(self, folder: Path, stem: str, rate: float | None) -> None:
        """Write into `folder`, under a name that begins with `stem`.

        Args:
            folder: Exists.
            stem: Name without the suffix, which depends on what OpenCV can write here.
            rate: Frames per second; None: not known.
        """
        self._folder, self._stem = folder, stem
        known = rate is not None and math.isfinite(rate) and 0 < rate <= _MAX_RATE
        self._rate = rate if rate is not None and known else _USUAL_RATE
        self._stack = ExitStack()
        self._writer: Any = None
        self._aside = self._path = folder / f"{stem}{_KINDS[0][0]}"
        self._size: Size | None = None
        self._count = 0

    @property
    def path(self) -> Path:
        """Where the video will lie; its suffix is known from the first frame on."""
        return self._path

    def add(self, frame_bgr: UInt8) -> None:
        """Append a frame (H, W, 3); one of another size than the first is scaled to it.

        Raises:
            BackendUnavailableError: OpenCV writes no video here.
        """
        size = self._size or self._open(Size(*frame_bgr.shape[:2]))
        # Codecs take even sides alone; the last row and column are doubled.
        pixels = fit(frame_bgr, size)
        right, below = size.width % 2, size.height % 2
        cv2 = opencv()
        self._writer.write(
            cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
            if right or below
            else pixels
        )
        self._count += 1

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is None:
            return
        with self._stack:
            self._writer.release()
            if error is None:
                self._check()
                self._aside.replace(self._path)

    def _open(self, size: Size) -> Size:
        cv2 = opencv()
        even = (size.width + size.width % 2, size.height + size.height % 2)
        folder = Path(openable(self._folder, self._stack))
        for suffix, codec in _KINDS:
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".film-", suffix=suffix)
            os.close(handle)
            self._aside, self._path = Path(name), self._folder / f"{self._stem}{suffix}"
            self._stack.callback(self._aside.unlink, missing_ok=True)
            shown = str(folder / self._aside.name)
            writer = cv2.VideoWriter(shown, cv2.VideoWriter.fourcc(*codec), self._rate, even)
            if writer.isOpened():
                self._writer, self._size = writer, size
                return size
        self._stack.close()
        tried = " and ".join(codec for _, codec in _KINDS)
        raise BackendUnavailableError("opencv", f"it writes no video with the codecs {tried}.")

    def _check(self) -> None:
        """OpenCV is silent about what it could not write; the index at the end tells."""
        written = video_facts(self._aside).frames or 0
        if written != self._count:
            raise ArtifactError(
                f"'{self._path}' could not be written whole: it holds {written} of {self._count} "
                "frames. Free some space, or write elsewhere, and run the same command again."
            )
