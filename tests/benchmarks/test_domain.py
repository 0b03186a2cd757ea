"""Packaged frames measure what they fit; what they may not fit is no headline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lightawnet_edge.benchmarks.domain import calibration_doubts, find_unfit
from lightawnet_edge.benchmarks.plan import BenchSpec, by_name
from lightawnet_edge.benchmarks.runner import bench
from lightawnet_edge.benchmarks.verdict import headline, tiles
from lightawnet_edge.bundle.choices import CalibrationRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.packaged import resolve
from lightawnet_edge.specs import ColorOrder, Normalization, Size
from tests.conftest import MakeBundle

GRAY = Contract(
    frame=Size(16, 32), color=ColorOrder.GRAY, network=Size(16, 32),
    normalization=Normalization(), threshold=0.5, probability=True,
)  # fmt: skip


def test_packaged_frames_are_refused_for_a_gray_bundle(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("liver", contract=GRAY)
    with pytest.raises(
        SpecError, match=r"'liver' takes gray frames, and the packaged .* Give --data DIR of frames"
    ):
        bench([bundle.path], BenchSpec(baseline=False))


def test_packaged_frames_fit_packaged_weights_and_are_doubted_for_others(
    make_bundle: MakeBundle,
) -> None:
    known = make_bundle("known", checkpoint=sha256_of(resolve("kvasir-static")))
    found = find_unfit(by_name([known, make_bundle("mine")]))
    assert list(found) == ["mine"]
    assert found["mine"].startswith("'mine' is not made of packaged weights, and the packaged")


def test_doubts_about_calibration_are_repeated(make_bundle: MakeBundle) -> None:
    judged = CalibrationRecord(distinct=5, scenes=5, mismatch=0.2, doubts=("few", "strange"))
    bundles = by_name([make_bundle("doubted", judged=judged), make_bundle("sound")])
    assert calibration_doubts(bundles) == ("doubted: few", "doubted: strange")


def test_frames_that_may_not_fit_are_a_doubt_and_no_headline(make_result: Any) -> None:
    result = replace(make_result(), unfit={"polyp-openvino-int8": "it may be a liver"})
    assert "it may be a liver" in result.doubts
    assert headline(result) == (
        "polyp-openvino-int8 is the fastest: 8.08 ms per frame (its Dice is left out: the frames "
        "may be of another domain), 10.0 times as fast as PyTorch."
    )
    assert not any("Dice" in tile.label for tile in tiles(result))
