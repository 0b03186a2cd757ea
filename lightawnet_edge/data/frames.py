"""Reading frames, masks and videos from disk, and fitting them to a size, with OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import ColorOrder, Size

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm"})
MAX_MISSING = 0.02
"""Share of the frames that a container announces that may lack: its count is an estimate."""
MASK_THRESHOLD = 127
"""Mask values above this are foreground: JPEG masks ring around 0 and 255."""

UInt8 = NDArray[np.uint8]


def opencv() -> Any:
    """Import OpenCV on demand.

    Raises:
        BackendUnavailableError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise BackendUnavailableError(
            "opencv", f"{error}. Install it: pip install 'lightawnet-edge[media]'"
        ) from error
    return cv2


def image_files(folder: Path) -> dict[str, Path]:
    """Images of a folder by their stem, in the order of their names.

    Raises:
        ArtifactError: The folder is missing, or two images share a stem.
    """
    if not folder.is_dir():
        raise ArtifactError(f"No folder '{folder}'.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise ArtifactError(
                f"'{found[path.stem]}' and '{path}' share a stem. Keep one of them."
            )
        found[path.stem] = path
    return found


def read_frame(path: Path, color: ColorOrder = ColorOrder.RGB) -> UInt8:
    """Read an image as uint8: (H, W, 3) in the given order, or (H, W) for gray.

    `.npy` arrays of other types are scaled from their own minimum and maximum to 0..255.

    Raises:
        ArtifactError: The file is missing or cannot be decoded.
    """
    if path.suffix.lower() == ".npy":
        return _to_color(_read_array(path), color, path)
    cv2 = opencv()
    flag = cv2.IMREAD_GRAYSCALE if color is ColorOrder.GRAY else cv2.IMREAD_COLOR
    pixels = _decode(path, flag)
    return _contiguous(pixels[:, :, ::-1] if color is ColorOrder.RGB else pixels)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask (H, W); True is foreground.

    Raises:
        ArtifactError: The file is missing or cannot be decoded.
    """
    values = read_mask_values(path)
    if 0 < values.max() <= MASK_THRESHOLD:
        raise ArtifactError(
            f"Mask '{path}' has no foreground: its brightest value is {values.max()}, expected 255."
        )
    return values > MASK_THRESHOLD


def read_mask_values(path: Path) -> UInt8:
    """Read a mask's raw values (H, W); a `.npy` mask of 0 and 1 comes back as 0 and 255."""
    if path.suffix.lower() == ".npy":
        return _to_color(_read_array(path), ColorOrder.GRAY, path)
    return _contiguous(_decode(path, opencv().IMREAD_GRAYSCALE))


def fit(frame: UInt8, size: Size) -> UInt8:
    """Stretch a frame (H, W) or (H, W, 3) to `size`, as a scaler before the device would."""
    if frame.shape[:2] == (size.height, size.width):
        return frame
    cv2 = opencv()
    shrinking = frame.shape[0] >= size.height and frame.shape[1] >= size.width
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return _contiguous(cv2.resize(frame, (size.width, size.height), interpolation=how))


def fit_mask(mask: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    """Stretch a mask (H, W) to `size`; a pixel takes the value of the nearest one."""
    cv2 = opencv()
    values = cv2.resize(
        mask.astype(np.uint8), (size.width, size.height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(values, dtype=np.bool_)


def video_frames(path: Path, color: ColorOrder = ColorOrder.RGB) -> Iterator[UInt8]:
    """Yield the frames of a video.

    Raises:
        ArtifactError: The file is missing, holds no frame that can be decoded, or ends before the
            length that it announces; the frames before the break were yielded.
    """
    cv2 = opencv()
    capture = cv2.VideoCapture(str(path))
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    try:
        count = 0
        while True:
            more, pixels = capture.read()
            if not more:
                break
            count += 1
            if color is ColorOrder.GRAY:
                pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
            yield _contiguous(pixels[:, :, ::-1] if color is ColorOrder.RGB else pixels)
        if count == 0:
            raise ArtifactError(f"Video '{path}' cannot be decoded: no frame came out.")
        if announced - count > max(1, MAX_MISSING * announced):
            raise ArtifactError(
                f"Video '{path}' breaks off after {count} of {announced} frames: "
                "it is cut off or damaged."
            )
    finally:
        capture.release()


def _decode(path: Path, flag: int) -> Any:
    if not path.is_file():
        raise ArtifactError(f"No file '{path}'.")
    cv2 = opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
    except cv2.error:  # an empty file
        pixels = None
    if pixels is None:
        raise ArtifactError(
            f"'{path}' cannot be decoded as an image: broken, or of an unknown format."
        )
    return pixels


def _read_array(path: Path) -> UInt8:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"'{path}' cannot be read as a numpy array: {error}.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise ArtifactError(f"'{path}' does not hold one array of real numbers.")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise ArtifactError(f"'{path}' has shape {array.shape}, expected (H, W) or (H, W, 3).")
    if array.dtype == np.uint8 and array.max() > 1:
        return array
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise ArtifactError(f"'{path}' holds values that are not finite.")
    low, high = values.min(), values.max()
    if high <= low:
        return np.full(array.shape, 255 if low > 0 else 0, np.uint8)
    return np.asarray(np.rint((values - low) / (high - low) * 255), dtype=np.uint8)


def _to_color(array: UInt8, color: ColorOrder, path: Path) -> UInt8:
    if color is ColorOrder.GRAY:
        if array.ndim == 3:
            raise ArtifactError(f"'{path}' has three channels, expected gray: shape (H, W).")
        return _contiguous(array)
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return _contiguous(array[:, :, ::-1] if color is ColorOrder.BGR else array)


def _contiguous(array: Any) -> UInt8:
    return np.ascontiguousarray(array, dtype=np.uint8)
