"""The table of devices, whole, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.errors import SpecError
from lightawnet_edge.graph.device_graph import OPSET
from lightawnet_edge.specs import Precision, Routing
from lightawnet_edge.targets.tensorrt.devices import (
    PLATFORMS,
    Platform,
    check_platform,
    device_of,
    dla_of,
    find_platform,
)

DOCS = Path(__file__).parents[3] / "docs" / "tensorrt.md"


def possible(platform: Platform, precision: Precision, routing: Routing) -> bool:
    try:
        check_platform(platform, precision, routing)
    except SpecError:
        return False
    return True


def documented(platform: Platform) -> str:
    """The row that a platform should have in the docs."""
    usual = platform == find_platform(platform.device)
    system = platform.jetpack or "-"
    cells = [
        f"`{platform.device}`",
        f"**{system}**" if usual and platform.jetpack else system,
        platform.tensorrt + (" (TensorRT-RTX)" if platform.device == "rtx" else ""),
        ", ".join(str(capability) for capability in platform.capabilities),
    ]
    int8 = [routing for routing in Routing if possible(platform, Precision.INT8, routing)]
    if possible(platform, Precision.FP16, Routing.STATIC):
        dla = [str(one).upper() for one in (Precision.FP16, Precision.INT8) if one in platform.dla]
        cells += [
            str(OPSET),
            "in the graph" if platform.typed else "flags",
            "any routing" if len(int8) > 1 else f"{int8[0]} routing",
            ", ".join(dla) or "none",
        ]
    else:
        cells += ["-"] * 4
    return f"| {' | '.join(cells)} |"


def test_the_table_is_as_documented() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("## Devices\n")[2].partition("\n\n")[0]
    assert table.splitlines()[2:] == [documented(row) for row in PLATFORMS]


@pytest.mark.parametrize(
    ("capability", "tensorrt", "dla"),
    [
        (87, "10.3", {"fp16"}),
        (87, "10.7", {"fp16"}),
        (87, "10.8", set()),
        (87, "11.3", set()),
        (87, "11.4", {"fp16", "int8"}),
        (72, "8.5", {"fp16"}),
        (110, "11.4", set()),
        (86, "10.3", set()),
    ],
)
def test_a_dla_is_there_by_device_and_version(
    capability: int, tensorrt: str, dla: set[str]
) -> None:
    assert {str(precision) for precision in dla_of(capability, tensorrt)} == dla


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
        (
            "jetson-orin",
            "5.0",
            "fp16",
            "dynamic",
            False,
            r"8\.4\): its parser takes neither uint8",
        ),
        ("jetson-orin", "5.0", "fp16", "dynamic", False, r"computed kernels: TensorRT 8\.5 is"),
        ("jetson-xavier", "5.0", "int8", "static", False, r"no uint8 frames: TensorRT 8\.5 is the"),
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
        ("jetson-orin", "5.1", "int8", "static", False),
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
