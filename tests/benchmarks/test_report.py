from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lightawnet_edge.benchmarks.figures import BASELINE_COLOR, colors_of
from lightawnet_edge.benchmarks.provenance import Provenance
from lightawnet_edge.benchmarks.report import (
    console,
    document,
    folder_name,
    html,
    outline,
    write_report,
)
from lightawnet_edge.benchmarks.result import BenchResult, Failure
from lightawnet_edge.benchmarks.verdict import headline
from lightawnet_edge.codec import json_text
from lightawnet_edge.errors import BackendUnavailableError


def text_of(result: Any, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(console(result))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_the_terminal_shows_verdict_table_failures_and_doubts(
    make_result: Any, failure: Failure
) -> None:
    assert text_of(make_result(failures=(failure,))) == (
        "polyp-openvino-int8 is the fastest: 8.08 ms per frame, 10.0 times as fast as\n"
        "PyTorch; its Dice changes by −0.020 on 4 frames (95 %: −0.040 … −0.005).\n"
        "\n"
        " engine                   p50 ms              start s    Dice      Dice change\n"
        " / executed                / min   p90   p99     / MB   / IoU           / 95 %\n"
        " ─────────────────────────────────────────────────────────────────────────────\n"
        " polyp-openvino-int8        8.08  8.14  8.15     0.50  0.7300           −0.020\n"
        " 96.7 % int8, 3.3 % fp32    8.00                  150  0.3650  −0.040 … −0.005\n"
        " polyp-openvino-fp32        20.2  20.3  20.4     0.50  0.7500            0.000\n"
        " 100 % fp32                 20.0                  150  0.3750    0.000 … 0.000\n"
        " pytorch-eager              80.8  81.4  81.5     0.50  0.7500                –\n"
        " 100 % fp32                 80.0                  150  0.3750\n"
        "\n"
        "failed polyp-bf16: 'openvino bf16' cannot run here\n"
        "doubt  4 frames are few: below 100, intervals of Dice are too narrow"
    )


def test_long_names_fit_eighty_columns(make_result: Any) -> None:
    result = make_result()
    long = [replace(r, bundle=f"{r.bundle}-of-the-second-floor-1080x1920") for r in result.records]
    assert max(map(len, text_of(make_result(records=tuple(long))).splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_keeps_labels_and_numbers(make_result: Any, width: int) -> None:
    text = text_of(make_result(), width)
    for pair in (
        "p50 ms 8.08", "min 8.00", "p90 8.14", "p99 8.15", "start s 0.50", "MB 150", "Dice 0.7300",
        "IoU 0.3650", "Dice change −0.020", "95 % −0.040 … −0.005", "executed 96.7 % int8",
    ):  # fmt: skip
        assert pair in text
    assert max(map(len, text.splitlines())) <= width


@pytest.fixture(scope="module")
def page_text(make_result: Any, failure: Failure) -> str:
    return html(make_result(failures=(failure,)))


class Page(HTMLParser):
    """Collects what a page refers to, and checks that every element is closed."""

    VOID = ("meta", "br", "img", "source", "input", "image", "use", "path")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_else(page_text: str) -> None:
    page = Page(page_text)
    assert page.open == []
    assert page.references
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert not any(word in page_text for word in ("<script", "url(", "@import"))


def test_the_page_shows_every_engine_doubt_and_failure(page_text: str) -> None:
    for expected in (
        "polyp-openvino-int8", "polyp-openvino-fp32", "pytorch-eager", "96.7 % int8", "8.08",
        "Reasons to doubt these numbers", "4 frames are few", "Not measured", "cannot run here",
        "−0.0400 … −0.0050", "A CPU, 2 threads", "prefers-color-scheme: dark",
    ):  # fmt: skip
        assert expected in page_text.replace("&#39;", "'"), expected


def test_the_page_says_what_was_measured_by_its_bytes(
    make_result: Any, provenance: Provenance, page_text: str
) -> None:
    text = html(make_result(provenance=provenance))
    assert Page(text).open == []
    assert "lightawnet-edge bench &#39;a b&#39;" in text
    for digit, words in enumerate(("manifest", "engine.xml", "engine.bin", "weights polyp"), 1):
        assert f"{words} <code>{str(digit) * 64}</code>" in text
    assert "5" * 64 in text
    assert "What was measured" not in page_text, "older reports do not know it"


def test_json_tells_all_that_the_terminal_shows(
    make_result: Any, failure: Failure, provenance: Provenance
) -> None:
    result = make_result(
        failures=(failure,), skipped={"frame9": "broken"}, provenance=provenance,
        doubted=("the masks look inverted",),
    )  # fmt: skip
    told = document(result, Path("reports/caf\udce9/report.html"))
    text = json_text(told)
    assert told["headline"] == headline(result)
    assert told["doubts"] == result.doubts
    assert {"frame 'frame9' was skipped: broken", "the masks look inverted"} <= set(told["doubts"])
    assert told["failures"][0]["bundle"] == failure.bundle
    assert told["records"] == [record.summary() for record in result.records]
    assert told["provenance"]["frames_sha256"] == "5" * 64
    assert "rounds_s" not in text
    assert "jpeg" not in text


def test_worst_frames_carry_the_contours_of_truth_fp32_and_engine(
    make_result: Any, page_text: str
) -> None:
    cards = re.findall(r'<div class="frame card">.*?</div></div>', page_text, re.DOTALL)
    engine, baseline = cards  # the one picture that there is, once for each of them
    path = "M10,10 30,10 30,20Z"
    for kind in ("truth", "base"):
        assert f'<path class="{kind}" d="{path}"/>' in engine
    color = colors_of(make_result().records)["polyp-openvino-int8"]
    assert f'<path class="mask" style="stroke:{color}" d="{path}"/>' in engine
    assert f'style="background:{color}"></span>polyp-openvino-int8: largest' in page_text
    assert f"path.base {{ stroke: {BASELINE_COLOR};" in page_text
    assert "Dice 0.600 → 0.550" in engine
    assert 'class="mask"' not in baseline
    assert "No frame loses as much as 0.005 Dice with polyp-openvino-fp32." in page_text


def test_names_cannot_break_the_page(make_result: Any) -> None:
    result = make_result()
    evil = replace(result.records[1], bundle="<script>alert(1)</script>")
    text = html(make_result(records=(result.records[0], evil)))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_page_without_baseline_and_pictures(make_result: Any, make_record: Any) -> None:
    lone = make_record("lone", 0.008, (0.9, 0.8, 0.7, 0.6), baseline=None)
    scores = tuple(replace(score, dice_drop=None) for score in lone.scores)
    text = html(make_result(records=(replace(lone, scores=scores),), pictures=()))
    assert Page(text).open == []
    assert "What changes on each frame" not in text
    assert "lone: lowest Dice" in text
    assert "Accuracy over latency" not in text, "one point is no comparison"
    assert '<section class="figures one">' in text


def test_page_and_data_are_written_and_the_data_give_the_page_again(
    make_result: Any, tmp_path: Path
) -> None:
    result = make_result()
    page = write_report(result, tmp_path / "reports" / folder_name(result))
    assert page == tmp_path / "reports" / "2026-01-31T12-00-00" / "report.html"
    again = BenchResult.read(page.with_name("report.json"))
    assert html(again) == page.read_text(encoding="utf-8")
    data = json.loads(page.with_name("report.json").read_text())
    assert [record["bundle"] for record in data["records"]] == [r.bundle for r in result.records]


def test_a_missing_toolchain_of_the_page_is_named_and_the_data_are_kept(
    make_result: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'lightawnet-edge\[export\]'"):
        write_report(make_result(), tmp_path)
    assert (
        BenchResult.read(tmp_path / "report.json") == make_result()
    )  # minutes of measuring are kept


def test_importing_the_room_imports_no_toolchain() -> None:
    code = (
        "import sys, lightawnet_edge.benchmarks.runner, lightawnet_edge.benchmarks.report\n"
        "heavy = 'torch onnx onnxruntime openvino nncf matplotlib jinja2 cv2'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_outline_is_closed_and_may_have_holes() -> None:
    assert outline((((1, 2), (3, 4)), ((5, 6),))) == "M1,2 3,4ZM5,6Z"
    assert outline(()) == ""


def test_parts_of_a_call_stand_below_the_table_and_in_the_page(
    make_result: Any,
) -> None:
    result = make_result()
    parts_s = {"frame in": 0.001, "network": 0.008, "mask out": 0.0005, "rest": 0.0005}
    records = tuple(
        replace(record, parts_s={} if record.is_baseline else parts_s) for record in result.records
    )
    told = replace(result, records=records)
    engines = [record.bundle for record in records if not record.is_baseline]
    shares = "frame in 10 %, network 80 %, mask out 5 %, rest 5 %"
    text = " ".join(text_of(told).split())
    assert all(f"{engine}: {shares}" in text for engine in engines)
    assert text.count(shares) == html(told).count(shares) == len(engines)
    assert "Where the call goes" not in html(result)
