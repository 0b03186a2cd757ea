"""Networks and tensors that the tests of the model share."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).parents[0] / "data"


@pytest.fixture(scope="session")
def author_shapes() -> Callable[[int], dict[str, tuple[int, ...]]]:
    """Tensor names and shapes of the authors' release, for 1 or 3 input channels."""
    return _shapes


@pytest.fixture(scope="session")
def author_state() -> Callable[[int], dict[str, Tensor]]:
    """A state dict under the authors' names, filled by the rule behind the golden numbers."""
    return lambda channels: {name: tensor.clone() for name, tensor in _state(channels).items()}


@cache
def _shapes(channels: int) -> dict[str, tuple[int, ...]]:
    with (DATA / f"author_tensors_{channels}ch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["name"]: _shape(row["shape"]) for row in rows}


def _shape(text: str) -> tuple[int, ...]:
    return () if text == "scalar" else tuple(map(int, text.split("x")))


@cache
def _state(channels: int) -> dict[str, Tensor]:
    return {name: torch.from_numpy(_fill(name, shape)) for name, shape in _shapes(channels).items()}


def _fill(name: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        values = 0.5 + rng.random(shape)
    elif name.endswith("running_mean"):
        values = 0.1 * rng.standard_normal(shape)
    elif name.endswith("gamma"):
        values = np.full(shape, 0.5)
    elif len(shape) == 1:
        values = 0.1 * rng.standard_normal(shape) + name.endswith("weight")
    else:
        fan = np.prod(shape[2:] if len(shape) == 5 else shape[1:])
        values = rng.standard_normal(shape) / np.sqrt(fan)
    return np.asarray(values, dtype=np.float32)
