"""Fake engines and hand-made results: a benchmark without a toolchain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks import baselines
from lightawnet_edge.benchmarks.provenance import MeasuredBundle, Provenance
from lightawnet_edge.benchmarks.records import FrameScore, Record
from lightawnet_edge.benchmarks.result import BenchResult, Failure, Picture
from lightawnet_edge.benchmarks.timing import Timing
from lightawnet_edge.bundle.manifest import Source
from lightawnet_edge.machine.machine import Machine, MachineState

# A worker whose engines call every pixel of more than middling red a polyp. The name of the bundle
# says what else it does; PyTorch is one of them, too.
FAKE_WORKER = """
import os, sys, time
import numpy as np
from lightawnet_edge.targets.base import DeviceTime
from lightawnet_edge.benchmarks import worker
from lightawnet_edge.errors import BackendUnavailableError

def opened(engine, threads):
    name = os.path.basename(engine.get("bundle", "baseline"))
    os.write(1, b"a toolchain says hello\\n")
    if "absent" in name:
        raise BackendUnavailableError("onnx", "it is not installed")
    if "hang" in name:
        time.sleep(60)
    calls = []
    def call(frame):
        calls.append(1)
        if "tired" in name and len(calls) > 29:  # all rounds, and a frame or two
            os._exit(3)
        if "crash" in name:
            print("out of memory in layer 7", file=sys.stderr, flush=True)
            os._exit(3)
        time.sleep(0.002 if "slow" in name or name == "baseline" else 0.0005)
        mask = np.where(frame[:, :, 0] > (150 if "worse" in name else 127), 255, 0)
        return mask.astype(np.uint8)
    if "gpu" in name:
        call.device_time = lambda: DeviceTime(copy_s=1e-5, compute_s=1e-4)
    return call

def layers(engine, threads, frames):
    if "mute" in engine.get("bundle", ""):
        raise BackendUnavailableError("reading kernels", "onnx is not installed")
    return (), {}

worker._layers = layers
worker._open = opened
worker.main()
"""

MakeRecord = Callable[..., Record]
MakeResult = Callable[..., BenchResult]


@pytest.fixture(scope="session")
def fake_command() -> list[str]:
    """Starts a worker with fake engines."""
    return [sys.executable, "-c", FAKE_WORKER]


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
def provenance() -> Provenance:
    """What the result by hand was measured on."""
    return Provenance(
        command=("lightawnet-edge", "bench", "a b"),
        bundles={
            "polyp-openvino-int8": MeasuredBundle(
                manifest_sha256="1" * 64, engine={"engine.xml": "2" * 64, "engine.bin": "3" * 64},
                checkpoint=Source(name="polyp", sha256="4" * 64),
            )
        },
        frames_sha256="5" * 64,
    )  # fmt: skip


@pytest.fixture(scope="session")
def failure() -> Failure:
    return Failure(bundle="polyp-bf16", reason="'openvino bf16' cannot run here", exit_code=4)


@pytest.fixture
def known_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoints of hand-made bundles are found; fake engines never open them."""
    files = {letter * 64: Path(f"{letter}.safetensors") for letter in "cd"}
    find = baselines.find_checkpoints
    monkeypatch.setattr(baselines, "find_checkpoints", lambda *given: files | find(*given))
