"""Whatever stands in a document, it is refused, or all that is computed of it can be shown."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from lightawnet_edge.benchmarks import report as bench_report
from lightawnet_edge.benchmarks import result as bench_result
from lightawnet_edge.benchmarks import verdict
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.calibration import judgement, summary
from lightawnet_edge.calibration import record as set_record
from lightawnet_edge.calibration.record import SetRecord
from lightawnet_edge.codec import CodecError, dumps, encode, loads
from lightawnet_edge.evaluation import card_text, evaluation
from lightawnet_edge.evaluation import report as evaluation_report
from lightawnet_edge.evaluation.card_text import Sources
from lightawnet_edge.evaluation.evaluation import Evaluation

DOCUMENTS = Path(__file__).parent / "documents"


def earlier(name: str) -> str:
    return (DOCUMENTS / name).read_text(encoding="utf-8")


def show_result(result: BenchResult) -> None:
    for record in result.records:
        record.worst()
        record.summary()
    verdict.tiles(result)
    bench_report.folder_name(result)
    display(bench_report.console(result))


def show_evaluation(result: Evaluation) -> None:
    display(evaluation_report.console(result))
    sources = Sources(
        result=result, stages=(), also=(result,), leakage=(), untold=(), notes="", hardware="",
        data_license="", attribution="", worst=None,
    )  # fmt: skip
    assert card_text.render(sources)


def show_set(record: SetRecord) -> None:
    judgement.set_doubts(record)
    display(summary.console(record))


def display(shown: Any) -> None:
    Console(file=io.StringIO(), width=80).print(shown)


Case = tuple[type[Any], int, Mapping[int, Any], str, Callable[[Any], None]]
CASES: dict[str, Case] = {
    "report": (
        BenchResult, bench_result.SCHEMA, bench_result.UPGRADES, earlier("report.json"),
        show_result,
    ),
    "evaluation": (Evaluation, evaluation.SCHEMA, {}, earlier("evaluation.json"), show_evaluation),
    "set": (
        SetRecord, set_record.SCHEMA, set_record.UPGRADES, earlier("calibration-set.json"),
        show_set,
    ),
}  # fmt: skip
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, 0, -1, 1, 2, 0.5, -0.5, 1e-300, 1e300, -1e300, 5e-324, 2**62, 10**400, "", "x",
        "pytorch", "int8", "..", "\0", [], [[]], {}, {"x": []}, [0], [0.5, 0.5],
    ]
)  # fmt: skip


def places(plain: Any) -> list[tuple[Any, Any]]:
    """Every container below a plain value, with each of its keys."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    return [
        place
        for key, value in items
        for place in [(plain, key), *(places(value) if isinstance(value, dict | list) else ())]
    ]


@pytest.mark.parametrize("name", CASES)
def test_documents_as_they_are_can_be_shown(name: str) -> None:
    kind, schema, upgrades, text, show = CASES[name]
    show(loads(kind, text, schema=schema, upgrades=upgrades))


@settings(max_examples=40)
@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_what_is_read_can_be_shown(name: str, data: st.DataObject) -> None:
    kind, schema, upgrades, text, show = CASES[name]
    found = loads(kind, text, schema=schema, upgrades=upgrades)
    plain = json.loads(dumps(found, schema=schema))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(plain)))
        match data.draw(st.sampled_from(["replace", "remove", "repeat"])):
            case "replace":
                container[key] = data.draw(ODD)
            case "remove":
                del container[key]
            case "repeat" if isinstance(container, list):
                container.append(container[key])
    try:
        found = loads(kind, json.dumps(plain), schema=schema)
    except CodecError:
        return
    encode(found)
    show(found)
