"""The frames of a video, in order, and an honest word where some of them are missing or made up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightawnet_edge.data.containers import missing_bytes
from lightawnet_edge.data.images import MAX_PX, MAX_SIDE_PX
from lightawnet_edge.data.overheard import overhear
from lightawnet_edge.data.pixels import UInt8, in_order, opencv
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import ColorOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What a container says of its video; no evidence of what can be decoded."""

    frames: int | None
    rate: float | None
    """Frames per second, on average."""


def video_facts(path: Path) -> VideoFacts:
    """Read what a video's container announces; None for what it does not say."""
    cv2 = opencv()
    with _opened(path) as (capture, _):
        frames, rate = (capture.get(kind) for kind in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
    return VideoFacts(frames=int(frames) if frames > 0 else None, rate=rate if rate > 0 else None)


def video_frames(path: Path, color: ColorOrder = ColorOrder.RGB) -> Iterator[UInt8]:
    """Yield the frames of a video.

    What its decoder says before the first frame counts only where none follows: a stream may begin
    anywhere.

    Raises:
        ArtifactError: The file is missing, its frames are too large, or none can be decoded. Or,
            after all frames that came out: it is cut off, or its decoder complained, and from when
            on.
    """
    count, complaint, words = 0, "", list[str]()
    for pixels, heard in heard_pictures(path):
        if heard and count and not complaint:
            complaint = f" Its decoder complained first at frame {count}: {_first(heard)}."
        words += heard
        if pixels is not None:
            count += 1
            yield in_order(pixels, color)
    if count == 0:
        said = f" Its decoder says: {_first(words)}." if words else ""
        raise ArtifactError(f"Video '{path}' cannot be decoded: no frame came out.{said}")
    if missing := _missing_bytes(path):
        announced = video_facts(path).frames or 0
        of = f" of {announced}" if announced > count else ""
        raise ArtifactError(
            f"Video '{path}' breaks off after {count}{of} frames: it lacks {missing} bytes that "
            f"its header announces.{complaint}"
        )
    if complaint:
        raise ArtifactError(
            f"Video '{path}' is damaged, and what its {count} frames show may be made up in part."
            + complaint
        )


def heard_pictures(path: Path) -> Iterator[tuple[UInt8 | None, list[str]]]:
    """Yield each picture of a video, BGR, with what its decoder complained of before it came out.

    At the end there is no picture, and what was said last.

    Raises:
        ArtifactError: Its frames are too large.
    """
    with _opened(path) as (capture, words):
        _check_size(path, capture)
        more = True
        while more:
            with overhear() as heard:
                more, pixels = capture.read()
            yield pixels if more else None, words + heard
            words = []


def _check_size(path: Path, capture: Any) -> None:
    """Refuse frames that would fill the memory, before the first is decoded."""
    cv2 = opencv()
    height, width = (
        int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    )
    if max(height, width) > MAX_SIDE_PX or height * width > MAX_PX:
        raise ArtifactError(
            f"Video '{path}' has frames of {height}x{width} pixels, and at most "
            f"{MAX_PX // 2**20} Mi with sides of {MAX_SIDE_PX} are read."
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, list[str]]]:
    """Open a video, and hear what is said of that.

    FFmpeg is taken where OpenCV has it, in one thread, so that its words fit to its frames.
    """
    cv2 = opencv()
    with ExitStack() as stack:
        name = openable(path, stack)
        with overhear() as words:
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
            if not capture.isOpened():
                capture = cv2.VideoCapture(name)
        stack.callback(capture.release)
        yield capture, words


def openable(path: Path, stack: ExitStack) -> str:
    """A name of a file or folder that OpenCV can take: one that is no UTF-8 brings it down.

    Raises:
        ArtifactError: There is no folder for a link with another name.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="video-"))
            link = Path(folder) / "video"
            link.symlink_to(path.resolve())
        except OSError as error:
            raise ArtifactError(
                f"Video '{path}' has a name that is no UTF-8, and no link to it can be made: "
                f"{error.strerror}. Rename it."
            ) from error
        return str(link)
    return str(path)


def _first(words: list[str]) -> str:
    return words[0].rstrip(".")


def _missing_bytes(path: Path) -> int:
    try:
        return missing_bytes(path)
    except OSError:
        return 0
