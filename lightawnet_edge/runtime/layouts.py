"""What to do about a frame whose channels, or frames, do not lie where an engine expects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_PX = 16
"""A side below this is no side of a frame."""
_Turn = Callable[[NDArray[Any]], NDArray[Any]]
_REMEDIES: tuple[tuple[str, str, _Turn], ...] = (
    ("Its channels come first", "frame.transpose(1, 2, 0)", lambda f: f.transpose(1, 2, 0)),
    ("It has an alpha channel", "frame[..., :3]", lambda f: _alpha(f)),
    ("It is gray", "np.stack([frame] * 3, axis=-1)", lambda f: _stacked(f, 2)),
    ("It is gray", "np.repeat(frame, 3, axis=-1)", lambda f: _repeated(f)),
    ("Its one channel is an axis", "frame[..., 0]", lambda f: _only(f)),
    ("It is a batch", "frame[0]", lambda f: f[0]),
    (
        "It is a batch, with its channels first",
        "frame[0].transpose(1, 2, 0)",
        lambda f: f[0].transpose(1, 2, 0),
    ),
    ("It is a batch with an alpha channel", "frame[0][..., :3]", lambda f: _alpha(f[0])),
    (
        "It is a batch of gray frames",
        "np.stack([frame[0]] * 3, axis=-1)",
        lambda f: _stacked(f[0], 2),
    ),
    ("It is a batch of gray frames", "frame[0][..., 0]", lambda f: _only(f[0])),
    (
        "It is in colour",
        "cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)",
        lambda f: _colour(f)[..., 0],
    ),
)
"""What is wrong, what to write instead of `frame`, and a function that does so: what a message says
was tried on the very frame that it is about."""


def rearranged(frame: NDArray[Any], expected: tuple[int, ...]) -> str | None:
    """Say how to give a frame of a shape that an engine takes; None where no layout is the reason.

    One that would also have to be scaled is told both.
    """
    fits = [
        (what, how, found)
        for what, how, turn in _REMEDIES
        if (found := _turned(turn, frame)) is not None and _alike(found.shape, expected)
    ]
    if frame.shape[2:] == expected[2:] and frame.ndim == len(expected):
        fits = [fit for fit in fits if fit[2].shape == expected]  # else it wants scaling alone
    if not fits:
        return None
    what, how, found = min(fits, key=lambda fit: fit[2].shape != expected)
    told = f"{what}: give {how}"
    if found.shape == expected:
        return f"{told}."
    height, width = found.shape[:2]
    return f"{told}, scaled, or export a bundle for this size: --frame {height}x{width}."


def _turned(turn: _Turn, frame: NDArray[Any]) -> NDArray[Any] | None:
    try:
        return turn(frame)
    except (IndexError, ValueError):  # it has other axes
        return None


def _alike(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether scaling alone would do."""
    return len(shape) == len(expected) and shape[2:] == expected[2:] and min(shape[:2]) >= _LEAST_PX


def _with(frame: NDArray[Any], axes: int, channels: int | None = None) -> NDArray[Any]:
    if frame.ndim != axes or (channels is not None and frame.shape[-1] != channels):
        raise ValueError("other axes")
    return frame


def _alpha(frame: NDArray[Any]) -> NDArray[Any]:
    return _with(frame, 3, 4)[..., :3]


def _only(frame: NDArray[Any]) -> NDArray[Any]:
    return _with(frame, 3, 1)[..., 0]


def _colour(frame: NDArray[Any]) -> NDArray[Any]:
    return _with(frame, 3, 3)


def _repeated(frame: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(_with(frame, 3, 1), 3, axis=-1)


def _stacked(frame: NDArray[Any], axes: int) -> NDArray[Any]:
    return np.stack([_with(frame, axes)] * 3, axis=-1)
