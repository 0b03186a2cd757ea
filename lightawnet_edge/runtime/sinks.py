"""Where a stream's pictures and masks go: a video as the screen showed it, masks, a window."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.store import check_writable, replace_file
from lightawnet_edge.data.listing import refuse_among
from lightawnet_edge.data.pixels import UInt8, opencv
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.runtime.film import Film
from lightawnet_edge.runtime.outlet import Masked, Nothing, Screened, Sink
from lightawnet_edge.runtime.playback import overlay
from lightawnet_edge.specs import ColorOrder

_TITLE = "lightawnet-edge"


class AnnotatedVideo(Nothing):
    """Every frame with the contour of the mask that was on the screen then."""

    def __init__(self, path: Path, contract: Contract, rate: float) -> None:
        """Write a video, which appears under its name when it is whole.

        Raises:
            ArtifactError: Nothing can be written there.
        """
        check_writable(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._film = Film(path.parent, path.stem, rate)
        self._contract = contract

    def screen(self, one: Screened) -> None:
        """Append a frame."""
        self._film.add(_drawn(one, self._contract))

    def close(self, error: BaseException | None) -> None:
        """Finish the video; what came before an error is kept."""
        self._film.__exit__(None, None, None)


class MaskFolder(Nothing):
    """A PNG for every mask, named by the number of its frame."""

    def __init__(self, folder: Path) -> None:
        """Write into a folder.

        Raises:
            ArtifactError: Nothing can be written there.
        """
        check_writable(folder)
        self._folder = folder

    def mask(self, one: Masked) -> None:
        """Write a mask."""
        data = opencv().imencode(".png", one.mask)[1].tobytes()
        replace_file(self._folder / f"{one.number:06d}.mask.png", data, lasting=False)


class Window(Nothing):
    """A window with the frame and the contour of its mask."""

    def __init__(self, contract: Contract) -> None:
        """Check that there can be one.

        Raises:
            BackendUnavailableError: There is no display, or this OpenCV draws no windows.
        """
        linux = sys.platform.startswith("linux")
        if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise BackendUnavailableError("window", "there is no display. Use --out clip.mp4.")
        if "GUI:                           NONE" in opencv().getBuildInformation():
            raise BackendUnavailableError(
                "window",
                "this OpenCV was built without windows. Use --out clip.mp4, or install "
                "opencv-python in the place of opencv-python-headless.",
            )
        self._contract = contract

    def screen(self, one: Screened) -> None:
        """Show a frame."""
        cv2 = opencv()
        cv2.imshow(_TITLE, _drawn(one, self._contract))
        cv2.waitKey(1)

    def close(self, error: BaseException | None) -> None:
        """Close the window, if it was ever opened."""
        opencv().destroyAllWindows()


def sinks_for(
    out: Path | None, contract: Contract, rate: float, *, window: bool, source: str
) -> list[Sink]:
    """The sinks that a command line asks for.

    Raises:
        ArtifactError: `out` cannot be written.
        BackendUnavailableError: There can be no window here.
        SpecError: `out` is the source, or a file that is no MP4.
    """
    found: list[Sink] = [Window(contract)] if window else []
    if out is None:
        return found
    if _same(out, source):
        raise SpecError(f"--out '{out}' is the source itself. Choose another.")
    if out.suffix.lower() == ".mp4":
        return [*found, AnnotatedVideo(out, contract, rate)]
    if out.suffix:
        raise SpecError(
            f"--out '{out}' is neither a video (NAME.mp4) nor a folder for masks (a name without "
            "a suffix)."
        )
    refuse_among(out, (), "masks")
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"'{out}' is a file, and masks go into a folder. Choose another.")
    return [*found, MaskFolder(out)]


def _same(out: Path, source: str) -> bool:
    try:
        return out.samefile(source)
    except OSError:
        return False


def _drawn(one: Screened, contract: Contract) -> UInt8:
    picture = one.shot.picture
    if picture is None:
        picture = _to_bgr(one.shot.frame, contract.color)
    return picture if one.mask is None else overlay(picture, one.mask)


def _to_bgr(frame: UInt8, color: ColorOrder) -> UInt8:
    """For the eye: OpenCV's YUV is BT.601 of limited range, whatever the contract says."""
    cv2 = opencv()
    kinds = {
        ColorOrder.RGB: cv2.COLOR_RGB2BGR,
        ColorOrder.GRAY: cv2.COLOR_GRAY2BGR,
        ColorOrder.NV12: cv2.COLOR_YUV2BGR_NV12,
        ColorOrder.YUY2: cv2.COLOR_YUV2BGR_YUY2,
    }
    if color is ColorOrder.BGR:
        return frame
    return np.asarray(cv2.cvtColor(frame, kinds[color]), np.uint8)
