from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks.baselines import find_baselines, find_checkpoints
from lightawnet_edge.bundle.manifest import Source
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.packaged import packaged_files
from lightawnet_edge.specs import Precision, Routing
from tests.conftest import MakeBundle

FP32: dict[str, Any] = {"precision": Precision.FP32, "routing": Routing.DYNAMIC}
SET = Source(name="frames", sha256="1" * 64, frames=16)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A checkpoint that is nowhere where checkpoints are looked for."""
    (tmp_path / "mine.safetensors").write_bytes(b"my weights")
    return tmp_path / "mine.safetensors"


def test_packaged_weights_and_those_of_runs_are_found_by_their_bytes(
    make_bundle: MakeBundle, mine: Path
) -> None:
    (packaged, *_) = packaged_files()
    bundles = {
        "a": make_bundle("a", checkpoint=sha256_of(packaged)),
        "b": make_bundle("b", checkpoint=sha256_of(mine), checkpoint_name="mine"),
    }
    assert find_checkpoints(bundles, ()) == {sha256_of(packaged): packaged}
    run = Path("runs") / "mine"
    run.mkdir(parents=True)
    shutil.copy(mine, run / "best.safetensors")
    found = find_baselines(bundles, ())
    assert {name: one.checkpoint for name, one in found.eager.items()} == {
        "pytorch-eager-c": packaged,
        "pytorch-eager-mine": run / "best.safetensors",
    }
    assert found.baseline == {"a": "pytorch-eager-c", "b": "pytorch-eager-mine"}
    assert found.doubts == ()


def test_a_checkpoint_that_is_given_is_taken(make_bundle: MakeBundle, mine: Path) -> None:
    bundles = {"a": make_bundle("a", checkpoint=sha256_of(mine))}
    found = find_baselines(bundles, [mine])
    assert found.eager["pytorch-eager"].checkpoint == mine
    assert found.baseline == {"a": "pytorch-eager"}


def test_without_its_checkpoint_a_bundle_is_measured_and_the_doubt_says_which_file_to_give(
    make_bundle: MakeBundle,
) -> None:
    found = find_baselines({"a": make_bundle("a", checkpoint_name="mine")}, ())
    assert (found.eager, found.baseline) == ({}, {})
    (doubt,) = found.doubts
    assert doubt == (
        "a: what this loses is not measured, since checkpoint 'mine' (sha256 cccccccccccc…) is "
        "neither packaged nor under 'runs'; give it with --checkpoint FILE, or measure an FP32 "
        "bundle of the same weights beside it"
    )


def test_an_exact_bundle_of_the_same_weights_stands_in(make_bundle: MakeBundle) -> None:
    bundles = {
        "int8": make_bundle("int8", calibration=SET, checkpoint_name="mine"),
        "frozen": make_bundle("frozen", calibration=SET, precision=Precision.FP32),
        "fp32": make_bundle("fp32", **FP32),
        "other": make_bundle("other", checkpoint="d" * 64, calibration=SET),
    }
    found = find_baselines(bundles, ())
    assert found.baseline == {"int8": "fp32", "frozen": "fp32"}
    stands_in, nothing = found.doubts
    assert stands_in.startswith("int8 and frozen: compared with fp32, not with PyTorch, since chec")
    assert nothing.startswith("other: what this loses is not measured")


def test_without_pytorch_the_doubt_says_so(
    make_bundle: MakeBundle, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = find_baselines({"a": make_bundle("a", checkpoint=sha256_of(mine), **FP32)}, [mine])
    assert found.eager == {}
    (doubt,) = found.doubts
    assert doubt == (
        "a: not compared with PyTorch, since PyTorch is not installed; pip install "
        "'lightawnet-edge[export]'"
    )


def test_a_checkpoint_of_no_bundle_is_refused(make_bundle: MakeBundle, mine: Path) -> None:
    bundles = {"a": make_bundle("a", checkpoint_name="theirs")}
    with pytest.raises(
        SpecError,
        match=r"is none that the bundles to measure were made from: these are 'theirs' \(c{12}…\)",
    ):
        find_baselines(bundles, [mine])
    with pytest.raises(ArtifactError, match="No checkpoint 'nothing'"):
        find_baselines(bundles, [Path("nothing")])


def test_names_of_baselines_tell_weights_and_frames_apart(
    make_bundle: MakeBundle, known_weights: None
) -> None:
    bundles = {
        name: make_bundle(name, **given)
        for name, given in {
            "a": {"checkpoint_name": "one"},
            "b": {"checkpoint_name": "one", "frame": "48x64"},
            "c": {"checkpoint_name": "two", "checkpoint": "d" * 64},
            "d": {"checkpoint_name": "one", "checkpoint": "d" * 64, "frame": "48x64"},
        }.items()
    }
    assert list(find_baselines(bundles, ()).eager) == [
        "pytorch-eager-one-24x32",
        "pytorch-eager-one-48x64-2",
        "pytorch-eager-two",
        "pytorch-eager-one-48x64-4",
    ]
