"""The far end of a supervised segmenter: a process that answers until its pipe closes."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Contract, Port
from lightawnet_edge.bundle.trust import Trust
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError
from lightawnet_edge.runtime.segmenter import Segmenter

READY, DONE, FAILED = "ready", "done", "failed"
_TYPES: dict[str, Any] = {"uint8": ctypes.c_uint8, "float32": ctypes.c_float}


class Segmenting(Protocol):
    """What a loader gives: a `Segmenter`, or what takes its place in a test."""

    def __call__(self, frame: NDArray[np.uint8], out: NDArray[np.uint8]) -> object:
        """Write a frame's mask into `out`."""

    def with_probability(
        self, frame: NDArray[np.uint8], out: tuple[NDArray[np.uint8], NDArray[np.float32]]
    ) -> object:
        """Write a frame's mask and probability into `out`."""


Loader = Callable[[], Segmenting]
"""Can be pickled: a function of a module, or a `functools.partial` of one."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Arrays that two processes share. It has no name: nothing is left behind by a killed one."""

    ports: dict[str, Port]
    blocks: dict[str, Any]

    @classmethod
    def of(cls, contract: Contract, context: SpawnContext) -> Memory:
        """Memory for one frame of a contract and what comes of it."""
        ports = contract.ports
        blocks = {
            name: context.RawArray(_TYPES[port.dtype], math.prod(port.shape))
            for name, port in ports.items()
        }
        return cls(ports, blocks)

    def array(self, name: str) -> NDArray[Any]:
        """The array of a port: `frame`, `mask` or `probability`."""
        port = self.ports[name]
        return np.frombuffer(self.blocks[name], port.dtype).reshape(port.shape)


def load_bundle(path: str, *, contract: Contract, threads: int | None, trust: Trust) -> Segmenter:
    """Load a bundle in the process that runs it.

    Raises:
        EdgeError: As for `Segmenter.load`; or the bundle has become another one.
    """
    segmenter = Segmenter.load(path, threads=threads, trust=trust)
    if segmenter.manifest.contract != contract:
        segmenter.close()
        raise ArtifactError(
            f"Bundle '{path}' was replaced by one with another contract while it was loaded. Start "
            "again."
        )
    return segmenter


def serve(load: Loader, memory: Memory, pipe: Connection) -> None:
    """Load an engine, and segment the shared frame whenever the pipe says so, until it closes."""
    _settle()
    try:
        segmenter = load()
        pipe.send((READY, "", ()))
        frame, mask = memory.array("frame"), memory.array("mask")
        values = memory.array("probability") if "probability" in memory.ports else None
        while True:
            pipe.recv()
            if values is None:
                segmenter(frame, out=mask)
            else:
                segmenter.with_probability(frame, out=(mask, values))
            pipe.send((DONE, "", ()))
    except (EOFError, BrokenPipeError):  # nobody listens any more
        return
    except Exception as error:
        pipe.send((FAILED, *_packed(error)))


def _settle() -> None:
    """Ctrl-C is for the parent, which ends this process; so is what is printed on its stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.dup2(2, 1)


def _packed(error: Exception) -> tuple[str, tuple[str, ...]]:
    """Class and arguments of an error, for another process to raise."""
    if isinstance(error, BackendUnavailableError):
        return type(error).__name__, (error.name, error.reason)
    if isinstance(error, EdgeError):
        return type(error).__name__, (str(error),)
    return EdgeError.__name__, (f"{type(error).__name__}: {' '.join(str(error).split())}",)
