"""Cameras, network streams and GStreamer pipelines: what keeps its own time, and may break off."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lightawnet_edge.data.overheard import overhear
from lightawnet_edge.data.pixels import opencv
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.runtime.lens import Lens, Note, Shot
from lightawnet_edge.runtime.sources import (
    MAX_RATE,
    USUAL_RATE,
    Source,
    standard_input,
    stored,
)

RETRY_S = 1.0
"""Between two attempts to open again what broke off."""
GIVE_UP_S = 30.0
"""From the last frame on; then the source is at its end."""
_NETWORK_MS = 5000
"""FFmpeg would wait for half a minute until it says that nothing comes."""
_PIPELINE = " ! "
Open = Callable[[], Any]
"""Gives an OpenCV capture, opened or not."""


class Live:
    """Frames of an OpenCV capture; opened again where it breaks off."""

    paced = repeats = False

    def __init__(
        self,
        name: str,
        open_: Open,
        lens: Lens,
        rate: float | None = None,
        *,
        retry_s: float = RETRY_S,
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        """Open a source that is live, and look at one frame.

        Raises:
            ArtifactError: It cannot be opened, or gives no frame.
            SpecError: As for `Lens.shot`.
        """
        self.name, self._open, self._lens = name, open_, lens
        self._retry_s, self._give_up_s = retry_s, give_up_s
        self._closed = threading.Event()
        self._capture = self._opened()
        pixels = self._capture.read()[1] if self._capture else None
        if pixels is None:
            self._release()
            raise ArtifactError(f"Source '{name}' is not there, or gives no frame.")
        own = float(self._capture.get(opencv().CAP_PROP_FPS))
        self.rate = rate or (own if 0 < own <= MAX_RATE else USUAL_RATE)
        try:
            lens.shot(pixels, f"'{name}'")
        except SpecError:
            self._release()
            raise

    def shots(self) -> Iterator[Shot | Note]:
        """Read from now on."""
        while not self._closed.is_set():
            more, pixels = self._capture.read()
            if more:
                yield self._lens.shot(pixels, f"'{self.name}'")
                continue
            if not self._closed.is_set():
                yield Note("lost", f"'{self.name}' broke off")
                yield from self._reconnected()
        self._release()

    def close(self) -> None:
        """Read no more."""
        self._closed.set()

    def _reconnected(self) -> Iterator[Note]:
        self._release()
        end_s = time.monotonic() + self._give_up_s
        while not self._closed.wait(self._retry_s):
            self._capture = self._opened()
            if self._capture is not None:
                yield Note("reconnected", f"'{self.name}' is open again")
                return
            if time.monotonic() >= end_s:
                raise ArtifactError(
                    f"Source '{self.name}' broke off, and could not be opened again within "
                    f"{self._give_up_s:g} s."
                )

    def _opened(self) -> Any:
        with overhear():  # each of OpenCV's backends says that it cannot
            capture = self._open()
        if capture.isOpened():
            return capture
        capture.release()
        return None

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def open_source(text: str, lens: Lens, rate: float | None = None) -> Source:
    """The source that is meant by a word of the command line.

    Args:
        text: A video, a folder, a camera's number or device, `rtsp://`, a GStreamer pipeline, `-`.
        lens: Makes frames of pictures.
        rate: Frames per second; None takes the source's own.

    Raises:
        ArtifactError: It is not there, or gives no frame.
        BackendUnavailableError: This OpenCV has no GStreamer.
        SpecError: Frames of another size, a rate that is none, or a kind of source that is not
            read.
    """
    if rate is not None and not 0 < rate <= MAX_RATE:
        raise SpecError(
            f"A rate of {rate:g} frames per second must be above 0, {MAX_RATE:g} at most."
        )
    if text == "-":
        return standard_input(lens.contract, rate)
    if _PIPELINE in text:
        return Live(text, lambda: _pipeline(text), lens, rate)
    if text.isascii() and text.isdecimal():
        return _camera(int(text), lens, rate)
    if device := re.fullmatch(r"/dev/video(\d+)", text):
        return _camera(int(device[1]), lens, rate)
    if "://" in text:
        if not re.match(r"rtsps?://", text):
            raise SpecError(
                f"Source '{_shown(text)}' is of a kind that is not read. Known: rtsp://, rtsps://."
            )
        return Live(_shown(text), lambda: _network(text), lens, rate)
    return stored(Path(text), lens, rate)


def _camera(number: int, lens: Lens, rate: float | None) -> Live:
    there = sorted(path.name for path in Path("/dev").glob("video*"))
    if sys.platform.startswith("linux") and f"video{number}" not in there:
        known = ", ".join(f"/dev/{name}" for name in there) or "none"
        raise ArtifactError(f"Camera {number} is not there. Cameras of this machine: {known}.")
    return Live(f"camera {number}", lambda: _device(number, rate), lens, rate)


def _device(number: int, rate: float | None) -> Any:
    cv2 = opencv()
    capture = cv2.VideoCapture(number)
    if rate is not None:
        capture.set(cv2.CAP_PROP_FPS, rate)
    return capture


def _network(address: str) -> Any:
    cv2 = opencv()
    waits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    options = [value for kind in waits for value in (kind, _NETWORK_MS)]
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, options)


def _pipeline(text: str) -> Any:
    cv2 = opencv()
    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        raise BackendUnavailableError(
            "gstreamer",
            "this OpenCV was built without it, as those of PyPI are. Use an OpenCV that has it, "
            "e.g. the system's, or pipe raw frames: gst-launch-1.0 ... ! fdsink | lightawnet-edge "
            "stream BUNDLE -",
        )
    return cv2.VideoCapture(text, cv2.CAP_GSTREAMER)


def _shown(address: str) -> str:
    """An address without the name and password of whoever may see it."""
    return re.sub(r"://[^/]*@", "://...@", address)
