"""A checkpoint on frames: each at its own size, by the path that engines take."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lightawnet_edge.benchmarks.provenance import frames_digest
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.likeness import print_frame
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.errors import ArtifactError, CheckFailedError, SpecError
from lightawnet_edge.evaluation.evaluation import Evaluation, read_evaluation
from lightawnet_edge.evaluation.evaluator import EvalSpec, evaluate, write_evaluation
from lightawnet_edge.evaluation.report import notes
from lightawnet_edge.model.checkpoint import load_checkpoint, save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.preprocess import normalize, resize
from lightawnet_edge.progress import Step
from lightawnet_edge.scores.masks import score_mask
from lightawnet_edge.specs import Size
from lightawnet_edge.training.split import keep_sides
from tests.conftest import blobs, random_network
from tests.evaluation.conftest import document


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Four pairs of unequal sizes; the last has no lesion."""
    root = tmp_path / "frames"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index, size in enumerate((Size(40, 56), Size(90, 64), Size(64, 64), Size(48, 48))):
        ((frame, mask),) = blobs(1, size, seed=index)
        cv2.imwrite(str(root / "images" / f"f{index}.png"), frame[:, :, ::-1])
        cv2.imwrite(
            str(root / "masks" / f"f{index}.png"), mask.astype(np.uint8) * (255 * (index < 3))
        )
    return root


def spec(checkpoint: Path, data: Path, **changes: Any) -> EvalSpec:
    values: dict[str, Any] = {"weights": str(checkpoint), "data": data, "threads": 1}
    return EvalSpec(**(values | changes))


def test_masks_are_compared_at_their_own_size_with_logits_resized_back(
    checkpoint: Path, frames: Path
) -> None:
    result = evaluate(spec(checkpoint, frames)).result
    network = load_checkpoint(checkpoint)
    for found in result.frames:
        frame = torch.from_numpy(read_frame(frames / "images" / f"{found.stem}.png"))
        truth = read_mask(frames / "masks" / f"{found.stem}.png")
        x = resize(frame.permute(2, 0, 1)[None].float() / 255, Size(64, 64))
        meta = CheckpointMeta(in_channels=3, size=Size(64, 64))
        with torch.inference_mode():
            logits = resize(network(normalize(x, meta.normalization)), Size(*truth.shape))
        expected = score_mask((logits[0, 0] >= 0).numpy(), truth)
        assert (found.height, found.width) == truth.shape
        assert found.dice == expected.dice
        assert found.truth_share == pytest.approx(truth.mean())


def test_equal_requests_give_equal_bytes(checkpoint: Path, frames: Path) -> None:
    first, second = (evaluate(spec(checkpoint, frames)).result for _ in range(2))
    assert document(first) == document(second)


def test_the_result_names_weights_and_frames_but_no_place(checkpoint: Path, frames: Path) -> None:
    text = document(evaluate(spec(checkpoint, frames)).result)
    assert str(frames.parent) not in text
    assert str(checkpoint.parent) not in text
    data = json.loads(text)
    assert data["weights"]["name"] == "tiny"
    assert data["weights"]["parameters"] > 2_000_000
    assert data["data"] == "frames"


def test_another_input_size_gives_another_result(checkpoint: Path, frames: Path) -> None:
    small = evaluate(spec(checkpoint, frames, size=Size(32, 48))).result
    assert small.size == "32x48"
    assert small.frames != evaluate(spec(checkpoint, frames)).result.frames


def test_groups_come_from_the_file_and_are_unknown_beyond_it(
    checkpoint: Path, frames: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.csv").write_text("stem,group\nf0,north\nf1,north\nelsewhere,south\n")
    result = evaluate(spec(checkpoint, frames, groups=tmp_path / "g.csv")).result
    assert {name: part.n for name, part in result.by_group.items()} == {"north": 2, "unknown": 2}


def test_groups_of_other_frames_are_refused(checkpoint: Path, frames: Path, tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("stem,group\nx,north\n")
    with pytest.raises(SpecError, match=r"None of the 4 frames has a group in '.*g\.csv'"):
        evaluate(spec(checkpoint, frames, groups=tmp_path / "g.csv"))


def test_a_frame_that_cannot_be_read_fails_the_evaluation(checkpoint: Path, frames: Path) -> None:
    (frames / "images" / "f1.png").write_bytes(b"broken")
    cv2.imwrite(str(frames / "masks" / "f2.png"), np.full((64, 64), 100, np.uint8))
    with pytest.raises(
        ArtifactError,
        match=r"has 2 problems: .*f1\.png' cannot be decoded .*; Mask '.*f2\.png' is not binary",
    ):
        evaluate(spec(checkpoint, frames))


def test_what_is_not_used_is_told_and_inverted_masks_are_doubted(
    checkpoint: Path, frames: Path
) -> None:
    (frames / "images" / "clip.mpg").touch()
    for file in (frames / "masks").iterdir():
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(str(file), 255 - mask)
    told: list[str] = []
    result = evaluate(spec(checkpoint, frames), narrate=told.append).result
    few = "fewer than 100 frames: the intervals are too narrow"
    assert json.loads(document(result))["doubts"] == [told[1], few]
    assert decode(Evaluation, encode(result)) == result
    assert notes(result)[-1] == "Fewer than 100 frames: the intervals are too narrow."
    assert told[0] == "not used of 'images': 1 video (clip.mpg)"
    assert "they look inverted" in told[1]


def test_frames_that_the_run_was_trained_on_are_named(
    checkpoint: Path, frames: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    weights = Path(shutil.copy(checkpoint, run / "best.safetensors"))
    assert evaluate(spec(weights, frames)).result.trained_on is None
    pictures = [read_frame(frames / "images" / f"f{index}.png") for index in (0, 1)]
    smaller = np.asarray(cv2.resize(pictures[1], (48, 70), interpolation=cv2.INTER_AREA), np.uint8)
    keep_sides(run, [print_frame("t0", pictures[0]), print_frame("t1", smaller)], [])
    result = evaluate(spec(weights, frames)).result
    assert result.trained_on is not None
    assert [(one.stem, one.other, one.same_pixels) for one in result.trained_on] == [
        ("f0", "t0", True), ("f1", "t1", False),
    ]  # fmt: skip
    (note,) = (note for note in notes(result) if "trained on" in note)
    assert note.startswith("2 of 4 frames show a picture that the weights were trained on, so ")
    assert "'f0' ~ 't0' (the same pixels), 'f1' ~ 't1' (alike by" in note


def test_gray_checkpoints_take_gray_frames(frames: Path, tmp_path: Path) -> None:
    file = tmp_path / "gray.safetensors"
    meta = CheckpointMeta(in_channels=1, size=Size(32, 32))
    save_checkpoint(file, random_network(1).state_dict(), meta)
    measured = evaluate(spec(file, frames, limit=2))
    assert measured.result.overall.n == 2
    write_evaluation(measured, tmp_path / "out")
    assert cv2.imread(str(tmp_path / "out" / "worst.jpg")) is not None


def test_progress_is_told(checkpoint: Path, frames: Path) -> None:
    seen: list[Step] = []
    evaluate(spec(checkpoint, frames, limit=2), seen.append)
    checked = [Step("checking", done, 2) for done in range(3)]
    assert seen == [*checked, Step("scoring", 0, 2), Step("scoring", 1, 2)]


def test_the_folder_holds_what_was_measured_and_a_light_picture(
    checkpoint: Path, frames: Path, tmp_path: Path
) -> None:
    measured = evaluate(spec(checkpoint, frames))
    file = write_evaluation(measured, tmp_path / "out")
    assert read_evaluation(file) == measured.result
    assert 1000 < (tmp_path / "out" / "worst.jpg").stat().st_size <= 150_000


@pytest.mark.parametrize("name", ["limit", "threads"])
def test_a_limit_below_one_is_refused(name: str, checkpoint: Path, frames: Path) -> None:
    with pytest.raises(SpecError, match=f"{name}=0 must be at least 1"):
        spec(checkpoint, frames, **{name: 0})


def test_a_size_off_the_stride_is_refused(checkpoint: Path, frames: Path) -> None:
    with pytest.raises(SpecError, match="multiples of 16"):
        spec(checkpoint, frames, size=Size(100, 100))


def test_the_digest_knows_every_byte_of_images_and_masks(
    checkpoint: Path, frames: Path, tmp_path: Path
) -> None:
    def digest() -> str:
        return frames_digest(evaluate(spec(checkpoint, frames, limit=1)).frames.files)

    before = digest()
    shutil.copy(frames / "masks" / "f2.png", tmp_path / "kept.png")
    cv2.imwrite(str(frames / "masks" / "f2.png"), np.full((64, 64), 255, np.uint8))
    assert digest() != before
    shutil.copy(tmp_path / "kept.png", frames / "masks" / "f2.png")
    assert digest() == before


def test_a_network_that_overflows_is_no_network_that_finds_nothing(
    frames: Path, tmp_path: Path
) -> None:
    network = random_network()
    state = {
        name: 1e38 * tensor if name.endswith("project.weight") else tensor
        for name, tensor in network.state_dict().items()
    }
    huge = tmp_path / "huge.safetensors"
    save_checkpoint(huge, state, CheckpointMeta(in_channels=3, size=Size(64, 64)))
    with pytest.raises(CheckFailedError, match="probabilities that are not finite"):
        evaluate(spec(huge, frames))
