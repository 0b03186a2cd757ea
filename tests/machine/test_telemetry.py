"""Nothing leaves the device: whole programs, watched."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import onnxruntime
import pytest

from lightawnet_edge.machine.telemetry import VARIABLE, switch_off
from tests.machine.watching import COMPILER, watch

needs_compiler = pytest.mark.skipif(not COMPILER, reason="C calls are seen by a library made here")
TARGETS = ["onnx", "openvino"]
SEGMENT = """
import sys
import numpy as np
from lightawnet_edge import Segmenter
with Segmenter.load(sys.argv[1]) as segmenter:
    size = segmenter.manifest.contract.frame
    segmenter(np.zeros((size.height, size.width, 3), np.uint8))
"""


@pytest.mark.parametrize("target", TARGETS)
def test_an_application_that_segments_reaches_nobody(
    target: str, bundles: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    assert watch(tmp_path, "-c", SEGMENT, str(bundles[target, "int8"])) == []


@pytest.mark.parametrize("target", TARGETS)
def test_an_application_needs_no_home(
    target: str, bundles: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    nobodys = tmp_path / "a file, under which nothing can be written"
    nobodys.touch()
    assert watch(tmp_path, "-c", SEGMENT, str(bundles[target, "int8"]), home=nobodys) == []


def test_doctor_reaches_nobody(tmp_path: Path) -> None:
    assert watch(tmp_path, "-m", "lightawnet_edge", "doctor") == []


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_quantizing_reaches_nobody(
    target: str, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    order = ["--target", target, "--int8", "--weights", str(checkpoint)]
    command = ["-m", "lightawnet_edge", "export", *order, "--calibration", str(dataset)]
    assert watch(tmp_path, *command) == []
    assert list((tmp_path / "work" / "engines").iterdir())


@pytest.mark.slow
def test_a_benchmark_and_its_worker_reach_nobody(
    bundles: dict[tuple[str, str], Path], dataset: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from lightawnet_edge.benchmarks.runner import bench;"
        "from lightawnet_edge.benchmarks.plan import BenchSpec;"
        "bench([Path(b) for b in sys.argv[2:]],"
        " BenchSpec(data=Path(sys.argv[1]), baseline=False, calls=4, rounds=2, allow_overlap=True))"
    )
    engines = [str(bundles[target, "int8"]) for target in TARGETS]
    assert watch(tmp_path, "-c", code, str(dataset), *engines) == []


def test_what_is_imported_after_any_module_of_the_package_is_silent(tmp_path: Path) -> None:
    code = "import lightawnet_edge.specs, onnxruntime, openvino, nncf"
    assert watch(tmp_path, "-c", code) == []


# --- the watch itself: what it is blind to, nothing above would find


def test_the_watch_sees_what_python_does(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, socket\n"
        "try: socket.getaddrinfo('host.invalid', 80)\n"
        "except OSError: pass\n"
        "(pathlib.Path.home() / 'note').touch()\n"
        "if os.fork() == 0: os._exit(0)\n"
        "os.wait()\n"
    )
    seen = watch(tmp_path, "-c", code)
    assert {line.split()[0] for line in seen} == {"looks", "writes", "forks", "leaves"}
    assert "looks up host.invalid" in seen
    assert f"leaves {tmp_path / 'home' / 'note'}" in seen


@needs_compiler
def test_the_watch_sees_what_c_does(tmp_path: Path) -> None:
    code = (
        "import ctypes\n"
        "c = ctypes.CDLL(None)\n"
        "c.getaddrinfo(b'host.invalid', None, None, None)\n"
        "assert c.socket(2, 1, 0) == -1\n"
    )
    assert watch(tmp_path, "-c", code) == ["looks up host.invalid", "opens an internet socket"]


@pytest.mark.parametrize(
    ("toolchain", "traces"),
    [
        ("onnxruntime", ("deviceid",)),
        ("openvino", ("looks up www.google-analytics.com", "forks", "openvino_ga_cid")),
    ],
)
def test_toolchains_by_themselves_are_not_silent(
    toolchain: str, traces: tuple[str, ...], tmp_path: Path
) -> None:
    """Where this fails, a toolchain has changed: look at it, and at docs/telemetry.md."""
    seen = "\n".join(watch(tmp_path, "-c", f"import {toolchain}"))
    assert [trace for trace in traces if trace not in seen] == []


def test_the_libraries_of_openvino_cannot_look_up_a_host() -> None:
    """A C++ program that links them has nothing to switch off; with ONNX Runtime's, it has."""
    files = [file for file in _files("openvino") if "openvino" in file.name or "tbb" in file.name]
    assert any(file.name.startswith("libopenvino_intel_cpu_plugin") for file in files)
    assert [file.name for file in files if b"getaddrinfo" in file.read_bytes()] == []
    assert any(b"getaddrinfo" in file.read_bytes() for file in _files("onnxruntime"))


def _files(package: str) -> list[Path]:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return [file for file in Path(spec.origin).parent.rglob("*.so*") if file.is_file()]


# --- toolchains that were imported before


def test_an_earlier_import_of_onnxruntime_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert onnxruntime.__version__
    monkeypatch.delenv(VARIABLE)
    with pytest.warns(RuntimeWarning, match=r"^onnxruntime was imported before lightawnet_edge"):
        switch_off()
    switch_off()  # it is off now, and says no more


def test_an_earlier_import_of_openvino_is_told_and_stopped(tmp_path: Path) -> None:
    code = (
        "import warnings, openvino, openvino_telemetry\n"
        "with warnings.catch_warnings(record=True) as told: import lightawnet_edge\n"
        "assert 'openvino was imported before' in str(told[0].message), told\n"
        "assert told[0].filename == '<string>', told\n"
        "assert not openvino_telemetry.Telemetry().consent\n"
    )
    watch(tmp_path, "-c", code)


def test_a_sender_that_nobody_started_is_no_reason_to_warn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = ModuleType("openvino_telemetry")

    def none_yet() -> None:
        raise RuntimeError("The first instantiation of the Telemetry should be done with ...")

    monkeypatch.setattr(idle, "Telemetry", none_yet, raising=False)
    monkeypatch.setitem(sys.modules, "openvino_telemetry", idle)
    switch_off()
    assert find_spec("openvino_telemetry") is None
