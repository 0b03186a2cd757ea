from __future__ import annotations

from typing import Any

import pytest

from lightawnet_edge.benchmarks.gate import check_int8
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.specs import Precision

DICE = (0.9, 0.8, 0.7, 0.6)


def test_engines_that_hold_their_share_pass_and_baselines_have_none(make_result: Any) -> None:
    records = make_result().records
    assert records[0].is_baseline
    check_int8(records, None)
    check_int8(records, 0.967)


def test_every_engine_that_falls_short_is_named_with_its_layers(make_record: Any) -> None:
    layers = (
        LayerRecord(name="e1/depthwise", requested=Precision.INT8, executed=Precision.FP32, macs=4),
        LayerRecord(name="e1/expand", requested=Precision.INT8, executed=Precision.INT8, macs=6),
    )
    good = make_record("good", 0.008, DICE)
    weak = make_record("weak", 0.008, DICE, executed={"int8": 0.6, "fp32": 0.4}, layers=layers)
    older = make_record("older", 0.008, DICE, executed={"int8": 0.2, "fp32": 0.8})
    with pytest.raises(CheckFailedError) as caught:
        check_int8((good, weak, older), None)
    text = str(caught.value)
    assert text.startswith("weak: 0.6 of the convolution MACs ran in INT8, expected at least 0.9.")
    assert "'e1/depthwise' (40.0%; asked for int8, ran in fp32)." in text
    assert "older: 0.2 of the convolution MACs ran in INT8" in text
    assert "good" not in text
    assert "--min-int8-share 0" in text
    check_int8((good, weak, older), 0.0)
