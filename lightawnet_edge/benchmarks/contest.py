"""The engines of one benchmark at work: each in its own process, rounds interleaved."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lightawnet_edge.benchmarks.accuracy import frame_scores
from lightawnet_edge.benchmarks.frames import has_opencv
from lightawnet_edge.benchmarks.pictures import make_picture
from lightawnet_edge.benchmarks.plan import BenchSpec, Plan
from lightawnet_edge.benchmarks.process import WorkerProcess
from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.benchmarks.result import Picture
from lightawnet_edge.benchmarks.samples import EngineSamples, Keep
from lightawnet_edge.benchmarks.timing import Timing
from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.bundle.layers import LayerRecord, mac_shares
from lightawnet_edge.codec import decode
from lightawnet_edge.data.frameset import FrameFile, FrameSet, spaced
from lightawnet_edge.data.masks import Extent, doubt_inverted, extent
from lightawnet_edge.data.pixels import Mask, UInt8, fit_mask
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError, SpecError
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device
from lightawnet_edge.machine.gpu_state import GpuState, read_gpu
from lightawnet_edge.machine.machine import busy_seconds, default_threads
from lightawnet_edge.progress import OnStep, Step
from lightawnet_edge.scores.masks import SegmentationScore, score_mask
from lightawnet_edge.specs import Size
from lightawnet_edge.targets import table

_FRAMES = 8
"""Frames that are timed, in turn: no engine lives off one frame in the cache."""
_WARMUP = 3
"""Untimed calls before each round: the other engines have just had the caches."""
_SETTLE_S = 0.05
"""Pause before each round, in which threads of the engine before give up spinning: OpenVINO's burn
1 ms of CPU time after a call, eager PyTorch's 2 ms, ONNX Runtime's (told not to spin) none."""

_T = TypeVar("_T")


@dataclass(slots=True)
class _Engine:
    """A plan at work, and what it has given so far."""

    plan: Plan
    process: WorkerProcess
    load_s: float = 0.0
    first_s: float = 0.0
    rounds_s: list[tuple[float, ...]] = field(default_factory=list)
    compute_s: list[tuple[float, ...]] = field(default_factory=list)
    copy_s: list[tuple[float, ...]] = field(default_factory=list)
    gpu: list[GpuState] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    peak_memory_bytes: int | None = None
    scores: dict[str, SegmentationScore] = field(default_factory=dict)
    layers: tuple[LayerRecord, ...] = ()
    parts_s: dict[str, float] = field(default_factory=dict)


class Contest:
    """Takes engines through the stages of a benchmark; one that fails leaves, the others go on."""

    def __init__(
        self,
        spec: BenchSpec,
        frames: FrameSet,
        on_step: OnStep,
        stack: ExitStack,
        *,
        keep: Keep = lambda _: None,
    ) -> None:
        """Begin without an engine.

        Args:
            spec: How to measure.
            frames: What accuracy is measured on.
            on_step: Told of each step.
            stack: Holds the worker processes and the files that they share with this one.
            keep: Told of all raw samples whenever there are more.
        """
        self.threads = spec.threads or default_threads()
        self.errors: dict[str, EdgeError] = {}
        self.skipped: dict[str, str] = {}
        self.gpu: CudaDevice | None = None
        self._spec = spec
        self._files = frames.files
        self._extents: list[Extent] = []
        self._on_step = on_step
        self._stack = stack
        self._scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._engines: list[_Engine] = []
        self._started: list[_Engine] = []
        self._keep = keep
        self._sizes: set[Size] = set()
        self._notes: list[str] = []

    def start(self, plans: Sequence[Plan], command: Sequence[str]) -> None:
        """Start the engines one after the other: no cold start shares the cores with another."""
        if any(table.on_gpu(plan.target) for plan in plans):
            with suppress(BackendUnavailableError):  # the engines' own processes say why
                self.gpu = find_device()
        self._sizes = {plan.contract.frame for plan in plans}
        files = self._latency_files({plan.contract.camera for plan in plans})
        for plan in self._steps("load", plans):
            process = WorkerProcess(
                plan.name, threads=self.threads, timeout_s=self._spec.timeout_s, command=command
            )
            engine = _Engine(plan, self._stack.enter_context(process))
            self._engines.append(engine)
            self._started.append(engine)
            if self._ask(engine, "memory") is None:  # waits until Python itself is up
                continue
            answer = self._ask(
                engine, "load", engine=dict(plan.engine), threads=self.threads,
                frames=str(files[plan.contract.camera]),
            )  # fmt: skip
            if answer is not None:
                engine.load_s, engine.first_s = answer["load_s"], answer["first_s"]

    def time(self) -> None:
        """Time the engines in turn, A B C, C B A, ...: a steady drift weighs on all alike."""
        for engine in list(self._engines):
            self._ask(
                engine, "round", calls=1, seconds=self._spec.seconds, warmup=self._spec.warmup
            )
        for turn in self._steps("latency", range(self._spec.rounds)):
            for engine in self._engines[:: -1 if turn % 2 else 1]:
                self._round(engine)
            self._keep(self._samples())
        for engine in list(self._engines):
            if (answer := self._ask(engine, "memory")) is not None:
                engine.peak_memory_bytes = answer["peak_bytes"]

    def score(self) -> None:
        """Send every frame through every engine; a broken frame is left out for all.

        Raises:
            ArtifactError: No frame can be read; names the first.
        """
        for file in self._steps("accuracy", self._files):
            try:
                found = self._segmented(file, list(self._engines))
            except ArtifactError as error:
                self.skipped[file.stem] = str(error)
                continue
            for engine, mask, truth in found:
                engine.scores[file.stem] = score_mask(mask, truth)
            self._extents += [extent(truth) for _, _, truth in found[:1]]
            self._keep(self._samples())

    def doubts(self) -> tuple[str, ...]:
        """What is to be doubted of the frames that were scored."""
        found = [*self._notes]
        if self._own_size:
            sizes = " and ".join(sorted(map(str, self._sizes)))
            found.append(
                f"engines take frames of {sizes}: masks were compared at the images' own size, so "
                "that their Dice is one measure; it is not that of a benchmark of one size"
            )
        if doubt := doubt_inverted(self._extents):
            found.append(doubt)
        return tuple(found)

    @property
    def scored_at(self) -> str:
        """The size at which masks are compared, in words."""
        return "images' own size" if self._own_size else "frame size of the engines"

    @property
    def _own_size(self) -> bool:
        """Whether masks are compared at the size of the images: those of engines differ."""
        return len(self._sizes) > 1

    def read_back(self) -> None:
        """Ask every engine what it executes on this machine, now that all is measured."""
        for engine in self._steps("read back", list(self._engines)):
            try:
                answer = engine.process.ask("layers")
            except EdgeError as error:  # all was measured, and stays
                self._notes.append(
                    f"{engine.plan.name}: what it executes was not read back here, and is what its "
                    f"export read: {error}"
                )
            else:
                engine.layers = decode(tuple[LayerRecord, ...], answer["layers"])
                engine.parts_s = answer["parts_s"]

    def records(self) -> tuple[Record, ...]:
        """What the engines that are left have given.

        Raises:
            EdgeError: No bundle is left; the reason of the first that failed.
        """
        scores = {engine.plan.name: engine.scores for engine in self._engines}
        found = tuple(
            _record(engine, scores.get(engine.plan.baseline or "")) for engine in self._engines
        )
        if all(record.is_baseline for record in found):
            raise next(iter(self.errors.values()))
        return found

    def pictures(self, records: Sequence[Record]) -> tuple[Picture, ...]:
        """Segment the frames that a report shows once more, and trace their masks."""
        if not has_opencv():
            self._notes.append("pictures of the worst frames are left out: they take OpenCV")
            return ()
        shown: dict[str, set[str | None]] = {}
        for record in records:
            for score in record.worst():
                shown.setdefault(score.frame, set()).update((record.bundle, record.baseline))
        files = [file for file in self._files if file.stem in shown]
        return tuple(
            self._picture(file, shown[file.stem]) for file in self._steps("pictures", files)
        )

    def _samples(self) -> tuple[EngineSamples, ...]:
        return tuple(
            EngineSamples(
                bundle=engine.plan.name,
                load_s=engine.load_s,
                first_s=engine.first_s,
                rounds_s=tuple(engine.rounds_s),
                compute_s=tuple(engine.compute_s),
                copy_s=tuple(engine.copy_s),
                others=tuple(engine.others),
                scores=dict(engine.scores),
            )
            for engine in self._started
        )

    def _picture(self, file: FrameFile, names: Collection[str | None]) -> Picture:
        frame, truth = file.read_pair()
        engines = [engine for engine in self._engines if engine.plan.name in names]
        masks = {engine.plan.name: mask for engine, mask, _ in self._segmented(file, engines)}
        return make_picture(file.stem, frame, truth, masks)

    def _latency_files(self, cameras: Collection[Camera]) -> dict[Camera, Path]:
        """Write a few frames of each camera.

        Raises:
            ArtifactError: None of them can be read; names the first.
        """
        readable = []
        for index in spaced(len(self._files), _FRAMES):
            file = self._files[index]
            try:
                file.read_pair()
            except ArtifactError as error:
                self.skipped[file.stem] = str(error)
            else:
                readable.append(file)
        if not readable:
            raise ArtifactError(f"No frame can be read: {next(iter(self.skipped.values()))}")
        files = {}
        for number, camera in enumerate(cameras):
            files[camera] = self._scratch / f"{number}.npy"
            np.save(files[camera], [file.seen_by(camera) for file in readable])
        return files

    def _round(self, engine: _Engine) -> None:
        """Time one round, and see how busy others kept the CPUs meanwhile."""
        spec = self._spec
        time.sleep(_SETTLE_S)
        busy_s, own_s, start = busy_seconds(), time.process_time(), time.perf_counter()
        answer = self._ask(
            engine, "round", calls=math.ceil(spec.calls / spec.rounds),
            seconds=spec.seconds / spec.rounds, warmup=_WARMUP,
        )  # fmt: skip
        if answer is None:
            return
        if self.gpu is not None and table.on_gpu(engine.plan.target):
            engine.gpu.append(read_gpu(self.gpu.bus))  # at once: an idle GPU lowers its clock
        engine.rounds_s.append(tuple(answer["samples_s"]))
        if answer["compute_s"]:
            engine.compute_s.append(tuple(answer["compute_s"]))
            engine.copy_s.append(tuple(answer["copy_s"]))
        if busy_s is not None and (busy_now_s := busy_seconds()) is not None:
            own_s = time.process_time() - own_s + answer["cpu_s"]
            others_s = busy_now_s - busy_s - own_s
            engine.others.append(others_s / (time.perf_counter() - start))

    def _segmented(
        self, file: FrameFile, engines: Collection[_Engine]
    ) -> list[tuple[_Engine, Mask, Mask]]:
        """Masks of those engines that do not fail, each with the truth at its size.

        That is the engine's frame, or the image's own where frames of engines differ.

        Raises:
            ArtifactError: The frame or its mask cannot be read.
        """
        found = []
        for camera in {engine.plan.contract.camera for engine in engines}:
            frame, truth = file.pair_seen_by(camera)
            np.save(self._scratch / "frame.npy", frame)
            if self._own_size:
                truth = file.read_truth()
            for engine in (one for one in engines if one.plan.contract.camera == camera):
                if (mask := self._mask(engine)) is not None:
                    found.append((engine, fit_mask(mask, Size(*truth.shape)), truth))
        return found

    def _mask(self, engine: _Engine) -> Mask | None:
        frame, mask = self._scratch / "frame.npy", self._scratch / "mask.npy"
        if self._ask(engine, "segment", frame=str(frame), mask=str(mask)) is None:
            return None
        values: UInt8 = np.load(mask)
        return values > 0

    def _ask(self, engine: _Engine, do: str, /, **arguments: Any) -> dict[str, Any] | None:
        """Ask an engine; where it fails, note the error, let the engine go and return None.

        Raises:
            ArtifactError, SpecError: The user can mend it, and should before anything is measured.
        """
        try:
            return engine.process.ask(do, **arguments)
        except (ArtifactError, SpecError):
            raise
        except EdgeError as error:
            engine.process.close()
            self._engines.remove(engine)
            self.errors[engine.plan.name] = error
            return None

    def _steps(self, stage: str, items: Collection[_T]) -> Iterator[_T]:
        """Yield items, and tell how far it is."""
        for done, item in enumerate(items):
            self._on_step(Step(stage, done, len(items)))
            yield item
        self._on_step(Step(stage, len(items), len(items)))


def _record(engine: _Engine, baseline: dict[str, SegmentationScore] | None) -> Record:
    plan = engine.plan
    return Record(
        bundle=plan.name,
        target=plan.target,
        precision=plan.precision,
        routing=plan.routing,
        frame=str(plan.contract.frame),
        network=str(plan.contract.network),
        engine_bytes=plan.engine_bytes,
        executed=mac_shares(engine.layers) if engine.layers else plan.executed,
        baseline=None if baseline is None else plan.baseline,
        timing=Timing(
            load_s=engine.load_s,
            first_s=engine.first_s,
            rounds_s=tuple(engine.rounds_s),
            compute_s=tuple(engine.compute_s),
            copy_s=tuple(engine.copy_s),
            gpu=tuple(engine.gpu),
            others=tuple(engine.others),
            peak_memory_bytes=engine.peak_memory_bytes,
        ),
        scores=frame_scores(engine.scores, baseline),
        layers=engine.layers,
        parts_s=engine.parts_s,
    )
