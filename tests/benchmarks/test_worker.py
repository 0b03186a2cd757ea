from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightawnet_edge.benchmarks import worker
from lightawnet_edge.benchmarks.worker import Frame, Worker, measure, peak_memory_bytes, serve
from lightawnet_edge.errors import SpecError

FRAMES = np.stack([np.full((4, 6, 3), value, np.uint8) for value in (10, 200)])


def test_calls_are_timed_one_by_one_until_there_are_enough() -> None:
    ticks = itertools.count()
    samples = list(
        measure(lambda frame: frame, itertools.cycle(FRAMES), 5, 100.0, lambda: next(ticks))
    )
    assert samples == [1.0] * 5


def test_time_that_is_up_ends_the_calls() -> None:
    ticks = itertools.count()
    samples = list(
        measure(lambda frame: frame, itertools.cycle(FRAMES), 99, 4.0, lambda: next(ticks))
    )
    assert len(samples) == 2  # the clock is read twice a call, and once before


def test_frames_come_in_turn_over_all_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def call(frame: Frame) -> Frame:
        seen.append(int(frame[0, 0, 0]))
        return frame[:, :, 0]

    monkeypatch.setattr(worker, "_open", lambda *_: call)
    np.save(tmp_path / "frames.npy", FRAMES)
    served = Worker()
    cold = served.load({"bundle": "x"}, 1, str(tmp_path / "frames.npy"))
    assert cold["load_s"] >= 0
    assert cold["first_s"] >= 0
    found = served.round(calls=3, seconds=9.0, warmup=2) | {"more": served.round(2, 9.0, 0)}
    assert len(found["samples_s"]) == 3
    assert len(found["more"]["samples_s"]) == 2
    assert seen == [10, 10, 200, 10, 200, 10, 200, 10]  # the cold start, then 2 + 3 + 2 in turn


def test_a_mask_is_written_for_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_open", lambda *_: lambda frame: frame[:, :, 0])
    np.save(tmp_path / "frames.npy", FRAMES)
    np.save(tmp_path / "frame.npy", FRAMES[1])
    served = Worker()
    served.load({"bundle": "x"}, 1, str(tmp_path / "frames.npy"))
    served.segment(str(tmp_path / "frame.npy"), str(tmp_path / "mask.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), np.full((4, 6), 200))


def test_an_error_of_the_package_is_an_answer() -> None:
    answers = io.StringIO()
    requests = [
        json.dumps({"do": "round", "calls": 1, "seconds": 1, "warmup": 1}),
        '{"do": "memory"}',
    ]
    served = Worker()
    served._frames = itertools.cycle(FRAMES)
    serve(requests, answers, served)
    error, memory = map(json.loads, answers.getvalue().splitlines())
    assert error == {"error": "SpecError", "args": ["No engine is loaded. Ask for 'load' first."]}
    assert set(memory) == {"peak_bytes"}


def test_what_toolchains_print_does_not_get_between_the_answers(
    fake_command: list[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "frames.npy", FRAMES)
    request = {
        "do": "load",
        "engine": {"bundle": "x"},
        "threads": 1,
        "frames": str(tmp_path / "frames.npy"),
    }
    done = subprocess.run(
        fake_command, input=json.dumps(request) + "\n", capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == {"load_s", "first_s"}
    assert "hello" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory_is_that_of_the_process_itself_not_of_its_parent() -> None:
    ballast = np.ones(50_000_000)  # 400 MB
    code = "from lightawnet_edge.benchmarks import worker; print(worker.peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = peak_memory_bytes()
    assert ours is not None
    assert ours > ballast.nbytes > 4 * int(done.stdout)


def test_a_bundle_is_opened_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; import lightawnet_edge.benchmarks.worker as w\n"
        "from lightawnet_edge.errors import ArtifactError\n"
        f"try: w._open({{'bundle': {str(tmp_path)!r}}}, 1)\n"
        "except ArtifactError: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_checkpoint_that_is_not_packaged_must_be_given() -> None:
    with pytest.raises(
        SpecError,
        match=r"\(sha256 c{12}…\) is not packaged.*--checkpoint.*--no-baseline",
    ):
        worker._checkpoint(None, "c" * 64)


def test_another_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"other weights")
    with pytest.raises(SpecError, match=r"its sha256 is [0-9a-f]{12}…, the manifest says c{12}…"):
        worker._checkpoint(str(tmp_path / "other.safetensors"), "c" * 64)
