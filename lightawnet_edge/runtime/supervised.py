"""A segmenter in a process of its own: a call that hangs cannot be cancelled, a process can."""

from __future__ import annotations

import functools
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge import errors
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.trust import UNSIGNED, Trust
from lightawnet_edge.errors import EdgeError, SpecError
from lightawnet_edge.runtime.serving import FAILED, READY, Loader, Memory, load_bundle, serve

LOAD_S = 120.0
"""Longest wait for an engine to load: OpenVINO compiles for one to some ten seconds."""
_KILL_S = 5.0
"""Longest wait for a killed process; one that sits in a driver may never go."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is loaded, and waits for a frame."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine gave for a frame; both arrays are the caller's to keep."""

    mask: NDArray[np.uint8]
    probability: NDArray[np.float32] | None
    """None where the bundle has no such output."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The process is no more, or is of no use."""

    reason: str


class Supervised:
    """Runs one engine in a process of its own, and can end it at any moment.

    One frame at a time: `begin` hands it over, `poll` gives what came of it. For one thread. A
    program that makes one begins under `if __name__ == "__main__":`, since processes are spawned.
    """

    def __init__(
        self,
        contract: Contract,
        load: Loader,
        *,
        load_s: float = LOAD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make room for frames; `start` starts the process.

        Args:
            contract: Of the frames and masks.
            load: Called in the process; gives the engine.
            load_s: Longest wait for that.
            clock: Seconds.
        """
        self.contract = contract
        self._context = multiprocessing.get_context("spawn")
        self._memory = Memory.of(contract, self._context)
        self._load, self._load_s, self._clock = load, load_s, clock
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._ready, self._started_s = False, 0.0

    @classmethod
    def of(
        cls, bundle: str | Path, *, threads: int | None = None, trust: Trust = UNSIGNED
    ) -> Supervised:
        """A supervised bundle, which is verified here and again where it is loaded.

        Raises:
            ArtifactError: The folder is no bundle, or a file of it has changed.
            BackendUnavailableError: It is a kit without an engine that ran.
            SpecError: `threads` is not positive.
        """
        if threads is not None and threads < 1:
            raise SpecError(f"threads={threads} must be at least 1.")
        opened = Bundle.open(bundle, trust=trust)
        _ = opened.engine
        contract = opened.manifest.contract
        load = functools.partial(
            load_bundle, str(bundle), contract=contract, threads=threads, trust=trust
        )
        return cls(contract, load)

    def start(self) -> None:
        """Start a process, in the place of one that may still be there; does not wait for it."""
        self.stop()
        self._pipe, far = self._context.Pipe()
        self._process = self._context.Process(
            target=serve, args=(self._load, self._memory, far), daemon=True
        )
        with _without_interrupts():
            self._process.start()
        far.close()
        self._ready, self._started_s = False, self._clock()

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Hand a frame over; the process must be ready, and must have answered the last one.

        What goes wrong with that, `poll` tells.
        """
        np.copyto(self._memory.array("frame"), frame, casting="no")
        try:
            self._connection.send(None)
        except OSError:  # it died: the pipe is at its end, which is read in its turn
            return

    def poll(self, timeout_s: float) -> Ready | Answer | Gone | None:
        """What the process says within so many seconds; None where it says nothing.

        Raises:
            EdgeError: The engine could not be loaded; as the process raised it.
        """
        if not self._connection.poll(max(0.0, timeout_s)):
            if not self._ready and self._clock() - self._started_s > self._load_s:
                return Gone(f"the engine was not loaded within {self._load_s:g} s")
            return None
        try:
            what, name, words = self._connection.recv()
        except (EOFError, OSError):
            return Gone(f"the process {self._end()}")
        if what == READY:
            self._ready = True
            return Ready()
        if what == FAILED:
            error: EdgeError = getattr(errors, name)(*words)
            if not self._ready:
                raise error
            return Gone(str(error))
        values = self._memory.array("probability").copy() if self._has_values else None
        return Answer(self._memory.array("mask").copy(), values)

    def stop(self) -> None:
        """Kill the process, whatever it does; without one, nothing happens."""
        if self._process is None:
            return
        self._process.kill()
        self._process.join(_KILL_S)
        self._connection.close()
        self._process = self._pipe = None

    @property
    def _has_values(self) -> bool:
        return "probability" in self._memory.ports

    @property
    def _connection(self) -> Connection:
        if self._pipe is None:
            raise SpecError("No process runs. Call start() first.")
        return self._pipe

    def _end(self) -> str:
        """How the process ended, in words."""
        assert self._process is not None
        self._process.join(_KILL_S)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C while a process starts is for this one: the new one begins with it blocked."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
