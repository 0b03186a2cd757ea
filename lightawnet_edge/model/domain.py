"""Whether the packaged frames are of a checkpoint's domain, as far as that can be known."""

from __future__ import annotations

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.packaged import find_by_sha256
from lightawnet_edge.specs import ColorOrder

PACKAGED_FRAMES = "colonoscopy in colour, with polyps (PolypGen)"


def refuse_packaged(color: ColorOrder, name: str, remedy: str) -> None:
    """Refuse the packaged frames, as a default, for a network of other channels.

    Args:
        color: Of the frames that the network takes.
        name: What the network, or its bundle, is called.
        remedy: Option that gives other frames: '--data DIR'.

    Raises:
        SpecError: The network takes gray frames.
    """
    if color is ColorOrder.GRAY:
        raise SpecError(
            f"'{name}' takes gray frames, and the packaged ones are {PACKAGED_FRAMES}. Give "
            f"{remedy} of frames of its own domain."
        )


def doubt_packaged(sha256: str, name: str, remedy: str) -> str | None:
    """Say that the packaged frames may be of another domain than a checkpoint; None if they fit.

    Of the packaged weights it is known, of no others.

    Args:
        sha256: Of the checkpoint.
        name: What the network, or its bundle, is called.
        remedy: Option that gives other frames: '--data DIR'.
    """
    if find_by_sha256(sha256) is not None:
        return None
    return (
        f"'{name}' is not made of packaged weights, and the packaged frames are {PACKAGED_FRAMES}: "
        f"where it was trained on others, give {remedy} of frames of its own domain"
    )
