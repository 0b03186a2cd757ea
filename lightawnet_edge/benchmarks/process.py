"""The runner's end of a worker process: ask, wait for a while, and say what went wrong."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from lightawnet_edge import errors
from lightawnet_edge.errors import EdgeError

COMMAND = (sys.executable, "-m", "lightawnet_edge.benchmarks.worker")
_TAIL_BYTES = 1500
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerProcess:
    """A running worker; killed when the block that holds it ends."""

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        timeout_s: float,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Start the process.

        Args:
            name: Of the engine, for messages.
            threads: Default of every thread pool that the process might make.
            timeout_s: Longest wait for one answer.
            command: What to start; answers as `lightawnet_edge.benchmarks.worker` does.
        """
        self.name = name
        self._timeout_s = timeout_s
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            env=os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            EdgeError: The process died, or gave no answer in time; it is gone after either. What
                the worker itself raised comes as the class that it raised.
        """
        try:
            if self._process.stdin is not None:
                request = json.dumps({"do": do, **arguments}, allow_nan=False)
                self._process.stdin.write(f"{request}\n")
                self._process.stdin.flush()
            answer = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            raise self._failed(f"gave no answer to '{do}' within {self._timeout_s:g} s") from None
        except OSError:  # a broken pipe: it died before it read the request
            answer = None
        if answer is None:
            raise self._failed(f"died during '{do}'")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise getattr(errors, found["error"])(*found["args"])
        return found

    def close(self) -> None:
        """End the process; closing twice does no harm."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # flushing into a broken pipe
                    stream.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(None)

    def _failed(self, what: str) -> EdgeError:
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _TAIL_BYTES))
        tail = self._stderr.read().decode("utf-8", "replace").strip() or "nothing"
        return EdgeError(
            f"The process of engine '{self.name}' {what} (exit status {code}). It last said: {tail}"
        )
