from __future__ import annotations

import pytest

from lightawnet_edge.bundle.layers import (
    LayerRecord,
    check_share,
    fp16_shortfall,
    int8_shortfall,
    mac_shares,
    part_of,
    parts_of,
)
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision

INT8, FP32 = Precision.INT8, Precision.FP32
LAYERS = (
    LayerRecord(name="e1/expand", requested=INT8, executed=INT8, kernel="brgconv_I8", macs=6),
    LayerRecord(name="e1/depthwise", requested=INT8, executed=FP32, kernel="dw_f32", macs=1),
    LayerRecord(name="out", requested=FP32, macs=3),
)


def test_a_record_comes_back_from_json_and_leaves_out_what_is_not_known() -> None:
    assert decode(tuple[LayerRecord, ...], encode(LAYERS)) == LAYERS
    assert encode(LAYERS[2]) == {
        "name": "out", "kind": "convolution", "requested": "fp32", "macs": 3,
    }  # fmt: skip
    timed = LayerRecord(name="/Resize", kind="resize", seconds=0.001)
    assert decode(LayerRecord, encode(timed)) == timed


def test_mac_shares_sum_to_one_and_name_what_was_not_found() -> None:
    shares = mac_shares(LAYERS)
    assert shares == {"fp32": 0.1, "fp16": 0.0, "bf16": 0.0, "int8": 0.6, "unknown": 0.3}
    assert "unknown" not in mac_shares(LAYERS[:2])


def test_layers_that_run_in_another_precision_have_fallen_back() -> None:
    assert [layer.fell_back for layer in LAYERS] == [False, True, True]
    assert not LayerRecord(name="/Resize", kind="resize", executed=FP32).fell_back


def test_too_little_int8_is_told_with_the_layers_that_weigh_most() -> None:
    text = int8_shortfall(INT8, mac_shares(LAYERS), LAYERS, None)
    assert text == (
        "0.6 of the convolution MACs ran in INT8, expected at least 0.9. Outside INT8, with their "
        "share of the MACs: 'out' (30.0%; asked for fp32, ran in unknown), 'e1/depthwise' (10.0%; "
        "asked for int8, ran in fp32)."
    )
    many = tuple(LayerRecord(name=f"e{n}", macs=1, executed=FP32) for n in range(9))
    assert "'e4'" in str(int8_shortfall(INT8, {"int8": 0.0}, many, None))
    assert str(int8_shortfall(INT8, {"int8": 0.0}, many, None)).endswith(" and 4 more.")
    assert int8_shortfall(INT8, {"fp32": 1.0}, (), None) == (
        "0 of the convolution MACs ran in INT8, expected at least 0.9."
    )


@pytest.mark.parametrize(
    ("precision", "share", "minimum", "holds"),
    [
        (INT8, 0.9, None, True),
        (INT8, 0.899999, None, False),
        (INT8, 0.899999, 0.0, True),
        (INT8, 0.999999, 1.0, False),
        (FP32, 0.0, 1.0, True),
        (Precision.BF16, 0.0, None, True),
    ],
)
def test_the_limit_holds_for_int8_alone(
    precision: Precision, share: float, minimum: float | None, holds: bool
) -> None:
    assert (int8_shortfall(precision, {"int8": share}, (), minimum) is None) == holds


def test_layers_that_stay_dynamic_do_not_count_against_the_limit() -> None:
    dynamic = LayerRecord(name="u4/dynamic", executed=FP32, macs=90, computed=True)
    assert decode(LayerRecord, encode(dynamic)) == dynamic
    constant = LayerRecord(name="e1/expand", requested=INT8, executed=INT8, macs=10)
    shares = mac_shares((dynamic, constant))
    assert int8_shortfall(INT8, shares, (dynamic, constant), None) is None
    fallen = LayerRecord(name="e1/expand", requested=INT8, executed=FP32, macs=10)
    text = str(int8_shortfall(INT8, shares, (dynamic, fallen), None))
    assert text.startswith("0 of the convolution MACs beside 1 dynamic layers ran in INT8")
    assert "u4/dynamic" not in text


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(SpecError, match=r"--min-int8-share .* must lie between 0 and 1"):
        check_share(share)
    check_share(None)
    check_share(1.0)


def test_an_fp16_engine_must_run_in_fp16_dynamic_layers_too() -> None:
    def layer(executed: Precision, macs: int) -> LayerRecord:
        return LayerRecord(
            name=str(macs), requested=Precision.FP16, executed=executed, macs=macs, computed=True
        )

    most = (layer(Precision.FP16, 91), layer(Precision.FP32, 9))
    assert fp16_shortfall(Precision.FP16, most) is None
    some = (layer(Precision.FP16, 89), layer(Precision.FP32, 11))
    assert fp16_shortfall(Precision.FP16, some) == (
        "0.89 of the convolution MACs ran in FP16, expected at least 0.9. Outside FP16, with their "
        "share of the MACs: '11' (11.0%; asked for fp16, ran in fp32)."
    )
    assert fp16_shortfall(Precision.INT8, some) is None
    assert fp16_shortfall(Precision.FP16, ()) is None


@pytest.mark.parametrize(
    ("layer", "part"),
    [
        ("/preprocess/boxes/Convolution_7", "frame in"),
        ("/preprocess/Unsqueeze_abcd_acdb_/network/e1/Add_1", "frame in"),
        ("e1/depthwise", "network"),
        ("/network/u4/Resize", "network"),
        ("/mask/Interpolate_9", "mask out"),
        ("mask", "mask out"),
        ("/Sigmoid", "mask out"),
    ],
)
def test_a_layer_belongs_to_the_part_of_a_call_that_its_name_says(layer: str, part: str) -> None:
    assert part_of(layer) == part


def test_the_parts_of_a_call_add_up_to_it() -> None:
    names = ("/preprocess/Resize", "e1/expand", "u4/dynamic", "/mask/Resize")
    layers = [LayerRecord(name=name, seconds=0.002) for name in names]
    assert parts_of(layers, 0.009) == pytest.approx(
        {"frame in": 0.002, "network": 0.004, "mask out": 0.002, "rest": 0.001}
    )
    assert parts_of(layers, 0.007)["rest"] == 0, "clocks of layers and calls are not the same"
    assert parts_of(layers, None) == {}
