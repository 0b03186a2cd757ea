"""Running a bundle over image and video files: masks and overlays on disk."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightawnet_edge.bundle.store import check_writable, replace_file
from lightawnet_edge.data.faults import printable
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.listing import (
    VIDEO_SUFFIXES,
    describe_unused,
    is_video,
    list_folder,
    refuse_among,
)
from lightawnet_edge.data.pixels import UInt8, fit_mask, opencv
from lightawnet_edge.data.video import video_facts, video_frames
from lightawnet_edge.data.yuv import seen_by
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.progress import Narrate
from lightawnet_edge.runtime.film import Film
from lightawnet_edge.runtime.segmenter import Segmenter
from lightawnet_edge.specs import ColorOrder, Size

_CONTOUR_BGR = (0, 215, 255)
"""Amber: neither the red of tissue nor the green of a truth."""
_NUMBERED = re.compile(r"(.*)-\d{6,}", re.DOTALL)
"""Name of a video's frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of one frame."""

    name: str
    """Stem of the files that were written, or would have been."""
    foreground: float
    """Share of the frame's pixels in the mask."""
    seconds: float = 0.0
    """From the frame as the bundle takes it to its mask at the size of the file's frame."""
    error: str | None = None
    """Why the frame was skipped, or None."""


def expand(inputs: Sequence[Path], narrate: Narrate = lambda _: None) -> list[Path]:
    """Replace folders by the images and videos in them.

    Args:
        inputs: Files and folders.
        narrate: Told what lies in the folders and is neither.

    Raises:
        ArtifactError: A path does not exist, names in a folder cannot stand beside each other, or
            nothing is left to run.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            listing = list_folder(path)
            files += sorted([*listing.images.values(), *listing.videos])
            for text in describe_unused(listing.unused):
                narrate(text)
        elif path.is_file():
            files.append(path)
        else:
            raise ArtifactError(f"No file '{path}'.")
    if not files:
        raise ArtifactError(f"No image and no video in '{inputs[0]}'.")
    return files


def frames_of(files: Sequence[Path]) -> int:
    """How many frames files have, as their names tell and videos announce; for a bar alone."""
    films = {file for file in files if file.suffix.lower() in VIDEO_SUFFIXES}
    return sum((video_facts(file).frames or 1) if file in films else 1 for file in files)


def play(segmenter: Segmenter, files: Sequence[Path], out: Path) -> Iterator[Played]:
    """Segment each frame of each file; write `NAME.mask.png` and `NAME.overlay.jpg` into `out`.

    Of a video, its overlays are a video, too: `NAME.overlay.mp4`, at the rate of its frames. A
    frame of another size than the bundle's is scaled for the engine, and its mask scaled back. A
    broken frame is reported and skipped.

    Raises:
        SpecError: As `check_outputs` does. Nothing has been written then.
        ArtifactError: The same; or the video of overlays could not be written whole.
    """
    check_outputs(files, out)
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        run = _play_video if is_video(file) else _play_image
        yield from run(segmenter, file, out)


def check_outputs(files: Sequence[Path], out: Path) -> None:
    """Refuse what `play` could not write, before an engine is loaded for it.

    Raises:
        SpecError: Two files would write the same names, or masks would lie among the frames.
        ArtifactError: `out` cannot be written.
    """
    refuse_among(out, {file.parent for file in files}, "masks")
    _refuse_equal_names(files)
    check_writable(out)


def _refuse_equal_names(files: Sequence[Path]) -> None:
    """Refuse files whose masks would overwrite each other; names in one case may be one name."""
    apart = "Run them one after the other, each with an --out of its own."
    known = dict[str, Path]()
    for file in files:
        if known.setdefault(file.stem.casefold(), file) is not file:
            raise SpecError(
                f"Two files are called '{file.stem}': their masks would overwrite each other. "
                + apart
            )
    for stem, file in known.items():
        numbered = _NUMBERED.fullmatch(stem)
        video = known.get(numbered[1]) if numbered else None
        if video is not None and is_video(video) and not is_video(file):
            raise SpecError(
                f"'{file.name}' and a frame of '{video.name}' would write the same mask. {apart}"
            )


def write_table(path: Path, played: Iterable[Played]) -> None:
    """Write what became of each frame as CSV: frame, foreground (a share), seconds, error."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["frame", "foreground", "seconds", "error"])
    for one in played:
        numbers = ["", ""] if one.error else [f"{one.foreground:.6f}", f"{one.seconds:.6f}"]
        rows.writerow([one.name, *numbers, one.error or ""])
    replace_file(path, text.getvalue().encode())


def _play_image(segmenter: Segmenter, file: Path, out: Path) -> Iterator[Played]:
    try:
        frame = read_frame(file, segmenter.manifest.contract.color)
    except ArtifactError as error:
        yield _skipped(file, error)
    else:
        yield _segment(segmenter, frame, file.stem, out)[0]


def _play_video(segmenter: Segmenter, file: Path, out: Path) -> Iterator[Played]:
    color = segmenter.manifest.contract.color
    with Film(out, f"{file.stem}.overlay", video_facts(file).rate) as film:
        try:
            for index, frame in enumerate(video_frames(file, color)):
                played, drawn = _segment(segmenter, frame, f"{file.stem}-{index:06d}", out)
                film.add(drawn)
                yield played
        except ArtifactError as error:
            yield _skipped(file, error)


def _skipped(file: Path, error: ArtifactError) -> Played:
    return Played(name=printable(file.stem), foreground=0.0, error=printable(str(error)))


def _segment(segmenter: Segmenter, frame: UInt8, name: str, out: Path) -> tuple[Played, UInt8]:
    """What became of a frame, and its overlay; both pictures are on the disk."""
    contract = segmenter.manifest.contract
    given = seen_by(contract.camera, frame)
    start = time.perf_counter()
    mask = segmenter(given) > 0
    mask = fit_mask(mask, Size(*frame.shape[:2]))
    seconds = time.perf_counter() - start
    cv2 = opencv()
    picture = frame if contract.color is ColorOrder.BGR else _to_bgr(frame)
    # Encoded in memory: OpenCV's own writer cannot take every path, and reports failure by a bool.
    values = mask.astype(np.uint8) * np.uint8(255)
    drawn = overlay(picture, values)
    for suffix, pixels in ((".mask.png", values), (".overlay.jpg", drawn)):
        data = cv2.imencode(suffix[-4:], pixels)[1].tobytes()
        replace_file(out / f"{name}{suffix}", data, lasting=False)
    return Played(name=printable(name), foreground=float(mask.mean()), seconds=seconds), drawn


def overlay(frame_bgr: UInt8, mask: UInt8) -> UInt8:
    """Draw the contour of a mask (H, W) on a copy of a frame (H, W, 3), and nothing inside it."""
    cv2 = opencv()
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(mask.shape) / 300))
    drawn: UInt8 = cv2.drawContours(frame_bgr.copy(), contours, -1, _CONTOUR_BGR, thickness)
    return drawn


def _to_bgr(frame: UInt8) -> UInt8:
    if frame.ndim == 2:
        return np.repeat(frame[:, :, None], 3, axis=2)
    return np.ascontiguousarray(frame[:, :, ::-1])
