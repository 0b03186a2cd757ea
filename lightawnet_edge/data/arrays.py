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

OUTLIERS = 0.1
"""Percent of values at either end that make no range: hot pixels, metal."""
MIN_SHARE = 1 / 8
"""Share of the whole range that the others must cover: 32 of 256 steps. They cover a third in a CT
slice with metal, and a sixteenth where one pixel of 16 bits is among such of 12."""


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
    """Bring values to 8 bits: each type of numbers has one rule.

    uint8 is kept; False and True become 0 and 255; floats within 0..1 are times 255. Others are
    scaled from their own minimum and maximum to 0..255; where all are 0, they stay so.

    Raises:
        ValueError: Their own range says nothing: they are all the same, or few outliers make it.
    """
    if values.dtype == np.uint8:
        return values
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    if values.dtype.kind in "bf" and low >= 0 and high <= 1:
        return np.asarray(np.rint(exact * 255), dtype=np.uint8)
    if low == high == 0:
        return np.zeros(values.shape, np.uint8)
    if low == high:
        raise ValueError(
            f"all of its values are {low:g}: nothing says how bright that is. Save it as uint8"
        )
    # Halved, for the distance of two values may be beyond the largest number.
    bottom, top = _bulk(values)
    if (top / 2 - bottom / 2) / (high / 2 - low / 2) < MIN_SHARE:
        raise ValueError(
            f"its values go from {low:g} to {high:g}, and nearly all of them from {bottom:g} to "
            f"{top:g}: scaled by their range those would lose their contrast. Clip the others, or "
            "save it as uint8"
        )
    share = (exact / 2 - low / 2) / (high / 2 - low / 2)
    return np.asarray(np.rint(share * 255), dtype=np.uint8)


def _bulk(values: NDArray[Any]) -> tuple[float, float]:
    """The range of values without outliers, nor the ends of their type, which mark or saturate."""
    ends = np.zeros(values.shape, np.bool_)
    if values.dtype.kind in "iu":
        ends = values == np.iinfo(values.dtype).max
    if values.dtype.kind == "i":
        ends |= values == np.iinfo(values.dtype).min
    graded = values[~ends]
    if not graded.size or graded.min() == graded.max():
        graded = values
    low = np.percentile(graded, OUTLIERS, method="lower")
    return float(low), float(np.percentile(graded, 100 - OUTLIERS, method="higher"))


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file)
    except (SyntaxError, TokenError, TypeError) as error:  # numpy parses it as Python's literals
        raise ValueError(f"its header is broken: {error}") from error
    return shape, fortran, dtype, file.tell()
