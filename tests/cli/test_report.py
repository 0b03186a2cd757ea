"""What was measured is never lost: the JSON first, the page where and when it can be made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks import report as pages
from lightawnet_edge.benchmarks.contest import Contest
from lightawnet_edge.benchmarks.samples import SAMPLES
from tests.cli.conftest import Cli

Bundles = dict[tuple[str, str], Path]

QUICK = ("--no-baseline", "--calls", "4", "--rounds", "2", "--limit", "2", "--threads", "1")


@pytest.fixture
def measured(cli: Cli, bundles: Bundles, tmp_path: Path) -> Path:
    """The report.json of a benchmark."""
    done = cli("bench", bundles["onnx", "fp32"], *QUICK, "--out", tmp_path / "reports")
    assert done.code == 0, done.err
    (file,) = (tmp_path / "reports").glob("*/report.json")
    return file


def test_a_page_is_made_later_and_elsewhere(cli: Cli, measured: Path, tmp_path: Path) -> None:
    assert sorted(one.name for one in measured.parent.iterdir()) == ["report.html", "report.json"]
    first = (measured.parent / "report.html").read_bytes()
    (measured.parent / "report.html").unlink()
    done = cli("report", measured)
    assert done.code == 0
    assert "tiny-onnx-fp32 takes " in done.out
    assert (measured.parent / "report.html").read_bytes() == first
    done = cli("report", measured.parent, "--out", tmp_path / "pages")
    assert done.out.endswith(f"report: {tmp_path / 'pages' / 'report.html'}\n")
    assert (tmp_path / "pages" / "report.html").read_bytes() == first


def test_a_page_of_what_is_no_report_is_refused(cli: Cli, tmp_path: Path) -> None:
    done = cli("report", tmp_path / "none.json")
    assert (done.code, "none.json" in done.err) == (3, True)
    (tmp_path / "other.json").write_text("{}")
    assert cli("report", tmp_path / "other.json").code == 3
    (tmp_path / "file").touch()
    done = cli("report", tmp_path / "none.json", "--out", tmp_path / "file" / "x")
    assert "is no folder that can be written" in done.err


@pytest.mark.parametrize("package", pages.PAGE_NEEDS)
def test_without_the_packages_of_a_page_there_is_the_json_and_the_way_to_the_page(
    cli: Cli,
    bundles: Bundles,
    tmp_path: Path,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    done = cli("bench", bundles["onnx", "fp32"], *QUICK, "--out", tmp_path / "reports")
    assert done.code == 0, done.err
    (file,) = (tmp_path / "reports").glob("*/report.json")
    assert f"later, or elsewhere: lightawnet-edge report {file}" in done.err
    assert "tiny-onnx-fp32 takes " in done.out
    assert done.out.endswith(f"report: {file}\n")
    done = cli("report", file)
    assert done.code == 4
    assert f"{package} not installed. Install: pip install 'lightawnet-edge[export]'" in done.err


@pytest.mark.parametrize(("error", "code"), [(ValueError("a hole"), 1), (OSError("a hole"), 3)])
def test_a_page_that_fails_loses_nothing(
    cli: Cli,
    bundles: Bundles,
    tmp_path: Path,
    error: Exception,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> str:
        raise error

    monkeypatch.setattr(pages, "html", fail)
    done = cli("bench", bundles["onnx", "fp32"], *QUICK, "--out", tmp_path / "reports")
    assert done.code == code
    (file,) = (tmp_path / "reports").glob("*/report.json")
    assert json.loads(file.read_text(encoding="utf-8"))["records"]
    assert "tiny-onnx-fp32 takes " in done.out
    assert done.err.splitlines()[-1] == (
        f"error: The page could not be made ({type(error).__name__}: a hole). What was measured is "
        f"in '{file}'; make the page with: lightawnet-edge report {file}"
    )


def test_an_interruption_leaves_the_samples_and_says_where(
    cli: Cli, bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Contest) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Contest, "score", interrupt)
    done = cli("bench", bundles["onnx", "fp32"], *QUICK, "--out", tmp_path / "reports")
    assert done.code == 130
    (file,) = (tmp_path / "reports").glob(f"*/{SAMPLES}")
    assert f"what was measured until now is in '{file}'" in done.err
    (engine,) = json.loads(file.read_text(encoding="utf-8"))["engines"]
    assert (engine["bundle"], len(engine["rounds_s"])) == ("tiny-onnx-fp32", 2)


def test_a_backend_that_is_not_here_is_named_before_anything_is_measured(
    cli: Cli, bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightawnet_edge.targets import table

    monkeypatch.setitem(sys.modules, "openvino", None)
    table.get.cache_clear()
    try:
        done = cli(
            "bench", bundles["onnx", "fp32"], bundles["openvino", "fp32"], *QUICK,
            "--out", tmp_path / "reports",
        )  # fmt: skip
    finally:
        table.get.cache_clear()
    assert (done.code, done.out) == (4, "")
    assert "pip install 'lightawnet-edge[openvino]'" in done.err
    assert not (tmp_path / "reports").exists()
