"""`stream` from outside: a table, a video, a log, and an exit code for every end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge import Segmenter
from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.data.video import video_facts
from lightawnet_edge.export.pipeline import export
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.specs import Precision, Size, Target
from tests.cli.conftest import Cli
from tests.conftest import SIZE, MakeBundle, blobs

FRAMES = [frame for frame, _ in blobs(6, SIZE)]
PATIENT = ("--fps", 4, "--deadline-ms", 60_000, "--threads", 1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    spec = ExportSpec(
        target=Target.ONNX,
        precision=Precision.FP32,
        weights=str(checkpoint),
        out=tmp_path_factory.mktemp("engines"),
    )
    return export(spec).bundle.path


def write_folder(path: Path, size: Size = SIZE) -> Path:
    path.mkdir()
    for index, frame in enumerate(FRAMES):
        picture = cv2.resize(frame[:, :, ::-1], (size.width, size.height))
        cv2.imwrite(str(path / f"{index}.png"), picture)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "frames")


def test_stream_writes_a_video_and_a_log_and_prints_json_alone(
    cli: Cli, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    shown, log = tmp_path / "shown.mp4", tmp_path / "events.jsonl"
    done = cli("stream", bundle, folder, *PATIENT, "--out", shown, "--log", log, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["schema"] == 1
    assert record["captured"] == 6
    assert record["masks"] + record["dropped"] + record["lost"] == 6
    assert record["late"] == 0
    assert record["missed"] == record["dropped"]
    assert record["ended"] == "the source ended"
    assert record["latency"]["count"] == record["masks"]
    assert video_facts(shown).frames == 6
    assert video_facts(shown).rate == 4
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["start", "end"]


def test_masks_are_those_of_the_segmenter(
    cli: Cli, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    done = cli("stream", bundle, folder, *PATIENT, "--out", tmp_path / "masks")
    assert done.code == 0, done.err
    assert f"{bundle.name} on '{folder}': 6 frames in " in done.out
    assert "bad-numbers" in done.out
    written = sorted((tmp_path / "masks").iterdir())
    assert written
    with Segmenter.load(bundle, threads=1) as segmenter:
        for file in written:
            mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask, segmenter(FRAMES[int(file.name[:6])]))


def test_more_missed_than_allowed_ends_with_5_after_the_table(
    cli: Cli, bundle: Path, folder: Path
) -> None:
    done = cli("stream", bundle, folder, "--deadline-ms", "0.001", "--max-missed", "0.5")
    assert done.code == 5
    assert "6 (100.0%) without a mask at the deadline" in done.out
    assert "6 of 6 frames (100.00%) had no mask at the deadline of 0.0 ms, and 50.00% may" in (
        done.err
    )


def test_frames_of_another_size_need_to_be_scaled(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    wide = write_folder(tmp_path / "wide", Size(48, 80))
    done = cli("stream", bundle, wide)
    assert done.code == 2
    assert "gives frames of 48x80, and the bundle takes 64x64. Use --scale to stretch" in done.err
    assert done.out == ""
    assert cli("stream", bundle, wide, *PATIENT, "--scale").code == 0


def test_ctrl_c_ends_with_the_table(bundle: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    command = ["stream", bundle, folder, "--seconds", "600", "--log", log, "--out", "shown.mp4"]
    # A test run in the background of a shell hands down that SIGINT is ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from lightawnet_edge.__main__ import main; main()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    end_s = time.monotonic() + 120
    while not (log.exists() and '"condition"' in log.read_text()) and time.monotonic() < end_s:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the engine's process is told, too
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "interrupted" in out
    assert "bad-numbers" in out
    assert "Traceback" not in err
    assert (video_facts(tmp_path / "shown.mp4").frames or 0) >= 1
    assert '"interrupted"' in log.read_text().splitlines()[-1]


def test_an_engine_that_cannot_be_loaded_is_one_sentence(
    cli: Cli, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    frames = write_folder(tmp_path / "frames", Size(24, 32))
    broken = cli("stream", make_bundle("broken", precision=Precision.FP32).path, frames)
    assert broken.code == 3
    assert broken.out == ""
    assert broken.err.startswith("error: ")
    other = cli("stream", make_bundle("other", precision=Precision.BF16).path, frames)
    assert other.code == 4
    assert "'onnx bf16' cannot run here" in other.err
    assert len(other.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--seconds", "0"], 2, "--seconds 0 must be greater than 0"),
        (["--max-missed", "2"], 2, "--max-missed 2 must lie between 0 and 1"),
        (["--deadline-ms", "-5"], 2, "deadline_s=-0.005 must be finite and greater than 0"),
        (["--fps", "0"], 2, "A rate of 0 frames per second must be above 0"),
        (["--react", "hung=show"], 2, "the reaction to 'hung' is restart or stop"),
        (["--react", "frozen"], 2, "'frozen' is no reaction"),
        (["--out", "clip.mkv"], 2, "is neither a video (NAME.mp4) nor a folder"),
        (["--log", "no/where.jsonl"], 3, "'no/where.jsonl' cannot be written: No such file"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_loaded(
    cli: Cli, make_bundle: MakeBundle, tmp_path: Path, options: list[str], code: int, message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    frames = write_folder(tmp_path / "frames", Size(24, 32))
    bundle = make_bundle("tiny").path
    monkeypatch.chdir(frames.parent)
    before = set(tmp_path.rglob("*"))
    done = cli("stream", bundle, frames, *options)
    assert done.code == code
    assert message in done.err
    assert done.out == ""
    assert set(tmp_path.rglob("*")) == before


def test_no_bundle_and_no_source_are_refused(cli: Cli, make_bundle: MakeBundle) -> None:
    assert "is no bundle" in cli("stream", "nowhere", "clip.mp4").err
    done = cli("stream", make_bundle("tiny").path, "nowhere.mp4")
    assert done.code == 3
    assert "No source 'nowhere.mp4'. A source is a video, a folder of images, a camera" in done.err


def test_a_folder_in_use_and_one_of_records_are_not_written(
    cli: Cli, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    with writing(tmp_path / "masks"):
        done = cli("stream", bundle, folder, "--fps", "20", "--out", tmp_path / "masks")
    assert done.code == 2
    assert "Another process is writing" in done.err
    done = cli("stream", bundle, folder, "--out", bundle)
    assert done.code == 2
    assert "holds a manifest.json" in done.err
