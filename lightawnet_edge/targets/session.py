"""What sessions of all targets have in common: one call at a time, and one end."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import SpecError
from lightawnet_edge.targets.base import DeviceTime, Ports, Tensors

_LOADING = threading.RLock()
"""Held while a session is made and runs for the first time, by one thread of the process: first
calls of several threads can wait for each other for ever inside OpenVINO's Python bindings, though
each has a session of its own."""

_S = TypeVar("_S", bound="SerialSession")


class SerialSession(ABC):
    """A session for any number of threads: calls run one at a time.

    Closing waits for the call that runs; those that wait for their turn, and all later ones, are
    refused. A call that is made while another of the same thread runs, by a signal's handler, is
    refused as well, and closing is then put off to the end of the call that it interrupted.
    """

    ports: Ports
    """Set by a subclass before the first call."""

    def __init__(self) -> None:
        self._turn = threading.RLock()
        self._runs = self._closed = self._freed = False

    def infer(
        self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None = None
    ) -> Tensors:
        """Run one frame, synchronously, when it is its turn; the outputs are the caller's to keep.

        Raises:
            SpecError: The frame does not fit the engine, which may have no such output; or the
                session is closed, or called from within its own call.
            BackendUnavailableError: The engine does not run.
        """
        self.ports.check(frame, outputs)
        with self._call():
            return self._run(np.ascontiguousarray(frame), outputs, out)

    def device_time(self) -> DeviceTime | None:
        """Of the last call of any thread; None where the engine runs on the CPU.

        Raises:
            SpecError: The session is closed.
        """
        with self._call():
            return self._device_time()

    def close(self) -> None:
        """Free the engine, after the call that runs; closing twice does no harm."""
        self._closed = True
        with self._turn:
            if not self._runs:
                self._end()

    @abstractmethod
    def _run(self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None) -> Tensors:
        """Run a frame that fits."""

    @abstractmethod
    def _free(self) -> None:
        """Free the engine."""

    def _device_time(self) -> DeviceTime | None:
        return None

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._turn:
            if self._closed:
                raise SpecError("This engine is closed. Load the bundle again.")
            if self._runs:
                raise SpecError("This engine was called from within its own call. Wait for that.")
            self._runs = True
            try:
                yield
            finally:
                self._runs = False
                self._end()

    def _end(self) -> None:
        """Free the engine where it is closed, once."""
        if self._closed and not self._freed:
            self._freed = True
            self._free()


def warmed_up(make: Callable[[], _S]) -> _S:
    """Make a session and run it once, on black, while no other session of this process begins.

    Raises:
        BackendUnavailableError: The engine does not run.
    """
    with _LOADING:
        session = make()
        try:
            source = session.ports.source
            session.infer(np.zeros(source.shape, source.dtype), tuple(session.ports.outputs))
        except BaseException:
            session.close()
            raise
        return session
