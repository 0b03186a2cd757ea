"""Engines for a process of their own: one that works, and one for every fault.

Imported there, so that nothing heavy stands here.
"""

from __future__ import annotations

import os
import time

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import ColorOrder, Normalization, Size

CONTRACT = Contract(
    frame=Size(16, 32),
    color=ColorOrder.RGB,
    network=Size(16, 32),
    normalization=Normalization(),
    threshold=0.5,
    probability=True,
)
FAULTY_FROM = 100
"""A frame whose first value is at least this brings a fault out."""


class Engine:
    """The mean of a frame is its probability; `fault` says what a faulty frame does."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def __call__(self, frame: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        out[:] = np.where(frame[:, :, 0] > 127, 255, 0)

    def with_probability(
        self, frame: NDArray[np.uint8], out: tuple[NDArray[np.uint8], NDArray[np.float32]]
    ) -> None:
        mask, values = out
        faulty = frame.flat[0] >= FAULTY_FROM
        print("engines print what they like")  # noqa: T201 - and must not spoil a command's stdout
        if faulty and self.fault == "sleep":
            time.sleep(600)
        if faulty and self.fault == "die":
            os._exit(3)
        if faulty and self.fault == "raise":
            raise BackendUnavailableError("tiny", "out of memory")
        self(frame, mask)
        values[:] = frame.mean() / 255
        if faulty and self.fault == "nan":
            values[3, 4] = np.nan
        if faulty and self.fault == "repeat":
            values[:] = 0.25


def working() -> Engine:
    return Engine()


def faulty(fault: str) -> Engine:
    return Engine(fault)


def refusing() -> Engine:
    raise ArtifactError("The engine is not what it was.")


def missing() -> Engine:
    raise BackendUnavailableError("tiny", "it is not installed")


def crashing() -> Engine:
    os._exit(4)


def never() -> Engine:
    time.sleep(600)
    return Engine()
