"""Fake engines and hand-made results: a benchmark without a toolchain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks.evaluation import Evaluation, FrameResult
from lightawnet_edge.benchmarks.records import FrameScore, Record
from lightawnet_edge.benchmarks.result import BenchResult, Failure, Picture
from lightawnet_edge.benchmarks.timing import Timing
from lightawnet_edge.bundle import Bundle, Contract, Manifest, Source, sha256_of, write_manifest
from lightawnet_edge.machine import Machine, MachineState
from lightawnet_edge.specs import ColorOrder, Normalization, Precision, Routing, Size, Target

# A worker whose engines call every pixel of more than middling red a polyp. The name of the bundle
# says what else it does; PyTorch is one of them, too.
FAKE_WORKER = """
import os, sys, time
import numpy as np
from lightawnet_edge.backends.base import DeviceTime
from lightawnet_edge.benchmarks import worker
from lightawnet_edge.errors import BackendUnavailableError

def opened(engine, threads):
    name = os.path.basename(engine.get("bundle", "baseline"))
    os.write(1, b"a toolchain says hello\\n")
    if "absent" in name:
        raise BackendUnavailableError("onnx", "it is not installed")
    if "hang" in name:
        time.sleep(60)
    def call(frame):
        if "crash" in name:
            print("out of memory in layer 7", file=sys.stderr, flush=True)
            os._exit(3)
        time.sleep(0.002 if "slow" in name or name == "baseline" else 0.0005)
        mask = np.where(frame[:, :, 0] > (150 if "worse" in name else 127), 255, 0)
        return mask.astype(np.uint8)
    if "gpu" in name:
        call.device_time = lambda: DeviceTime(copy_s=1e-5, compute_s=1e-4)
    return call

worker._open = opened
worker.main()
"""

MakeBundle = Callable[..., Bundle]
MakeRecord = Callable[..., Record]
MakeResult = Callable[..., BenchResult]
MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture(scope="session")
def fake_command() -> list[str]:
    """Starts a worker with fake engines."""
    return [sys.executable, "-c", FAKE_WORKER]


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Write a bundle whose engine is a text file."""

    def make(
        name: str, *, checkpoint: str = "c" * 64, frame: str = "24x32", **changes: Any
    ) -> Bundle:
        folder = tmp_path / "engines" / name
        folder.mkdir(parents=True)
        for file in ("engine.txt", "device.onnx"):
            (folder / file).write_text(name)
        contract = Contract(
            frame=Size.parse(frame), color=ColorOrder.RGB, network=Size(16, 32),
            normalization=Normalization(), threshold=0.5, probability=True,
        )  # fmt: skip
        values: dict[str, Any] = {
            "name": name, "target": Target.ONNX, "precision": Precision.INT8, "agreement": {},
            "routing": Routing.STATIC, "contract": contract, "tools": {}, "inputs_sha256": "0",
            "engine": "engine.txt", "device_graph": "device.onnx", "calibration": None,
            "files": {file.name: sha256_of(file) for file in folder.iterdir()},
            "checkpoint": Source(name="c.safetensors", sha256=checkpoint),
            "executed": {"int8": 0.9, "fp32": 0.1},
        }  # fmt: skip
        write_manifest(folder, Manifest(**(values | changes)))
        return Bundle.open(folder)

    return make


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A record by hand: ten rounds of twenty calls, four frames."""

    def make(bundle: str, call_s: float, dice: tuple[float, ...], **changes: Any) -> Record:
        baseline_dice = changes.pop("baseline_dice", (0.9, 0.8, 0.7, 0.6))
        rounds = tuple(
            tuple(call_s * (1 + 0.001 * ((call * 7 + turn) % 20)) for call in range(20))
            for turn in range(10)
        )
        values: dict[str, Any] = {
            "bundle": bundle, "target": "openvino", "precision": "int8", "routing": "static",
            "frame": "256x256", "network": "256x256", "engine_bytes": 3_000_000,
            "executed": {"int8": 0.967, "fp32": 0.033, "bf16": 0.0}, "baseline": "pytorch-eager",
            "timing": Timing(
                load_s=0.4, first_s=0.1, rounds_s=rounds, others=(0.01,) * 10,
                peak_memory_bytes=150_000_000,
            ),
            "scores": tuple(
                FrameScore(
                    frame=f"frame{index}", dice=value, iou=value / 2, precision=0.5, recall=0.75,
                    dice_drop=fp32 - value,
                )
                for index, (value, fp32) in enumerate(zip(dice, baseline_dice, strict=True))
            ),
        }  # fmt: skip
        return Record(**(values | changes))

    return make


@pytest.fixture(scope="session")
def make_result(make_record: MakeRecord) -> MakeResult:
    """A result by hand: the baseline and two engines, unless told otherwise."""

    def make(**changes: Any) -> BenchResult:
        state = MachineState(load_1min=0.1, frequency_hz=2.8e9, throttled=0, temperature_c=None)
        square = (((10, 10), (30, 10), (30, 20)),)
        values: dict[str, Any] = {
            "created": "2026-01-31T12:00:00+00:00",
            "version": "0.1.0",
            "settings": {
                "data": "polyps", "split": None, "limit": None, "baseline": True,
                "checkpoint": None, "calls": 200, "seconds": 20.0, "rounds": 10, "warmup": 10,
                "threads": 2, "deadline_s": 1 / 30, "timeout_s": 300.0,
            },
            "machine": Machine(
                cpu="A CPU", isa=("avx2",), cores=2, cpus=2, memory_bytes=8_000_000_000,
                system="Linux", virtual=False, governor="performance", versions={"python": "3"},
            ),
            "before": state,
            "after": state,
            "records": (
                make_record(
                    "pytorch-eager", 0.08, (0.9, 0.8, 0.7, 0.6), target="pytorch", precision="fp32",
                    routing="dynamic", engine_bytes=None, executed={"fp32": 1.0},
                ),
                make_record("polyp-openvino-int8", 0.008, (0.88, 0.79, 0.7, 0.55)),
                make_record("polyp-openvino-fp32", 0.02, (0.9, 0.8, 0.7, 0.6), precision="fp32",
                            routing="dynamic", executed={"fp32": 1.0}),
            ),
            "failures": (),
            "skipped": {},
            "pictures": (
                Picture(
                    frame="frame3", width=40, height=30, jpeg="AAAA", truth=square,
                    masks={"polyp-openvino-int8": square, "pytorch-eager": square},
                ),
            ),
        }  # fmt: skip
        return BenchResult(**(values | changes))

    return make


@pytest.fixture(scope="session")
def failure() -> Failure:
    return Failure(bundle="polyp-bf16", reason="'openvino bf16' cannot run here", exit_code=4)


def frame_result(stem: str, **changes: Any) -> FrameResult:
    """A frame by hand, of middling scores."""
    values: dict[str, Any] = {
        "stem": stem, "height": 30, "width": 40, "group": None, "truth_share": 0.2,
        "predicted_share": 0.2, "dice": 0.8, "iou": 0.7, "precision": 0.8, "recall": 0.8,
        "hd95_px": 5.0,
    }  # fmt: skip
    return FrameResult(**(values | changes))


@pytest.fixture(scope="session")
def make_evaluation() -> MakeEvaluation:
    """An evaluation by hand: two empty frames, three lesions, of which one was missed."""

    def make(**changes: Any) -> Evaluation:
        nothing = {"dice": 0.0, "iou": 0.0, "precision": 0.0, "recall": 0.0, "hd95_px": None}
        frames = (
            frame_result("a", group="north"),
            frame_result("b", group="south", truth_share=0.02, dice=0.4),
            frame_result("c", group="north", predicted_share=0.0, **nothing),
            frame_result("d", group="south", truth_share=0.0, **nothing),
            frame_result(
                "e", group="north", truth_share=0.0, predicted_share=0.0, dice=1.0, hd95_px=0.0
            ),
        )
        values: dict[str, Any] = {
            "version": "0.1.0",
            "weights": {
                "name": "tiny", "sha256": "a" * 64, "parameters": 1234, "in_channels": 3,
                "size": "64x64", "training_data": "Blobs, 2026", "license": "CC0-1.0",
            },
            "size": "64x64", "data": "blobs", "split": "val.txt", "limit": None,
            "frames_sha256": "b" * 64, "tools": {"torch": "2"}, "frames": frames,
        }  # fmt: skip
        return Evaluation(**(values | changes))

    return make
