from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks.provenance import Provenance
from lightawnet_edge.benchmarks.result import SCHEMA, BenchResult, Failure
from lightawnet_edge.codec import decode, dumps, encode
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.machine.machine import MachineState


def test_the_contract_of_a_record(make_result: Any) -> None:
    record = encode(make_result().records[1])
    assert (record["bundle"], record["target"]) == ("polyp-openvino-int8", "openvino")
    assert (record["precision"], record["routing"]) == ("int8", "static")
    assert {"p50_s", "p90_s", "p99_s", "min_s", "n", "cold_start_s", "peak_memory_bytes"} <= set(
        record["latency"]
    )
    assert record["latency"]["n"] == 200
    assert record["latency"]["cold_start_s"] == pytest.approx(0.5)
    assert record["accuracy"]["dice"] == pytest.approx(0.73)
    assert {"dice", "iou", "precision", "recall", "n"} == set(record["accuracy"])
    low, high = record["dice_drop"]["ci95"]
    assert low <= record["dice_drop"]["mean"] <= high
    assert record["dice_drop"]["mean"] == pytest.approx(0.02)
    assert record["executed"] == {"int8": 0.967, "fp32": 0.033, "bf16": 0.0}


def test_a_baseline_loses_nothing_against_itself(make_result: Any) -> None:
    drop = make_result().records[0].summary()["dice_drop"]
    assert drop == {"mean": 0.0, "ci95": [0.0, 0.0]}


def test_without_a_baseline_there_is_no_drop(make_record: Any) -> None:
    record = make_record("a", 0.01, (0.9, 0.8, 0.7, 0.6), baseline=None)
    lone = replace(record, scores=tuple(replace(score, dice_drop=None) for score in record.scores))
    assert lone.summary()["dice_drop"] is None
    assert [score.dice for score in lone.worst()] == [0.6, 0.7, 0.8, 0.9]


def test_a_result_survives_json_whole(
    make_result: Any, failure: Failure, provenance: Provenance, tmp_path: Path
) -> None:
    result = make_result(failures=(failure,), skipped={"frame9": "broken"}, provenance=provenance)
    path = tmp_path / "report.json"
    path.write_text(dumps(result, schema=SCHEMA))
    again = BenchResult.read(path)
    assert again == result
    assert encode(again) == encode(result)


def test_shown_values_are_computed_from_raw_ones(make_result: Any) -> None:
    data = encode(make_result())
    for record in data["records"]:
        record["latency"]["p50_s"] = 1e-9
        record["accuracy"]["dice"] = 1.0
    again = decode(BenchResult, data).records[1]
    assert again.latency.p50_s == pytest.approx(0.008, rel=0.02)
    assert again.accuracy["dice"] == pytest.approx(0.73)


def test_the_worst_frames_are_those_that_lose_visibly(make_result: Any) -> None:
    baseline, int8, fp32 = make_result().records
    assert [score.frame for score in int8.worst()] == ["frame3", "frame0", "frame1"]
    assert fp32.worst() == []
    assert [score.frame for score in baseline.worst()] == ["frame3", "frame2", "frame1", "frame0"]


def test_an_engine_whose_precision_is_partly_unknown_is_doubted(make_record: Any) -> None:
    executed = {"int8": 0.75, "unknown": 0.25}
    record = make_record("a", 0.01, (0.9, 0.8, 0.7, 0.6), executed=executed)
    assert record.doubts == ["25 % of the MACs were not found in the engine"]


def test_a_quiet_machine_leaves_only_the_doubt_of_few_frames(make_result: Any) -> None:
    assert make_result().doubts == ["4 frames are few: below 100, intervals of Dice are too narrow"]


def test_doubts_about_the_machine_and_the_data(make_result: Any) -> None:
    quiet = make_result()
    busy = replace(quiet.records[1].timing, others=(0.9,) * 10)
    result = make_result(
        records=(replace(quiet.records[1], timing=busy),),
        machine=replace(quiet.machine, governor="powersave"),
        after=MachineState(load_1min=2.0, frequency_hz=1e9, throttled=3, temperature_c=99.0),
        skipped={"frame9": "'frame9.png' is 8x8, its mask is 8x9"},
    )
    assert result.doubts == [
        "frame 'frame9' was skipped: 'frame9.png' is 8x8, its mask is 8x9",
        "other programs kept 0.9 CPUs busy while engines were timed",
        "4 frames are few: below 100, intervals of Dice are too narrow",
        "the CPU governor is 'powersave': clocks follow the load",
        "the CPU was slowed down for its heat 3 times meanwhile",
    ]


def test_a_quota_that_ran_out_while_engines_were_timed_is_a_doubt(make_result: Any) -> None:
    quiet = make_result()
    before = replace(quiet.before, quota_throttled=40, quota_throttled_s=3.0)
    after = replace(quiet.after, quota_throttled=77, quota_throttled_s=5.25)
    assert make_result(before=before, after=after).doubts[0] == (
        "the CPU quota stopped programs 37 times while engines were timed, for 2.2 s over all "
        "CPUs: raise it, or give fewer --threads"
    )
    assert make_result(before=before, after=before).doubts == quiet.doubts


def test_a_report_from_before_quotas_were_seen_is_read(make_result: Any) -> None:
    data = encode(make_result())
    for place, field in (("machine", "quota_cpus"), ("before", "quota_throttled")):
        del data[place][field]
    assert decode(BenchResult, data) == make_result()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be understood: not JSON"),
        (
            "[]",
            "expected a table of keys and values, found a list of 0. Read it with",
        ),
        ("{}", "schema None, this version reads 1"),
        ('{"schema": 7}', "schema 7, this version reads 1"),
        ('{"schema": 1}', "cannot be understood: created: missing. Read it with the version of li"),
        (
            '{"schema": 3}',
            "schema 3, this version reads 1, 2. Read it with the version of li",
        ),
    ],
)
def test_a_report_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=message):
        BenchResult.read(path)


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No report '.*none\.json'\. Give the report\.json"):
        BenchResult.read(tmp_path / "none.json")


def test_the_first_schema_is_read_as_it_was_written() -> None:
    earlier = Path(__file__).parents[1] / "codec" / "documents" / "report.json"
    found = BenchResult.read(earlier)
    written = json.loads(earlier.read_text(encoding="utf-8"))
    later = {"machine": {"quota_cpus"}, "before": {"quota_throttled", "quota_throttled_s"}}
    later["after"] = later["before"]
    again = json.loads(dumps(found, schema=SCHEMA))
    assert again.pop("doubted") == []
    for part, keys in later.items():
        assert [again[part].pop(key) for key in keys] == [None] * len(keys)
    assert again == {**written, "schema": SCHEMA}
    assert [record.bundle for record in found.records if record.runs_on_gpu] == ["polyp-tensorrt"]


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(created="today"), "Invalid isoformat string: 'today'"),
        (lambda data: data.update(overlap={"x": []}), "overlap.x names no frame"),
        (lambda data: data.update(records=[]), "is about one engine at least beside the baselines"),
        (lambda data: data["records"].append(data["records"][1]), "are about the same bundle"),
        (lambda data: data["settings"].pop("threads"), "settings.threads is missing"),
        (lambda data: data["settings"].update(deadline_s=0), "settings.deadline_s=0 is no time"),
        (lambda data: data["pictures"][0].update(width=0), r"pictures\[0\]: Size 30x0 is not pos"),
        (
            lambda data: data["records"][1].update(scores=[]),
            "was scored on no frame",
        ),
        (
            lambda data: data["records"][1]["scores"].append(data["records"][1]["scores"][0]),
            "'polyp-openvino-int8' was scored on a frame twice",
        ),
        (
            lambda data: data["records"][1]["scores"][0].update(dice_drop=None),
            "was compared with its baseline on some frames alone",
        ),
        (
            lambda data: data["records"][1]["scores"][0].update(dice=-0.1),
            r"records\[1\].scores\[0\]: dice=-0.1 must be in \[0, 1\]",
        ),
        (
            lambda data: data["records"][1]["scores"][0].update(dice_drop=2),
            r"dice_drop=2 must be in \[-1, 1\]",
        ),
        (lambda data: data["records"][1].update(executed={}), "executed no precision"),
        (
            lambda data: data["records"][1]["timing"].update(copy_s=[[0.1]]),
            r"records\[1\].timing: compute_s and copy_s are not of the same calls",
        ),
        (
            lambda data: data["records"][1]["timing"].update(rounds_s=[[]]),
            "was timed in one round at least, by one call",
        ),
        (
            lambda data: data["records"][1]["timing"]["rounds_s"].pop(),
            "were not timed in the same rounds",
        ),
        (
            lambda data: data["records"][1]["timing"]["rounds_s"][0].append(0),
            "rounds_s holds a call that took no time",
        ),
        (lambda data: data["records"][1]["timing"].update(load_s=-1), "load_s holds what is no t"),
        (lambda data: data["records"][1].update(kernel="k"), r"records\[1\].kernel: unknown key"),
    ],
)
def test_values_that_no_report_has_are_refused(
    change: Change, message: str, make_result: Any, tmp_path: Path
) -> None:
    data = json.loads(dumps(make_result(), schema=SCHEMA))
    change(data)
    (tmp_path / "report.json").write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match=message):
        BenchResult.read(tmp_path / "report.json")
