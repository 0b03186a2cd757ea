"""Layers go back to float, the worst first, only as far as a budget of Dice asks for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.approximation.restore import restore
from lightawnet_edge.approximation.sensitivity import Study
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.choices import MethodRecord, RestoreRecord
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.specs import Method, Precision, Target
from lightawnet_edge.targets import table
from tests.conftest import SIZE, blobs

Bundles = dict[tuple[str, str], Path]
LAYERS = [
    "a4/dynamic", "a5/dynamic", "e2/dynamic", "u2/dynamic+u3/reduce", "out/deep", "out/shallow",
]  # fmt: skip
"""Enough of them that one in float regains something, whatever the CPU's integers are."""


@pytest.fixture(params=["onnx", "openvino"])
def study(request: pytest.FixtureRequest, bundles: Bundles, tmp_path: Path) -> Study:
    """A copy of an INT8 engine; the FP32 masks are its truth, so that INT8 must cost something."""
    bundle = Bundle.open(bundles[request.param, "int8"])
    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    exact = copy / bundle.manifest.device_graph
    target = Target(request.param)
    backend = table.get(target)

    def frames() -> Iterable[tuple[UInt8, NDArray[np.bool_]]]:
        session = backend.load(Engine.read(exact, Precision.FP32), 1)
        for frame, _ in blobs(3, SIZE, seed=5):
            yield frame, session.infer(frame, ("mask",))["mask"] > 0
        session.close()

    engine = copy / bundle.manifest.engine
    return Study(
        probe=table.probe(target), engine=engine, exact=exact, backend=backend, frames=frames
    )


def test_nothing_goes_back_where_the_budget_holds(study: Study) -> None:
    before = study.engine.read_bytes()
    made = partial(restore, study, LAYERS, held_out=False, has_truth=False, narrate=print)
    record = made(max_dice_drop=1.0)
    assert record.steps == ()
    assert record.left == record.dice_drop > 0
    assert study.engine.read_bytes() == before


@pytest.mark.slow
def test_the_worst_go_back_until_the_budget_holds_and_every_step_is_recorded(study: Study) -> None:
    found = study.dice(study.engine, Precision.INT8)
    alone = {layer: float(np.mean(study.dice_in_float(layer) - found)) for layer in LAYERS}
    rounding = 1e-9
    budget = 1 - float(found.mean()) - max(alone.values()) + rounding
    told: list[str] = []
    record = restore(
        study, LAYERS, max_dice_drop=budget, held_out=True, has_truth=False, narrate=told.append
    )
    assert record.steps[0].layer == max(LAYERS, key=lambda layer: alone[layer])
    assert record.left <= budget
    assert record.left == pytest.approx(1 - study.dice(study.engine, Precision.INT8).mean())
    assert any("alone" in text for text in told)
    whole = MethodRecord(method=Method.MSE, scale_frames=4, restored=record)
    assert decode(MethodRecord, encode(whole)) == whole
    assert f"back in float: {', '.join(step.layer for step in record.steps)}" in str(record)


@pytest.mark.slow
def test_a_budget_that_cannot_be_held_is_refused(study: Study) -> None:
    with pytest.raises(CheckFailedError, match=r"with 6 layers back in float, expected a drop of"):
        restore(study, LAYERS, max_dice_drop=0.0, held_out=False, has_truth=True, narrate=print)


def test_the_record_says_how_it_was_measured() -> None:
    record = RestoreRecord(
        max_dice_drop=0.001, frames=32, held_out=True, has_truth=True, dice_drop=-0.002
    )
    assert str(record) == (
        "Dice changes by +0.0020, a drop of 0.001 allowed (32 held-out frames); back in float: "
        "nothing"
    )
