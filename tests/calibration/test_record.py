"""The record of a set: read as it was written, and refused where it leads out of its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.calibration.record import (
    RECORD,
    SCHEMA,
    UPGRADES,
    ChosenFrame,
    LayerRange,
    SetRecord,
    Stability,
    read_record,
)
from lightawnet_edge.codec import decode, dumps, encode, json_text, loads
from lightawnet_edge.data.likeness import FramePrint
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import Method

EARLIER = Path(__file__).parents[1] / "codec" / "documents" / RECORD
PRINT = FramePrint("a", "ab" * 32, "0f" * 128)
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write a set without its files, with changes in its record."""

    def write(**changes: Any) -> Path:
        plain = json.loads(EARLIER.read_text(encoding="utf-8"))
        (tmp_path / RECORD).write_text(json_text(plain | changes), encoding="utf-8")
        return tmp_path

    return write


def test_the_first_schema_is_read_and_its_extremes_are_what_min_max_gives() -> None:
    text = EARLIER.read_text(encoding="utf-8")
    record = loads(SetRecord, text, schema=SCHEMA, upgrades=UPGRADES)
    assert len(record.prints) == 3
    assert record.stability is not None
    assert record.stability.methods == (Method.MIN_MAX,)
    (first, *_) = json.loads(text)["stability"]["layers"]
    low, high, half_low, half_high = first["extremes"]
    ends = (min(low, 0), max(high, 0), min(half_low, 0), max(half_high, 0))
    assert record.stability.layers[0].ranges[Method.MIN_MAX] == ends
    again = dumps(record, schema=SCHEMA, indent=1, sort_keys=False)
    assert loads(SetRecord, again, schema=SCHEMA) == record


def test_a_record_without_its_files_is_refused(folder: Folder) -> None:
    with pytest.raises(ArtifactError, match=r"lacks its file 'images/.*Design the set again"):
        read_record(folder())


def test_a_frame_that_no_hash_stands_for_is_refused(folder: Folder) -> None:
    with pytest.raises(ArtifactError, match=r"has no sha256 of 'images/.*Design the set again"):
        read_record(folder(files={}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": []}, "A calibration set has at least one frame, found none. Design the set"),
        ({"files": {"../x.png": ""}}, r"'../x.png' is no file of the folder 'images'"),
        ({"files": {"masks/..": ""}}, r"'masks/..' is no file of the folder 'masks'"),
        ({"evaluation": {}}, "evaluation.data: missing"),
        ({"seed": 1.5}, "seed: expected an integer, found 1.5"),
        ({"planned": 1}, "planned: unknown key, known are data, split"),
    ],
)
def test_values_that_no_set_has_are_refused(
    changes: dict[str, Any], message: str, folder: Folder
) -> None:
    with pytest.raises(ArtifactError, match=f"{RECORD}' cannot be understood: {message}"):
        read_record(folder(**changes))


@pytest.mark.parametrize("place", ["a.png", "images/", "images/../a.png", "/images/a", "masks/a"])
def test_a_frame_lies_in_the_folder_of_images(place: str) -> None:
    with pytest.raises(SpecError, match="is no file of the folder 'images'"):
        ChosenFrame(print=PRINT, image=place, mask=None, source="s", features={})


def test_a_mask_lies_in_the_folder_of_masks() -> None:
    frame = ChosenFrame(print=PRINT, image="images/a.png", mask="masks/a.b.png", source="s",
                        features={"lesion": None})  # fmt: skip
    assert decode(ChosenFrame, encode(frame)) == frame
    with pytest.raises(SpecError, match=r"'images/a.png' is no file of the folder 'masks'"):
        ChosenFrame(print=PRINT, image="images/a.png", mask="images/a.png", source="", features={})


def test_ranges_are_those_of_some_layer_in_fp32() -> None:
    with pytest.raises(SpecError, match="the ranges of layer 'e1' are none of FP32"):
        LayerRange(layer="e1", ranges={Method.MSE: (0, 1e300, 0, 1)})
    with pytest.raises(SpecError, match="needs at least one layer, found none"):
        Stability(weights="w", frames=4, half=2, layers=())
    some = (
        LayerRange(layer="a", ranges={method: (0, 1, 0, 1)})
        for method in (Method.MSE, Method.ENTROPY)
    )
    with pytest.raises(SpecError, match="must be of the same methods"):
        Stability(weights="w", frames=4, half=2, layers=tuple(some))
