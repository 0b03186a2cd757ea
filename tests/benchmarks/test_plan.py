from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks.plan import BenchSpec, find_bundles, make_plans
from lightawnet_edge.bundle.manifest import write_manifest
from lightawnet_edge.errors import SpecError

pytestmark = pytest.mark.usefixtures("known_weights")


def test_bundles_of_one_checkpoint_share_a_baseline(make_bundle: Any) -> None:
    bundles = [make_bundle("a"), make_bundle("b")]
    plans, _ = make_plans(bundles, BenchSpec())
    assert [(plan.name, plan.baseline) for plan in plans] == [
        ("pytorch-eager", "pytorch-eager"),
        ("a", "pytorch-eager"),
        ("b", "pytorch-eager"),
    ]
    baseline = plans[0]
    assert (baseline.target, baseline.precision, baseline.routing) == ("pytorch", "fp32", "dynamic")
    assert baseline.executed["fp32"] == 1
    assert baseline.engine["sha256"] == "c" * 64


def test_other_weights_or_frames_need_a_baseline_of_their_own(make_bundle: Any) -> None:
    bundles = [
        make_bundle("a"),
        make_bundle("b", frame="48x64"),
        make_bundle("c", checkpoint="d" * 64, checkpoint_name="d"),
    ]
    plans, _ = make_plans(bundles, BenchSpec())
    assert [plan.name for plan in plans[:3]] == [
        "pytorch-eager-c-24x32",
        "pytorch-eager-c-48x64",
        "pytorch-eager-d",
    ]
    assert [plan.baseline for plan in plans[3:]] == [plan.name for plan in plans[:3]]


def test_without_baseline_there_are_bundles_alone(make_bundle: Any) -> None:
    (plan,), doubts = make_plans([make_bundle("a")], BenchSpec(baseline=False))
    assert (plan.name, plan.baseline, doubts) == ("a", None, ())


def test_a_device_graph_beside_the_engine_is_not_its_weight(make_bundle: Any) -> None:
    (_, plan), _ = make_plans([make_bundle("name")], BenchSpec())
    assert plan.engine_bytes == len("name")


def test_bundles_of_one_name_go_by_their_folders(make_bundle: Any) -> None:
    bundles = [make_bundle("a"), make_bundle("copy")]
    write_manifest(bundles[1].path, replace(bundles[1].manifest, name="a"))
    twins = [type(bundle).open(bundle.path) for bundle in bundles]
    names = [plan.name for plan in make_plans(twins, BenchSpec(baseline=False))[0]]
    assert names == [str(bundle.path) for bundle in bundles]


def test_finding_takes_finished_bundles_in_order(make_bundle: Any, tmp_path: Path) -> None:
    paths = [make_bundle(name).path for name in ("b", "a", ".a.new-1")]
    (tmp_path / "engines" / "notes").mkdir()
    assert find_bundles(tmp_path / "engines") == [paths[1], paths[0]]


def test_no_bundle_anywhere_says_which_command_makes_one(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"No bundle in '.*none'\. Make one: lightawnet-edge export"
    ):
        find_bundles(tmp_path / "none")
    with pytest.raises(SpecError, match=r"No bundle to measure\. Make one: lightawnet-edge export"):
        make_plans([], BenchSpec())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"calls": 0}, "calls=0 must be greater than 0"),
        ({"seconds": -1.0}, r"seconds=-1\.0 must be greater than 0"),
        ({"rounds": 0}, "rounds=0 must be greater than 0"),
        ({"seconds": float("inf")}, r"seconds=inf must be greater than 0, at most 1e\+06"),
        ({"seconds": float("nan")}, "seconds=nan must be greater than 0"),
        ({"calls": 10**7}, "calls=10000000 must be greater than 0, at most"),
        ({"limit": 0}, "limit=0 must be at least 1"),
        ({"threads": -2}, "threads=-2 must be at least 1"),
        ({"warmup": -1}, "warmup=-1 must not be negative"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        BenchSpec(**values)
