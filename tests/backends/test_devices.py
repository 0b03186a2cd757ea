"""The table of devices, whole, and what it refuses."""

from __future__ import annotations

import pytest

from lightawnet_edge.backends.devices import (
    PLATFORMS,
    Platform,
    check_platform,
    device_of,
    find_platform,
)
from lightawnet_edge.errors import SpecError
from lightawnet_edge.kit import BuilderSettings
from lightawnet_edge.specs import Precision, Routing

TABLE = """\
jetson-xavier (JetPack 5.1, TensorRT 8.5)  | SM 72               | opset 17 | weak   | dla fp16
jetson-xavier (JetPack 5.0, TensorRT 8.4)  | SM 72               | opset 16 | weak   | dla fp16
jetson-orin (JetPack 6.2, TensorRT 10.3)   | SM 87               | opset 17 | strong | dla fp16
jetson-orin (JetPack 6.1, TensorRT 10.3)   | SM 87               | opset 17 | strong | dla fp16
jetson-orin (JetPack 6.0, TensorRT 8.6)    | SM 87               | opset 17 | weak   | dla fp16
jetson-orin (JetPack 5.1, TensorRT 8.5)    | SM 87               | opset 17 | weak   | dla fp16
jetson-orin (JetPack 5.0, TensorRT 8.4)    | SM 87               | opset 16 | weak   | dla fp16
jetson-orin (JetPack 7.2.2, TensorRT 11.4) | SM 87               | opset 17 | strong | dla fp16 int8
jetson-thor (JetPack 7.0, TensorRT 10.13)  | SM 110              | opset 17 | strong | dla -
jetson-thor (JetPack 7.2.2, TensorRT 11.4) | SM 110              | opset 17 | strong | dla -
rtx (TensorRT-RTX 1.7)                     | SM 80 86 89 120 121 | opset 17 | strong | dla -"""


def test_the_table_is_as_documented() -> None:
    lines = []
    for row in PLATFORMS:
        capabilities = " ".join(str(sm) for sm in row.capabilities)
        dla = " ".join(sorted(str(precision) for precision in row.dla)) or "-"
        lines.append(
            f"{row!s:<42} | {f'SM {capabilities}':<19} | opset {row.opset} | "
            f"{'strong' if row.typed else 'weak':<6} | dla {dla}"
        )
    assert "\n".join(lines) == TABLE


def test_a_device_has_its_usual_system_unless_another_is_named() -> None:
    assert find_platform("jetson-orin").tensorrt == "10.3"
    assert find_platform("Jetson-Orin", "5.1").tensorrt == "8.5"
    assert find_platform("jetson-thor").tensorrt == "10.13"
    assert find_platform("rtx").jetpack is None


@pytest.mark.parametrize(
    ("device", "jetpack", "message"),
    [
        ("jetson-nano", None, "Unknown device 'jetson-nano'. Known: jetson-xavier, jetson-orin"),
        ("jetson-thor", "5.1", r"Unknown JetPack '5\.1'. Known for jetson-thor: 7\.0, 7\.2\.2"),
        ("rtx", "6.2", r"Unknown JetPack '6\.2'. rtx has none: leave it out"),
    ],
)
def test_what_is_not_in_the_table_is_refused(
    device: str, jetpack: str | None, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        find_platform(device, jetpack)


@pytest.mark.parametrize(
    ("device", "jetpack", "precision", "routing", "dla", "message"),
    [
        ("jetson-orin", "5.0", "fp16", "dynamic", False, r"8\.4\): its parser takes no conv"),
        ("jetson-orin", "5.1", "int8", "dynamic", False, "fails on INT8 or runs it in float"),
        ("jetson-orin", "6.2", "bf16", "static", False, "no BF16 graph for TensorRT"),
        ("jetson-thor", None, "fp16", "static", True, "it has no DLA"),
        ("rtx", None, "fp16", "static", True, "it has no DLA"),
        ("jetson-orin", "7.2.2", "int8", "dynamic", True, "a DLA takes no computed kernels"),
        ("jetson-orin", "6.2", "fp16", "auto", True, "a DLA takes no computed kernels"),
        ("jetson-orin", "6.2", "int8", "static", True, "INT8 from a calibrator alone"),
        ("jetson-orin", "6.2", "fp32", "static", True, "computes in FP16 and INT8 alone"),
    ],
)
def test_the_impossible_is_refused_with_the_reason(
    device: str, jetpack: str | None, precision: str, routing: str, dla: bool, message: str
) -> None:
    platform = find_platform(device, jetpack)
    with pytest.raises(SpecError, match=message):
        check_platform(platform, Precision(precision), Routing(routing), dla=dla)


@pytest.mark.parametrize(
    ("device", "jetpack", "precision", "routing", "dla"),
    [
        ("jetson-orin", "5.0", "int8", "static", False),
        ("jetson-orin", "6.2", "int8", "dynamic", False),
        ("jetson-orin", "7.2.2", "int8", "static", True),
        ("jetson-xavier", "5.1", "fp16", "dynamic", False),
        ("jetson-thor", "7.2.2", "fp32", "dynamic", False),
        ("rtx", None, "int8", "static", False),
    ],
)
def test_the_possible_is_let_through(
    device: str, jetpack: str | None, precision: str, routing: str, dla: bool
) -> None:
    check_platform(find_platform(device, jetpack), Precision(precision), Routing(routing), dla=dla)


LEVEL = BuilderSettings(optimization_level=5)
LATER = BuilderSettings(version_compatible=True)
OTHER = BuilderSettings(hardware_compatible=True)


@pytest.mark.parametrize(
    ("platform", "settings", "message"),
    [
        (find_platform("jetson-orin", "5.1"), LEVEL, r"8\.5\): optimization levels came with"),
        (find_platform("jetson-xavier"), LATER, "compatible plans came with TensorRT 8.6"),
        (find_platform("jetson-orin"), OTHER, "a plan for a Jetson loads on its own kind alone"),
        (find_platform("rtx"), LATER, "makes no compatible plans"),
        (find_platform("rtx"), OTHER, "makes no compatible plans"),
        (
            Platform(device="sm75", jetpack=None, tensorrt="10.3", capabilities=(75,)),
            OTHER,
            "compatible plans begin with Ampere, SM80",
        ),
    ],
)
def test_settings_that_a_builder_does_not_know_are_refused_before_the_work(
    platform: Platform, settings: BuilderSettings, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        check_platform(platform, Precision.FP16, Routing.STATIC, settings=settings)


@pytest.mark.parametrize(
    ("platform", "settings"),
    [
        (find_platform("jetson-orin", "6.0"), LEVEL),
        (find_platform("jetson-thor"), LATER),
        (find_platform("rtx"), LEVEL),
        (find_platform("jetson-xavier"), BuilderSettings(workspace_mib=64)),
        (Platform(device="sm86", jetpack=None, tensorrt="10.3", capabilities=(86,)), OTHER),
    ],
)
def test_settings_that_a_builder_knows_are_let_through(
    platform: Platform, settings: BuilderSettings
) -> None:
    check_platform(platform, Precision.FP16, Routing.STATIC, settings=settings)


def test_a_jetson_is_found_by_its_compute_capability() -> None:
    assert [device_of(sm) for sm in (72, 87, 110, 86)] == [
        "jetson-xavier",
        "jetson-orin",
        "jetson-thor",
        None,
    ]
