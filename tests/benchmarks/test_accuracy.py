from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.benchmarks.accuracy import frame_scores
from lightawnet_edge.data.pairs import Pair, at_size, find_pairs, spaced
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.scores.masks import SegmentationScore
from lightawnet_edge.specs import ColorOrder, Size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs of 8x8 pixels: a, b, c."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for name in "cab":
            cv2.imwrite(str(tmp_path / kind / f"{name}.png"), np.zeros((8, 8), np.uint8))
    return tmp_path


def test_pairs_come_in_the_order_of_their_names(folder: Path) -> None:
    assert [pair.name for pair in find_pairs(folder, None, None)] == ["a", "b", "c"]


def test_packaged_frames_are_pairs() -> None:
    assert len(find_pairs(EVALUATION, None, None)) >= 8


def test_a_split_names_the_frames_to_use(folder: Path) -> None:
    (folder / "split.txt").write_text("c\n\na.png\nc\n")
    pairs = find_pairs(folder, folder / "split.txt", None)
    assert [pair.name for pair in pairs] == ["c", "a"]


def test_a_split_may_hold_comments_and_stems_with_a_dot(folder: Path) -> None:
    for kind in ("images", "masks"):
        (folder / kind / "b.png").rename(folder / kind / "b.1.png")
    (folder / "split.txt").write_text("# for validation\nb.1\n")
    assert [pair.name for pair in find_pairs(folder, folder / "split.txt", None)] == ["b.1"]


@pytest.mark.parametrize(
    ("data", "message"), [(b"# nobody\n", "names no frame"), (b"\xff\xfe\xfa", "is no text")]
)
def test_a_split_that_names_nothing_is_refused(folder: Path, data: bytes, message: str) -> None:
    (folder / "split.txt").write_bytes(data)
    with pytest.raises(ArtifactError, match=message):
        find_pairs(folder, folder / "split.txt", None)


def test_a_split_may_leave_an_image_without_mask_out(folder: Path) -> None:
    (folder / "masks" / "b.png").unlink()
    (folder / "split.txt").write_text("a\nc\n")
    assert len(find_pairs(folder, folder / "split.txt", None)) == 2


def test_a_limit_spreads_over_all_names(folder: Path) -> None:
    assert [pair.name for pair in find_pairs(folder, None, 1)] == ["b"]
    assert len(find_pairs(folder, None, 5)) == 3


@given(st.integers(1, 500), st.integers(1, 500))
def test_spaced_indices_ascend_and_are_as_many_as_asked_for(count: int, limit: int) -> None:
    indices = spaced(count, limit)
    assert len(indices) == min(count, limit)
    assert indices == sorted(set(indices))
    assert 0 <= indices[0] <= indices[-1] < count


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(ArtifactError, match=r"has no folder 'masks'. Give a folder .* --data DIR"):
        find_pairs(tmp_path, None, None)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(SpecError, match=r"No image in '.*images'\. Give a folder of frames"):
        find_pairs(tmp_path, None, None)


def test_a_missing_mask_is_named(folder: Path) -> None:
    (folder / "masks" / "b.png").unlink()
    with pytest.raises(ArtifactError, match=r"Image '.*b\.png' has no mask: expected 'b\.png'"):
        find_pairs(folder, None, None)


def test_a_missing_split_is_named(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No split file '.*none\.txt'"):
        find_pairs(folder, folder / "none.txt", None)


def test_a_split_with_an_unknown_image_is_refused(folder: Path) -> None:
    (folder / "split.txt").write_text("a\nz\n")
    with pytest.raises(ArtifactError, match=r"names 'z', but there is no such image"):
        find_pairs(folder, folder / "split.txt", None)


def test_a_mask_of_another_size_is_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks" / "a.png"), np.zeros((8, 9), np.uint8))
    pair = Pair("a", folder / "images" / "a.png", folder / "masks" / "a.png")
    with pytest.raises(ArtifactError, match=r"'a\.png' is 8x8, its mask is 8x9"):
        pair.read(ColorOrder.RGB)


def test_frame_and_truth_are_stretched_alike() -> None:
    truth = np.zeros((20, 30), np.bool_)
    truth[5:15, 10:20] = True
    frame = np.repeat(truth[:, :, None], 3, axis=2).astype(np.uint8) * 255
    big_frame, big_truth = at_size(frame, truth, Size(40, 60))
    np.testing.assert_array_equal(big_frame[:, :, 0] > 127, big_truth)
    assert big_truth.sum() == 4 * truth.sum()


def test_scores_are_paired_by_frame_whatever_their_order() -> None:
    def score(dice: float) -> SegmentationScore:
        return SegmentationScore(dice=dice, iou=0.1, precision=0.2, recall=0.3)

    ours, theirs = {"a": score(0.5), "b": score(0.9)}, {"b": score(0.8), "a": score(0.7)}
    drops = {found.frame: found.dice_drop for found in frame_scores(ours, theirs)}
    assert drops == {"a": pytest.approx(0.2), "b": pytest.approx(-0.1)}
    assert [found.dice_drop for found in frame_scores(ours, None)] == [None, None]
