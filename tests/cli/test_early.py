"""What can be known first is refused first: before packages are imported and work is done."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.runtime.segmenter import Segmenter
from tests.cli.conftest import Cli
from tests.conftest import MakeBundle

Bundles = dict[tuple[str, str], Path]

_SAYS = "is no folder that can be written: Not a directory. Choose another."


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results that cannot be: a file is in the way. The working folder is empty."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "file").write_text("mine")
    return tmp_path / "file" / "out"


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--data", "nowhere"),
        ("calibrate", "--data", "nowhere"),
        ("train", "--data", "nowhere"),
        ("export", "--weights", "nothing"),
        ("bench", "nowhere"),
        ("demo", "--weights", "nothing"),
        ("inspect", "--routing", "nothing"),
    ],
)
def test_where_results_cannot_go_is_said_before_anything_else(
    cli: Cli, taken: Path, words: tuple[str, ...]
) -> None:
    done = cli(*words, "--out", taken)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"error: '{taken}' {_SAYS}\n"
    assert not list(Path.cwd().iterdir())


def test_a_file_that_cannot_go_there_is_refused_before_a_pickle_is_read(
    cli: Cli, taken: Path
) -> None:
    done = cli("import-checkpoint", "nowhere.pkl", "--out", taken / "ours.safetensors")
    assert done.code == 3
    assert f"'{taken}' {_SAYS}" in done.err


def test_run_refuses_its_folder_before_it_loads_an_engine(
    cli: Cli, taken: Path, dataset: Path, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("an engine was loaded")

    monkeypatch.setattr(Segmenter, "load", load)
    bundle = make_bundle("one").path
    done = cli("run", bundle, dataset / "images", "--out", taken)
    assert (done.code, _SAYS in done.err) == (3, True)
    done = cli("run", bundle, dataset / "images", "--out", dataset / "images")
    assert (done.code, "masks would lie among them" in done.err) == (2, True)


def test_requests_that_make_no_sense_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    requests = [
        ["export", "--int8", "--fp32"],
        ["export", "--weights", "nothing"],
        ["export", "--max-dice-drop", "0.1"],
        ["export", "--int8", "--calibration", "nowhere"],
        ["evaluate", "--data", "nowhere"],
        ["evaluate", "--data", "nowhere", "--weights", "nothing"],
        ["calibrate", "--data", "nowhere", "--out", "set", "--weights", "nothing"],
        ["import-checkpoint", "nowhere.pkl", "--out", "x.safetensors", "--size", "big"],
        ["inspect", "--routing", "nothing"],
        ["sensitivity", "nowhere"],
        ["train", "--data", ".", "--out", "run", "--init", "nothing"],
        ["train", "--data", ".", "--out", "run", "--epochs", "0"],
        ["demo", "--calls", "0"],
        ["bench", "--calls", "0"],
    ]
    program = (
        "import json, sys\nfrom lightawnet_edge.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['lightawnet-edge', *words]\n"
        "    try: main()\n"
        "    except SystemExit as stop: codes = stop.code\n"
        "    heavy = {'torch', 'cv2', 'onnx', 'openvino', 'matplotlib'} & {*sys.modules}\n"
        "    assert codes in (2, 3) and not heavy, (words, codes, heavy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(requests)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(requests), "a line each"


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("onnx", ("export", "--int8")),
        ("onnxscript", ("demo",)),
        ("onnxscript", ("export", "--target", "tensorrt", "--fp16")),
        ("matplotlib", ("inspect", "--routing", "polypgen")),
        ("cv2", ("evaluate", "--data", "nowhere")),
    ],
)
def test_a_package_that_will_be_missing_is_named_first(
    cli: Cli,
    package: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    done = cli(*words)
    assert (done.code, done.out) == (4, "")
    assert f"{package} not installed. Install: pip install 'lightawnet-edge[export]'" in done.err
    assert len(done.err.splitlines()) == 1, "nothing was begun"
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_is_refused_before_frames_are_chosen(
    cli: Cli, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    done = cli("calibrate", "--data", dataset, "--frames", "4", "--out", out, "--weights", "none")
    assert done.code == 3
    assert done.err.startswith("error: No checkpoint 'none'")


def test_sensitivity_reads_every_pair_before_it_measures(
    cli: Cli, bundles: Bundles, dataset: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(dataset, tmp_path / "data")
    for name in ("frame5", "frame7"):
        (data / "masks" / f"{name}.png").write_bytes(b"broken")
    done = cli("sensitivity", bundles["onnx", "int8"], "--data", data)
    assert done.code == 3
    assert "frame5.png' cannot be decoded" in done.err
    assert "frame7.png' cannot be decoded" in done.err, "all of them"
    assert "comparing" not in done.err
