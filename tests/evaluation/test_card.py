"""A model card: what the records say, nothing that they do not, and no frame without a licence."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightawnet_edge.benchmarks.provenance import Asked
from lightawnet_edge.codec import dumps
from lightawnet_edge.data.likeness import Match, print_frame
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.evaluation.card import CardSpec, may_copy, write_card
from lightawnet_edge.evaluation.evaluation import EVALUATION_JSON, WORST_JPEG
from lightawnet_edge.evaluation.leakage import read_twins
from lightawnet_edge.evaluation.training_record import read_run, settings
from lightawnet_edge.training import made as made_weights
from lightawnet_edge.training.made import MadeWeights
from lightawnet_edge.training.split import keep_sides
from tests.evaluation.conftest import MakeEvaluation, document

CONFIG = """
data = "/home/someone/data/blobs"
out = "runs/x"
split = "{split}"
val_split = "configs/val.txt"
size = "64x64"
lr = 2e-3
teacher = "encoder|big"
freeze_norm = false

[[schedule]]
size = "32x32"
epochs = 3

[[schedule]]
size = "64x64"
epochs = 1

[augment]
flip = 0.5
"""
METRICS = """epoch,loss,dice,lr,seconds,best,stage,teacher_loss
1,0.9,0.5,0.001,1800,1,warm,
2,0.7,0.65,0.001,1800,1,warm,0.3
3,0.6,0.6,0.001,3600,0,cold,0.2
"""
Write = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with columns and keys that this version does not know."""
    folder = tmp_path / "run"
    folder.mkdir()
    split = tmp_path / "train.txt"
    split.write_text("x\ny\n")
    (folder / "config.toml").write_text(CONFIG.format(split=split))
    (folder / "metrics.csv").write_text(METRICS)
    write_made(folder, best="a" * 64, last="c" * 64)
    return folder


def write_made(run: Path, **made: Any) -> None:
    text = dumps(MadeWeights(**made), schema=made_weights.SCHEMA)
    (run / made_weights.MADE).write_text(text)


@pytest.fixture
def write(tmp_path: Path, make_evaluation: MakeEvaluation) -> Write:
    """Write a card of the evaluation by hand; return the Markdown file."""
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / EVALUATION_JSON).write_text(document(make_evaluation()))
    (folder / WORST_JPEG).write_bytes(b"a picture")

    def call(**changes: Any) -> Path:
        values: dict[str, Any] = {"evaluation": folder, "out": tmp_path / "cards"}
        return write_card(CardSpec(**(values | changes)))

    return call


def test_the_card_tells_scores_data_and_terms(write: Write) -> None:
    text = write().read_text()
    assert text.startswith("# `tiny`: what these weights are, and how good\n")
    for words in (
        "1,234 parameters", "**0.440**", "5 frames of `blobs`, split `val.txt`", "Blobs, 2026",
        "| small (< 5 %, n 1) |", "| north (n 3) |", "false alarm on 1 (50 %)",
        "Weakest by group: south", "Terms of the weights: CC0-1.0.", "near-duplicates: no list",
        "lightawnet-edge evaluate --weights tiny --data blobs --split val.txt\n",
    ):  # fmt: skip
        assert words in text
    assert "## Recipe" not in text, "no run was given"
    assert "## Notes" not in text


def test_the_recipe_shows_every_setting_and_no_one_s_folders(
    write: Write, run: Path, tmp_path: Path
) -> None:
    write_made(run, best="a" * 64, last="c" * 64, init="a" * 64)
    text = write(runs=(run, run), hardware="2 cores").read_text()
    assert "Hardware: 2 cores. Duration: 4.00 h" in text
    assert "| best epoch | 2, validation Dice 0.6500 at network size |" in text
    assert "| schedule 2 | size 64x64, epochs 1 | size 64x64, epochs 1 |" in text
    assert r"| teacher | encoder\|big |" in text
    assert "| augment | flip 0.5 |" in text
    assert "| freeze_norm | no |" in text
    assert "/home/someone" not in text
    assert str(tmp_path) not in text


def test_curves_are_a_light_png_beside_the_card(write: Write, run: Path) -> None:
    card = write(runs=(run,))
    data = card.with_name("tiny-curves.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 60_000
    width, height = struct.unpack(">II", data[16:24])
    assert width > 2 * height
    assert "(tiny-curves.png)" in card.read_text()


def test_one_epoch_is_a_curve_too(write: Write, run: Path) -> None:
    (run / "metrics.csv").write_text("\n".join(METRICS.splitlines()[:2]))
    assert write(runs=(run,)).with_name("tiny-curves.png").is_file()


@pytest.mark.parametrize(
    ("terms", "allowed"),
    [
        ("CC-BY-4.0", True), ("CC BY 4.0", True), ("cc-by-sa-4.0", True), ("CC0-1.0", True),
        ("CC0", True), ("CC-BY-NC-4.0", False), ("CC-BY-ND-4.0", False),
        ("CC BY-NC-SA 4.0", False), ("research and education only", False), ("unknown", False),
        ("", False), ("not CC-BY-4.0", False),
    ],
)  # fmt: skip
def test_frames_are_copied_only_under_terms_that_let_anyone(terms: str, allowed: bool) -> None:
    assert may_copy(terms) is allowed


def test_worst_frames_are_shown_with_their_source_where_that_is_allowed(write: Write) -> None:
    card = write(data_license="CC-BY-4.0", attribution="Blobs et al.")
    text = card.read_text()
    assert "Frames: Blobs et al.; CC-BY-4.0; made smaller, outlines added." in text
    assert card.with_name("tiny-worst.jpg").read_bytes() == b"a picture"


def test_elsewhere_worst_frames_are_named_and_an_older_picture_goes(write: Write) -> None:
    write(data_license="CC-BY-4.0")
    card = write(data_license="research only", replace=True)
    text = card.read_text()
    assert not card.with_name("tiny-worst.jpg").exists()
    assert "worst.jpg" not in text
    assert "terms of the frames (research only) do not allow copies" in text
    assert "| 1 | `c` | north | large | 20.0% | 0.0% | 0.000 |" in text


def test_an_allowed_picture_that_lacks_is_asked_for(write: Write, tmp_path: Path) -> None:
    (tmp_path / "measured" / WORST_JPEG).unlink()
    with pytest.raises(ArtifactError, match=r"No contact sheet .* evaluate --out"):
        write(data_license="CC0")


def test_notes_of_a_person_have_their_section(write: Write, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("The schedule was *shortened*.\n")
    text = write(notes=tmp_path / "notes.md").read_text()
    assert text.endswith("## Notes\n\nThe schedule was *shortened*.\n")


@pytest.mark.parametrize(("data", "message"), [(None, "No notes"), (b"\xff\xfe", "are no text")])
def test_notes_that_cannot_be_read_are_refused(
    data: bytes | None, message: str, write: Write, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / "notes.md").write_bytes(data)
    with pytest.raises(ArtifactError, match=message):
        write(notes=tmp_path / "notes.md")


def test_other_evaluations_are_a_row_each(
    write: Write, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    other = make_evaluation(data="rings", split=None, size="32x32", frames_sha256="c" * 64)
    (tmp_path / "other.json").write_text(document(other))
    text = write(also=(tmp_path / "other.json",)).read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| `tiny` | rings |"))
    assert row.startswith("| `tiny` | rings | 32x32 | 5 | 0.440 (")
    assert row.endswith("| – |"), "other frames are not compared"


def test_other_weights_on_the_same_frames_are_compared_pair_by_pair(
    write: Write, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    frames = tuple(dataclasses.replace(one, dice=0.5) for one in make_evaluation().frames)
    own = make_evaluation(frames=frames)
    (tmp_path / "measured" / EVALUATION_JSON).write_text(document(own))
    frames = tuple(dataclasses.replace(frame, dice=frame.dice - 0.125) for frame in own.frames)
    twin = make_evaluation(frames=frames, weights=dataclasses.replace(own.weights, name="twin"))
    (tmp_path / "twin.json").write_text(document(twin))
    text = write(also=(tmp_path / "twin.json",)).read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| `twin` |"))
    assert row.endswith("| -0.125 (-0.125 to -0.125) |")


def test_the_routing_of_the_network_is_told(
    write: Write, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    weights = make_evaluation().weights
    for experts, words in ((1, "static kernels"), (4, "4 routed kernels a bank")):
        result = make_evaluation(weights=dataclasses.replace(weights, experts=experts))
        (tmp_path / "measured" / EVALUATION_JSON).write_text(document(result))
        assert f"LightAWNet, {words}, 3 channel" in write(replace=True).read_text()


def test_a_card_about_other_weights_than_those_beside_it_is_refused(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "tiny.safetensors").write_bytes(b"others")
    with pytest.raises(ArtifactError, match="about other weights"):
        write()
    assert [file.name for file in (tmp_path / "cards").iterdir()] == ["tiny.safetensors"]


def test_a_run_that_made_other_weights_is_refused(write: Write, run: Path) -> None:
    write_made(run, best="d" * 64, last="e" * 64)
    with pytest.raises(
        ArtifactError,
        match=r"other weights than those of run '.*/run': 'tiny' has sha256 a{12}…, "
        r"best\.safetensors has d{12}…, last\.safetensors has e{12}…\. Run 'lightawnet-edge "
        r"evaluate --weights .*/run/best\.safetensors', or give the run of 'tiny' with --run\.",
    ):
        write(runs=(run,))


def test_the_last_weights_of_a_run_are_its_own_too(write: Write, run: Path) -> None:
    write_made(run, best="d" * 64, last="a" * 64)
    assert write(runs=(run,)).is_file()


def test_stages_hang_together_by_the_weights_that_each_started_from(
    write: Write, run: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    shutil.copytree(run, first)
    write_made(first, best="1" * 64, last="2" * 64)
    write_made(run, best="a" * 64, last="c" * 64, init="1" * 64)
    text = write(runs=(first, run)).read_text()
    assert "was not recorded" not in text.split("## Scores")[0]
    assert "| weights, SHA-256 | `1111111111111111…`, `2222222222222222…` |" in text
    write_made(run, best="a" * 64, last="c" * 64, init="9" * 64)
    with pytest.raises(ArtifactError, match=r"run' did not start from run '.*first': .* 9{12}…"):
        write(runs=(first, run), replace=True)
    write_made(run, best="a" * 64, last="c" * 64)
    with pytest.raises(ArtifactError, match="by its config it started anew"):
        write(runs=(first, run), replace=True)
    config = run / "config.toml"
    config.write_text('init = "start.safetensors"\n' + config.read_text())
    assert (
        "what these weights had been trained on was not looked at"
        in write(runs=(run,), replace=True).read_text()
    )
    text = write(runs=(first, run), replace=True).read_text()
    assert "Stage 2: which weights it started from was not recorded" in text


def test_the_run_of_an_earlier_version_is_known_by_its_checkpoints(
    write: Write, run: Path, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    (run / made_weights.MADE).unlink()
    with pytest.raises(ArtifactError, match=r"does not say which weights it made.*Put its 'best"):
        write(runs=(run,))
    (run / "best.safetensors").write_bytes(b"weights")
    with pytest.raises(ArtifactError, match="other weights than those of run"):
        write(runs=(run,))
    own = make_evaluation()
    sha256 = hashlib.sha256(b"weights").hexdigest()
    own = make_evaluation(weights=dataclasses.replace(own.weights, sha256=sha256))
    (tmp_path / "measured" / EVALUATION_JSON).write_text(document(own))
    assert f"`{sha256}`" in write(runs=(run,)).read_text()


def test_a_record_of_weights_that_is_none_is_named(write: Write, run: Path) -> None:
    (run / made_weights.MADE).write_text("{}")
    with pytest.raises(ArtifactError, match=r"weights\.json' cannot be understood.* Remove it"):
        write(runs=(run,))


def test_the_card_tells_the_command_its_time_and_versions(
    write: Write, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    assert (
        "Measured with lightawnet-edge 0.1.0, torch 2. The command was not" in write().read_text()
    )
    asked = Asked(
        command=("lightawnet-edge", "evaluate", "--data", "a b"),
        created="2026-01-31T12:00:00+00:00",
    )
    (tmp_path / "measured" / EVALUATION_JSON).write_text(document(make_evaluation(asked=asked)))
    text = write(replace=True).read_text()
    assert "Measured on 2026-01-31 12:00 UTC with lightawnet-edge 0.1.0, torch 2." in text
    assert "```bash\nlightawnet-edge evaluate --data 'a b'\n```" in text
    assert f"| SHA-256 of the weights | `{'a' * 64}` |" in text


def test_a_card_is_replaced_only_on_request(write: Write) -> None:
    write().write_text("mine")
    with pytest.raises(SpecError, match=r"tiny\.md' exists. Replace it with --force"):
        write()
    assert write(replace=True).read_text() != "mine"


def test_leakage_says_what_was_checked_by_name(write: Write, run: Path) -> None:
    text = write(runs=(run,)).read_text()
    assert "stage 1: no evaluated frame was a training frame, by name" in text
    assert "scores are optimistic by that choice" in text, "val.txt is what epochs were chosen by"


def test_an_evaluated_training_frame_is_refused(write: Write, run: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("x\na.png\n")
    with pytest.raises(SpecError, match=r"1 evaluated frame\(s\) were trained on.* e\.g\. 'a'"):
        write(runs=(run,))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("data/blobs", "data/rings", "stage 1: trained on another set, `rings`"),
        ("train.txt", "gone.txt", "stage 1: names were not compared: the split file `gone.txt`"),
    ],
)
def test_leakage_says_what_was_not_checked(
    old: str, new: str, words: str, write: Write, run: Path
) -> None:
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(old, new))
    assert words in write(runs=(run,)).read_text()


def test_where_only_validation_frames_are_named_all_others_were_trained_on(
    write: Write, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "v.txt").write_text("a\nb\nc\nd\ne\n")
    (run / "config.toml").write_text(f'data = "blobs"\nval_split = "{tmp_path / "v.txt"}"\n')
    assert "(checked with `v.txt`)" in write(runs=(run,)).read_text()
    (tmp_path / "v.txt").write_text("a\nb\n")
    with pytest.raises(SpecError, match=r"3 evaluated frame\(s\) were trained on"):
        write(runs=(run,), replace=True)


def test_a_split_by_hash_cannot_be_compared(write: Write, run: Path) -> None:
    (run / "config.toml").write_text('data = "blobs"\n')
    assert "drawn by a hash of their names" in write(runs=(run,)).read_text()


def test_a_run_that_names_its_training_frames_is_compared_by_name(write: Write, run: Path) -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    keep_sides(run, [print_frame("x", frame)], [print_frame("a", frame)])
    assert "by name (checked with `train-frames.json`)" in write(runs=(run,)).read_text()
    keep_sides(run, [print_frame("a", frame)], [print_frame("x", frame)])
    with pytest.raises(SpecError, match=r"1 evaluated frame\(s\) were trained on, by 'train-fr"):
        write(runs=(run,), replace=True)


@pytest.mark.parametrize(
    ("matches", "words"),
    [
        ((), "pictures: no evaluated frame is like a training frame"),
        ((Match("a", "x", 0.9, same_pixels=False),), "optimistic: 'a' ~ 'x' (alike by 0.90)"),
    ],
)
def test_pictures_of_the_training_are_told(
    matches: tuple[Match, ...], words: str, write: Write, tmp_path: Path,
    make_evaluation: MakeEvaluation,
) -> None:  # fmt: skip
    text = document(make_evaluation(trained_on=matches))
    (tmp_path / "measured" / EVALUATION_JSON).write_text(text)
    assert words in write().read_text()


def test_a_card_of_frames_that_were_trained_on_is_refused(
    write: Write, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    text = document(make_evaluation(trained_on=(Match("a", "x", 1.0, same_pixels=True),)))
    (tmp_path / "measured" / EVALUATION_JSON).write_text(text)
    with pytest.raises(SpecError, match=r"were trained on, by their pixels, e\.g\. 'a'"):
        write()


def test_listed_near_duplicates_are_named_where_they_were_evaluated(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "twins.txt").write_text("# found by eye\na, x\nzz,y\n")
    text = write(twins=tmp_path / "twins.txt").read_text()
    assert "1 pairs of an evaluated and a training frame are listed" in text
    assert "`a` ~ `x`; 1 listed pairs are about frames that were left out" in text
    (tmp_path / "twins.txt").write_text("zz,y\n")
    text = write(twins=tmp_path / "twins.txt", replace=True).read_text()
    assert "none of the evaluated frames is listed; 1 listed pairs" in text


def test_a_near_duplicate_without_its_twin_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twins.txt").write_text("a\n")
    with pytest.raises(ArtifactError, match="expected 'stem,training stem', found 'a'"):
        read_twins(tmp_path / "twins.txt")


def test_a_network_without_false_alarms_has_no_such_limit(
    write: Write, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    result = make_evaluation(frames=make_evaluation().frames[:1], limit=1, size="32x32")
    (tmp_path / "measured" / EVALUATION_JSON).write_text(document(result))
    text = write().read_text()
    assert "False alarms" not in text
    assert "Weakest by" not in text, "one part is no comparison"
    assert "--split val.txt --size 32x32 --limit 1\n" in text


def test_a_run_is_read_with_columns_that_are_unknown_empty_or_words(run: Path) -> None:
    record = read_run(run)
    assert record.seconds == 7200
    assert record.best == (2, 0.65)
    assert record.sizes == ("", "", "")
    assert "teacher_loss" not in record.epochs[0]
    assert record.epochs[2]["teacher_loss"] == 0.2


def test_the_best_epoch_is_one_at_the_last_size(write: Write, run: Path) -> None:
    rows = "1,32x32,0.9,0.8,9\n2,64x64,0.8,0.5,9\n3,64x64,0.7,0.6,9\n4,64x64,0.7,0.6,9\n"
    (run / "metrics.csv").write_text("epoch,size,loss,dice,seconds\n" + rows)
    assert read_run(run).best == (3, 0.6)
    assert "| 3, validation Dice 0.6000 at 64x64 |" in write(runs=(run,)).read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss,dice,seconds\n", "has no epoch"),
        ("epoch,loss,dice\n1,0.1,0.2\n", "epoch 1: no number in 'seconds'"),
        ("epoch,loss,dice,seconds\n1,oops,0.2,3\n", "epoch 1: no number in 'loss'"),
    ],
)
def test_metrics_without_what_a_card_needs_are_refused(text: str, message: str, run: Path) -> None:
    (run / "metrics.csv").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_run(run)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no 'metrics\.csv'"):
        read_run(tmp_path)


def test_settings_of_any_kind_become_text() -> None:
    config = {"steps": [1, 2.5], "empty": [], "home": "C:\\data\\blobs", "nested": {"a": {"b": 1}}}
    assert settings(config) == {
        "steps": "1, 2.5", "empty": "", "home": "blobs", "nested": "a b 1",
    }  # fmt: skip
