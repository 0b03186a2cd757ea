"""Scores of frames: classes, parts, means, and what is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightawnet_edge.codec import decode, encode, json_text
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.evaluation.evaluation import (
    EVALUATION_JSON,
    Evaluation,
    read_evaluation,
    summarize_frames,
)
from lightawnet_edge.evaluation.report import console, markdown, markdown_table, notes
from tests.evaluation.conftest import MakeEvaluation, document, frame_result

EARLIER = Path(__file__).parents[1] / "codec" / "documents" / "evaluation.json"


@pytest.mark.parametrize(
    ("share", "size"),
    [
        (0.0, "empty"), (0.001, "small"), (0.0499, "small"), (0.05, "medium"), (0.1499, "medium"),
        (0.15, "large"), (1.0, "large"),
    ],
)  # fmt: skip
def test_lesions_are_small_below_a_twentieth_and_large_from_three(share: float, size: str) -> None:
    assert frame_result("a", truth_share=share).size == size


def test_hd95_as_a_share_is_of_the_diagonal() -> None:
    frame = frame_result("a", height=30, width=40, hd95_px=10.0)
    assert frame.hd95_share == pytest.approx(0.2)
    assert frame_result("a", hd95_px=None).hd95_share is None


def test_hd95_is_averaged_where_it_is_defined_and_the_rest_is_counted() -> None:
    frames = [frame_result("a", hd95_px=4.0), frame_result("b", hd95_px=None)]
    summary = summarize_frames(frames)
    assert summary.hd95_px is not None
    assert summary.hd95_px.mean == 4
    assert summary.hd95_undefined == 1
    assert summarize_frames(frames[1:]).hd95_px is None


def test_a_mean_over_no_frames_is_refused() -> None:
    with pytest.raises(SpecError, match="no frame to average"):
        summarize_frames([])


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_interval_holds_the_mean_and_equal_frames_give_equal_bytes(dice: list[float]) -> None:
    frames = [frame_result(str(index), dice=value) for index, value in enumerate(dice)]
    first, second = summarize_frames(frames), summarize_frames(frames)
    assert first == second
    rounding = 1e-12
    assert min(dice) - rounding <= first.dice.low <= first.dice.high <= max(dice) + rounding
    assert first.dice.mean == pytest.approx(sum(dice) / len(dice))


def test_parts_hold_each_lesion_once_and_empty_frames_never(
    make_evaluation: MakeEvaluation,
) -> None:
    result = make_evaluation()
    assert {name: part.n for name, part in result.by_size.items()} == {"small": 1, "large": 2}
    assert {name: part.n for name, part in result.by_group.items()} == {"north": 3, "south": 2}
    assert result.overall.n == 5


def test_false_alarms_and_missed_lesions_are_counted_apart(make_evaluation: MakeEvaluation) -> None:
    result = make_evaluation()
    assert (result.empty.n, result.empty.false_alarms, result.empty.share) == (2, 1, 0.5)
    assert result.missed == 1


def test_without_groups_there_are_no_parts_by_group(make_evaluation: MakeEvaluation) -> None:
    result = make_evaluation(frames=(frame_result("a"),))
    assert result.by_group == {}
    assert result.empty.share is None
    assert "Empty frames: none." in notes(result)


def test_worst_frames_are_of_low_dice_and_of_equal_ones_the_large(
    make_evaluation: MakeEvaluation,
) -> None:
    frames = (
        frame_result("good", dice=0.9), frame_result("dot", dice=0.0, truth_share=0.01),
        frame_result("half", dice=0.0, truth_share=0.5),
    )  # fmt: skip
    worst = make_evaluation(frames=frames).worst(2)
    assert [frame.stem for frame in worst] == ["half", "dot"]


def test_an_evaluation_comes_back_from_its_json(
    make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    result = make_evaluation()
    (tmp_path / EVALUATION_JSON).write_text(document(result))
    assert read_evaluation(tmp_path) == result
    assert document(read_evaluation(tmp_path / EVALUATION_JSON)) == document(result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "e.json' cannot be understood: not JSON"),
        ("[]", "expected a table of keys and values, found a list of 0"),
        ("{}", "schema None, this version reads 1. Run 'lightawnet-edge evaluate' again."),
        ('{"schema": 99}', "schema 99, this version reads 1"),
        ('{"schema": 1}', "cannot be understood: version: missing"),
    ],
)
def test_what_is_no_evaluation_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_evaluation(tmp_path / "e.json")


def test_the_terminal_table_fits_80_columns(make_evaluation: MakeEvaluation) -> None:
    from rich.console import Console

    frames = tuple(
        frame_result(str(index), truth_share=0.1, hd95_px=8.0 * index, group="C1")
        for index in range(120)
    )
    text = Console(width=80)
    with text.capture() as capture:
        text.print(console(make_evaluation(frames=frames)))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("5-15 %, n 120 " in line for line in lines), "not folded"


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_keeps_labels_and_numbers(
    make_evaluation: MakeEvaluation, width: int
) -> None:
    from rich.console import Console

    text = Console(width=width)
    with text.capture() as capture:
        text.print(console(make_evaluation()))
    found = capture.get()
    for pair in ("Dice 0.440", "IoU 0.420", "recall 0.480", "HD95 px 3", "HD95 % "):
        assert pair in found
    assert max(map(len, found.splitlines())) <= width


def test_the_markdown_table_has_a_row_for_every_part(make_evaluation: MakeEvaluation) -> None:
    lines = markdown(make_evaluation()).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    names = ["frames", "---", "all", "small", "large", "north", "south"]
    assert [line.split()[1] for line in lines] == names


def test_a_pipe_in_a_cell_does_not_end_it() -> None:
    assert markdown_table(["a"], [["x|y\nz"]]).splitlines()[-1] == r"| x\|y z |"


def test_notes_name_false_alarms_undefined_distances_and_few_frames(
    make_evaluation: MakeEvaluation,
) -> None:
    text = " ".join(notes(make_evaluation()))
    assert "Empty frames: 2, with a false alarm on 1 (50 %)" in text
    assert "nothing was found: 1 of 3 frames" in text
    assert "not defined on 2 frames" in text
    assert "Fewer than 100 frames" in text


def test_computed_values_in_the_json_are_computed_again(make_evaluation: MakeEvaluation) -> None:
    data = encode(make_evaluation())
    data["overall"]["dice"]["mean"] = 1.0
    data["frames"][0]["size"] = "gigantic"
    again = decode(Evaluation, data)
    assert again == make_evaluation()
    assert again.overall.dice.mean < 1
    assert again.frames[0].size != "gigantic"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": []}, "An evaluation has at least one frame, found none"),
        ({"frames": [{"dice": 1.5}]}, r"frames\[0\]: dice=1.5 must be in \[0, 1\]"),
        ({"frames": [{"hd95_px": -1}]}, r"frames\[0\]: hd95_px=-1 is no distance within a frame"),
        ({"frames": [{"height": 0}]}, r"frames\[0\]: Size 0x40 is not positive"),
        ({"weights": {"name": "../x"}}, "weights.name='../x' is no plain file name"),
        ({"weights": {"experts": 10_000}}, "weights: experts=10000"),
    ],
)
def test_values_that_no_evaluation_has_are_refused(
    change: dict[str, Any], message: str, make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    data = encode(make_evaluation())
    for key, value in change.items():
        if isinstance(value, dict):
            data[key] |= value
        else:
            data[key] = [data[key][0] | one for one in value]
    (tmp_path / "e.json").write_text(json_text({"schema": 1, **data}))
    with pytest.raises(ArtifactError, match=message):
        read_evaluation(tmp_path / "e.json")


def test_the_first_schema_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = json.loads(EARLIER.read_text(encoding="utf-8"))
    found = read_evaluation(EARLIER)
    assert json.loads(document(found)) == {**written, "doubts": found.doubts}
    assert found.by_group.keys() == {"north", "unknown"}
