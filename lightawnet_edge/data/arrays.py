"""`.npy` files of one picture: the header is read before the data, and nothing is unpickled."""

from __future__ import annotations

import io
import math
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lightawnet_edge.data.headers import CUT_OFF, Header


def array_header(data: bytes) -> Header:
    """Read the header of a `.npy` file.

    Raises:
        ValueError: It is broken, or the array is no picture; says why.
    """
    shape, _, dtype, start = _header(data)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError("it does not hold one array of real numbers")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3) or 0 in shape:
        raise ValueError(f"it has shape {shape}, expected (H, W) or (H, W, 3)")
    if start + dtype.itemsize * math.prod(shape) > len(data):
        raise ValueError(CUT_OFF)
    return Header(height=shape[0], width=shape[1])


def read_array(data: bytes) -> NDArray[Any]:
    """Values of a `.npy` file that `array_header` takes: (H, W), or (H, W, 3) in RGB.

    Raises:
        ValueError: A value is not finite.
    """
    shape, fortran, dtype, start = _header(data)
    values = np.frombuffer(data, dtype, math.prod(shape), start)
    values = values.reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    return values


def as_frame(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Keep 8-bit values, and scale others from their own minimum and maximum to 0..255.

    A flat picture is black, or white where its value is above 0.
    """
    if values.dtype == np.uint8 and values.max() > 1:
        return values
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    if high <= low:
        return np.full(values.shape, 255 if low > 0 else 0, np.uint8)
    # Halved, for the distance of two values may be beyond the largest number.
    share = (exact / 2 - low / 2) / (high / 2 - low / 2)
    return np.asarray(np.rint(share * 255), dtype=np.uint8)


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file)
    except (SyntaxError, TokenError, TypeError) as error:  # numpy parses it as Python's literals
        raise ValueError(f"its header is broken: {error}") from error
    return shape, fortran, dtype, file.tell()
