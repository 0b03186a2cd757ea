"""Frames on a machine without OpenCV: arrays of the engines' own size, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lightawnet_edge.data.formats import NUMPY, format_of
from lightawnet_edge.data.frameset import FrameFile
from lightawnet_edge.data.images import read_size
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.packages import missing
from lightawnet_edge.specs import Size

_REMEDY = (
    "pip install 'lightawnet-edge[media]', or give frames and masks as .npy files of the engine's "
    "size with --data DIR"
)


def has_opencv() -> bool:
    """Whether images can be decoded and scaled here."""
    return not missing(["cv2"])


def check_readable(files: Sequence[FrameFile], sizes: Collection[Size]) -> None:
    """Refuse frames that this machine cannot bring to its engines.

    Args:
        files: Frames and masks.
        sizes: Those of the engines' frames.

    Raises:
        ArtifactError: An array cannot be read.
        BackendUnavailableError: OpenCV is not installed, and a frame is an image, or has another
            size than an engine.
    """
    if has_opencv():
        return
    for file in files:
        for path in filter(None, (file.image, file.mask)):
            if format_of(path) != NUMPY:
                raise BackendUnavailableError(
                    "reading images",
                    f"'{path}' is an image, and OpenCV is not installed: {_REMEDY}.",
                )
        found = read_size(file.image)
        if others := [size for size in sizes if size != found]:
            raise BackendUnavailableError(
                "scaling frames",
                f"'{file.image}' is {found}, an engine takes {others[0]}, and OpenCV is not "
                f"installed: {_REMEDY}.",
            )
