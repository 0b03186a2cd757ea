"""What the charts of a report promise: one colour an engine, and no Dice beyond 1."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

import pytest

from lightawnet_edge.benchmarks import figures


def labels_of(figure: figures.Figure) -> list[float]:
    """Numbers along the axes of a picture; matplotlib writes its texts as comments of an SVG."""
    svg = base64.b64decode(figure.light.partition(",")[2]).decode()
    texts = re.findall(r"<!-- (.*?) -->", svg)
    return [float(text) for text in texts if re.fullmatch(r"[\d.]+", text)]


@pytest.mark.parametrize("dice", [1.0, 0.995, 0.0])
def test_no_axis_goes_beyond_what_dice_can_be(make_record: Any, dice: float) -> None:
    values = (dice,) * 4
    records = [make_record(name, 0.008, values, baseline_dice=values) for name in ("a", "b")]
    low, high = figures.dice_limits(dice - 0.04, dice + 0.04)
    assert 0 <= low < high <= 1
    assert max(label for label in labels_of(figures.trade_figure(records)) if label < 2) <= 1


def test_an_interval_does_not_reach_beyond_a_dice_of_one(make_record: Any) -> None:
    record = make_record("a", 0.008, (0.99, 1.0, 1.0, 1.0), baseline_dice=(1.0, 1.0, 0.6, 1.0))
    drop = record.dice_drop
    assert drop.mean - drop.low > 1 - record.accuracy["dice"], "as the bootstrap has it"
    error = figures.error_of(record)
    assert error is not None
    assert error[1][0] == pytest.approx(1 - record.accuracy["dice"])
    lone = replace(record, scores=tuple(replace(one, dice_drop=None) for one in record.scores))
    assert figures.error_of(lone) is None


def test_engines_keep_their_colours_and_baselines_are_gray(make_result: Any) -> None:
    records = make_result().records
    colors = figures.colors_of(records)
    assert colors["pytorch-eager"] == figures.BASELINE_COLOR
    assert len(set(colors.values())) == 3
