"""A target is a file and a line of the table: every command takes it as it takes the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks import runner
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.cli import main
from lightawnet_edge.errors import SpecError
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.making import KitOptions

LINE = ("mine", "tests.targets.mine:TRAITS")
# A process of its own reads the table, too.
WORKER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lightawnet_edge.benchmarks import worker
from lightawnet_edge.targets import table
table.TARGETS.update([{LINE!r}])
worker.main()
"""
Run = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def line() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(table.TARGETS, *LINE)
        command = [sys.executable, "-c", WORKER]
        patch.setattr(runner, "bench", partial(runner.bench, command=command))
        yield


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command, and return what it prints; a failure is one of the test."""

    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["lightawnet-edge", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return call


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def exported(run: Run, engines: Path, checkpoint: Path, dataset: Path) -> Callable[..., Path]:
    def export(name: str, *options: object) -> Path:
        path = engines / name
        if not path.exists():
            inputs = ["--weights", checkpoint, "--calibration", dataset, "--out", engines]
            run("export", "--target", "mine", "--name", name, *inputs, *options, "--json")
        return path

    return export


def test_export_builds_and_compares_it(exported: Callable[..., Path]) -> None:
    manifest = Bundle.open(exported("exact")).manifest
    assert (manifest.target, manifest.engine) == (Target("mine"), "engine.mine")
    assert manifest.executed["fp32"] == 1
    assert manifest.agreement is not None
    assert manifest.agreement.mask_disagreement < 1e-3
    assert "onnxruntime" in manifest.tools


def test_export_quantizes_it(exported: Callable[..., Path]) -> None:
    manifest = Bundle.open(exported("int8", "--int8")).manifest
    assert manifest.executed["int8"] > 0.9
    assert manifest.method is not None
    assert manifest.method.restored is None


def test_export_holds_a_budget_for_it(exported: Callable[..., Path]) -> None:
    manifest = Bundle.open(exported("budget", "--int8", "--max-dice-drop", 1.0)).manifest
    assert manifest.method is not None
    assert manifest.method.restored is not None


def test_sensitivity_looks_into_it(exported: Callable[..., Path], run: Run, dataset: Path) -> None:
    bundle = exported("int8", "--int8")
    found = json.loads(run("sensitivity", bundle, "--data", dataset, "--layers", 1, "--json"))
    assert [layer["dice_gain"] is None for layer in found["layers"][:2]] == [False, True]


def test_inspect_reads_it_back(exported: Callable[..., Path], run: Run) -> None:
    bundle = exported("int8", "--int8")
    found = json.loads(run("inspect", bundle, "--calls", 2, "--threads", 1, "--json"))
    assert found["executed"] == found["executed_at_export"]
    assert "mine 0.1" in json.dumps(found)


def test_bench_measures_it(exported: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    quick = ["--no-baseline", "--calls", 2, "--rounds", 1, "--limit", 2, "--threads", 1]
    bundle = exported("exact")
    (record,) = json.loads(run("bench", bundle, *quick, "--out", tmp_path, "--json"))["records"]
    assert (record["target"], record["device"]) == ("mine", None)
    assert record["executed"]["fp32"] == 1


def test_doctor_says_what_it_can(run: Run) -> None:
    rows: dict[str, Any] = {row["name"]: row for row in json.loads(run("doctor", "--json"))}
    row = rows["target mine"]
    assert row["version"] == "0.1"
    assert row["can"] == ["runs fp32, int8", "exports engines of its own"]
    assert row["cannot"] == ["no fp16, bf16: it is not mine"]


def test_requests_know_what_it_takes() -> None:
    kit = KitOptions(device="jetson-orin")
    with pytest.raises(SpecError, match="--device is for --target tensorrt, not mine"):
        ExportSpec(target=Target("mine"), precision=Precision.FP32, kit=kit)
    with pytest.raises(SpecError, match="of --int8 for onnx, openvino and mine"):
        ExportSpec(target=Target.ONNX, precision=Precision.FP32, max_dice_drop=0.1)
    with pytest.raises(SpecError, match=r"Unknown target 'theirs'\. Known: onnx, .*, mine\."):
        ExportSpec(target=Target("theirs"), precision=Precision.FP32)
