"""One engine in one process: `python -m lightawnet_edge.benchmarks.worker`.

A request is a line of JSON on standard input, `{"do": NAME, ...arguments}`; its answer is a line of
JSON on standard output. What the toolchains print goes to standard error, so that it cannot get
between the answers. The process ends with its input.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.errors import BackendUnavailableError, EdgeError, SpecError
from lightawnet_edge.targets.base import WARMUP, DeviceTime

Frame = NDArray[np.uint8]
Call = Callable[[Frame], Frame]
Clock = Callable[[], float]
_PROFILED = 20
"""Calls that tell where the time of a call goes."""


class Worker:
    """Answers the runner's requests with one engine."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._call: Call = _no_engine
        self._engine: tuple[Mapping[str, Any], int] = ({}, 1)
        self._frames: Iterator[Frame] = iter(())

    def load(self, engine: Mapping[str, Any], threads: int, frames: str) -> dict[str, Any]:
        """Open an engine and time its cold start: loading, and the first frame to its mask.

        Loading covers importing the toolchain, checking hashes, reading and compiling. Starting
        Python and importing numpy came before; files may be in the page cache.

        Args:
            engine: `{"bundle": path}`, or the arguments of `open_eager`.
            threads: CPU threads that the engine may use.
            frames: `.npy` file with frames of the engine's shape, (n, H, W, 3) or (n, H, W).
        """
        loaded = [np.ascontiguousarray(frame) for frame in np.load(frames)]
        self._frames = itertools.cycle(loaded)
        self._engine = engine, threads
        start = self._clock()
        self._call = self.open(engine, threads)
        ready = self._clock()
        self._call(loaded[0])
        return {"load_s": ready - start, "first_s": self._clock() - ready}

    def open(self, engine: Mapping[str, Any], threads: int) -> Call:
        """Open a bundle, or the FP32 network in PyTorch, as a function from frame to mask."""
        return _open(engine, threads)

    def round(self, calls: int, seconds: float, warmup: int) -> dict[str, Any]:
        """Time calls one by one, after untimed ones that wake caches and threads.

        Where an engine is slow, the untimed calls end after a quarter of `seconds`. `cpu_s` is the
        CPU time that this process used for all of it. `compute_s` and `copy_s` are the times of the
        device itself for the same calls, and empty where it has none.
        """
        cpu_s = time.process_time()
        if warmup:
            list(measure(self._call, self._frames, warmup, seconds / 4, self._clock))
        samples, device = [], []
        for sample in measure(self._call, self._frames, calls, seconds, self._clock):
            samples.append(sample)
            if (found := self._device_time()) is not None:
                device.append(found)
        return {
            "samples_s": samples,
            "cpu_s": time.process_time() - cpu_s,
            "compute_s": [found.compute_s for found in device],
            "copy_s": [found.copy_s for found in device],
        }

    def _device_time(self) -> DeviceTime | None:
        """Of the last call: engines of bundles know it, eager PyTorch on the CPU has none."""
        ask = getattr(self._call, "device_time", None)
        found: DeviceTime | None = ask() if ask else None
        return found

    def memory(self) -> dict[str, Any]:
        """Peak resident memory of this process until now."""
        return {"peak_bytes": peak_memory_bytes()}

    def layers(self) -> dict[str, Any]:
        """Read back the convolutions as they run here, and the seconds of a call by its parts.

        Compiles the engine once more, so last.
        """
        frames = list(itertools.islice(self._frames, WARMUP + _PROFILED))
        layers, parts_s = _layers(*self._engine, frames)
        return {"layers": encode(layers), "parts_s": parts_s}

    def segment(self, frame: str, mask: str) -> dict[str, Any]:
        """Read a frame from a `.npy` file and write its mask to another."""
        np.save(mask, self._call(np.load(frame)))
        return {}


def measure(
    call: Call, frames: Iterable[Frame], calls: int, seconds: float, clock: Clock
) -> Iterator[float]:
    """Yield seconds for each call, until there are `calls` of them or `seconds` have passed.

    `call` must block until its mask is ready.
    """
    begin = clock()
    for frame in itertools.islice(frames, calls):
        start = clock()
        call(frame)
        end = clock()
        yield end - start
        if end - begin >= seconds:
            return


def peak_memory_bytes() -> int | None:
    """Peak resident memory of this process; None where the system does not say.

    Not `getrusage`: its peak survives exec, so a small process would report its parent's.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def open_eager(contract: Contract, checkpoint: str | None, sha256: str, threads: int) -> Call:
    """Open the FP32 network in eager PyTorch, with the pre- and post-processing of a bundle.

    Args:
        contract: The bundle's: the same frames give masks of the same size.
        checkpoint: File of the weights; None looks among the packaged ones.
        sha256: Of the checkpoint that the bundle was made from.
        threads: CPU threads.

    Raises:
        BackendUnavailableError: PyTorch is not installed.
        SpecError: No checkpoint has this SHA-256.
    """
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailableError(
            "pytorch",
            f"{error}. Install it: pip install 'lightawnet-edge[export]', or use --no-baseline",
        ) from error
    from lightawnet_edge.graph.device_graph import DeviceModel
    from lightawnet_edge.model.checkpoint import load_checkpoint

    torch.set_num_threads(threads)
    network = load_checkpoint(_checkpoint(checkpoint, sha256))
    model = DeviceModel(network, contract).eval()

    def call(frame: Frame) -> Frame:
        with torch.inference_mode():
            mask: Frame = model(torch.from_numpy(frame))[0].numpy()
        return mask

    return call


def _checkpoint(given: str | None, sha256: str) -> Path:
    from lightawnet_edge.model.packaged import find_by_sha256, resolve

    if given is None:
        if (packaged := find_by_sha256(sha256)) is None:
            raise SpecError(
                f"The bundle's checkpoint (sha256 {sha256[:12]}…) is not packaged. Give it with "
                "--checkpoint FILE, or leave the comparison out with --no-baseline."
            )
        return packaged
    path = resolve(given)
    if (found := sha256_of(path)) != sha256:
        raise SpecError(
            f"Checkpoint '{path}' is not the one that the bundle was made from: its sha256 is "
            f"{found[:12]}…, the manifest says {sha256[:12]}…. Give that one with --checkpoint."
        )
    return path


def _open(engine: Mapping[str, Any], threads: int) -> Call:
    if "bundle" not in engine:
        contract = decode(Contract, engine["contract"])
        return open_eager(contract, engine["checkpoint"], engine["sha256"], threads)
    from lightawnet_edge.runtime.segmenter import Segmenter

    return Segmenter.load(engine["bundle"], threads=threads)


def _layers(
    engine: Mapping[str, Any], threads: int, frames: Sequence[Frame]
) -> tuple[tuple[LayerRecord, ...], dict[str, float]]:
    if "bundle" not in engine:
        return (), {}
    from lightawnet_edge.inspection.inspection import read_layers

    return read_layers(Bundle.open(engine["bundle"]), threads, frames)


def _no_engine(_: Frame) -> Frame:
    raise SpecError("No engine is loaded. Ask for 'load' first.")


def serve(requests: Iterable[str], answers: TextIO, worker: Worker) -> None:
    """Answer requests until there are no more; the package's own errors are answers, too."""
    verbs: dict[str, Callable[..., dict[str, Any]]] = {
        verb.__name__: verb
        for verb in (worker.load, worker.round, worker.memory, worker.segment, worker.layers)
    }
    for line in requests:
        request = json.loads(line)
        try:
            answer = verbs[request.pop("do")](**request)
        except BackendUnavailableError as error:
            answer = {"error": type(error).__name__, "args": [error.name, error.reason]}
        except EdgeError as error:
            answer = {"error": type(error).__name__, "args": [str(error)]}
        answers.write(json.dumps(answer, allow_nan=False) + "\n")
        answers.flush()


def main(worker: Worker | None = None) -> None:
    """Keep standard output for answers alone, then serve."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers, worker or Worker())


if __name__ == "__main__":
    main()
