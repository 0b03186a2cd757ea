"""Studies as people read them: a minus is a loss, and nothing is lost in a narrow terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, Group

from lightawnet_edge.approximation import routing_report, sensitivity_report
from lightawnet_edge.approximation.routing_study import BlockStudy, RoutingStudy
from lightawnet_edge.approximation.sensitivity import LayerSensitivity, Sensitivity
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.specs import Precision

ROUTING = RoutingStudy(
    calibrated_frames=8,
    dice=(0.9, 0.9),
    has_truth=True,
    blocks=(
        BlockStudy(
            block="e1", mean=(0.1, 0.2, 0.3, 0.4), spread=(0.01, 0.02, 0.03, 0.04),
            varying_energy=0.0123, dice_drops=(0.02, 0.02), snr_db=31.5,
        ),
    ),
    all_drops=(-0.03, -0.03),
    all_snr_db=29.0,
)  # fmt: skip
SENSITIVITY = Sensitivity(
    layers=(
        LayerSensitivity(
            layer=LayerRecord(name="encoder/u3/excite", executed=Precision.INT8, macs=9),
            mac_share=0.25, sqnr_db=24.2, gains=(0.004, 0.004),
        ),
    ),
    dice=(0.8, 0.8),
    exact_dice=(0.85, 0.85),
    masks_differ=0.001,
)  # fmt: skip


def test_json_tells_the_doubts_that_the_terminal_shows() -> None:
    few = "2 frames are few: intervals of Dice are too narrow"
    for report, found in ((routing_report, ROUTING), (sensitivity_report, SENSITIVITY)):
        assert report.document(found, "polyp")["doubts"] == [few]
        assert few in text_of(report.console(found, "polyp"), 80)


def text_of(shown: Group, width: int) -> str:
    with io.StringIO() as file:
        Console(width=width, file=file).print(shown)
        return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_routing_study_keeps_its_numbers(width: int) -> None:
    text = text_of(routing_report.console(ROUTING, "polyp"), width)
    for word in ("experts %", "10 20 30 40", "1.0 2.0 3.0 4.0", "1.23%", "−0.0200", "31.5"):
        assert word in text
    assert "+0.0300" in text, "all: a gain"
    assert "Dice change" in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_sensitivity_keeps_its_numbers(width: int) -> None:
    text = text_of(sensitivity_report.console(SENSITIVITY, "polyp"), width)
    for word in ("encoder/u3/excite", "25.0%", "24.2", "+0.0040", "+0.0040 … +0.0040"):
        assert word in text
    assert "INT8 changes Dice by −0.0500" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= width
