"""The one list of frames: what is in it, what is told, and what is refused before anything runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.bundle.camera import Camera, usual_yuv
from lightawnet_edge.bundle.store import digest_of, sha256_of
from lightawnet_edge.data.frameset import FrameFile, FrameSet, read_each, spaced
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.machine.machine import default_threads
from lightawnet_edge.progress import Step
from lightawnet_edge.specs import ColorOrder, Size
from tests.data.files import turned_jpeg

SIZE = Size(40, 48)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs of 8x8 pixels: a, b, c."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for name in "cab":
            cv2.imwrite(str(tmp_path / kind / f"{name}.png"), np.zeros((8, 8), np.uint8))
    return tmp_path


def stems(frames: FrameSet) -> list[str]:
    return [file.stem for file in frames.files]


# --- which frames


def test_pairs_come_in_the_order_of_their_names(folder: Path) -> None:
    assert stems(FrameSet.open(folder, masks=True)) == ["a", "b", "c"]


def test_packaged_frames_are_pairs() -> None:
    assert len(FrameSet.open(EVALUATION, masks=True)) >= 8


def test_a_plain_folder_of_images_will_do_where_no_mask_is_needed(folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / "masks" / f"{name}.png").rename(folder / f"{name}.png")
    for kind in ("images", "masks"):
        for file in (folder / kind).iterdir():
            file.unlink()
        (folder / kind).rmdir()
    frames = FrameSet.open(folder)
    assert stems(frames) == ["a", "b", "c"]
    assert not frames.has_masks
    assert frames.masks_digest() is None
    assert list(frames.truths(Size(8, 8))) == []


def test_the_folder_of_masks_beside_a_folder_of_images_counts_too(folder: Path) -> None:
    assert FrameSet.open(folder / "images").has_masks


def test_a_split_names_the_frames_to_use(folder: Path) -> None:
    (folder / "split.txt").write_bytes(b"\xef\xbb\xbfc\r\n\r\na.png\r\n# b\r\nc\r\n")
    assert stems(FrameSet.open(folder, masks=True, split=folder / "split.txt")) == ["c", "a"]


def test_a_split_may_hold_comments_and_stems_with_a_dot(folder: Path) -> None:
    for kind in ("images", "masks"):
        (folder / kind / "b.png").rename(folder / kind / "b.1.png")
    (folder / "split.txt").write_text("# for validation\nb.1\n")
    assert stems(FrameSet.open(folder, split=folder / "split.txt")) == ["b.1"]


@pytest.mark.parametrize(
    ("data", "message"), [(b"# nobody\n", "names no frame"), (b"\xff\xfe\xfa", "is no text")]
)
def test_a_split_that_names_nothing_is_refused(folder: Path, data: bytes, message: str) -> None:
    (folder / "split.txt").write_bytes(data)
    with pytest.raises(ArtifactError, match=message):
        FrameSet.open(folder, split=folder / "split.txt")


def test_a_split_with_unknown_images_is_refused_with_all_of_them(folder: Path) -> None:
    (folder / "split.txt").write_text("a\nz\ny.png\n")
    with pytest.raises(
        ArtifactError,
        match=r"split\.txt' has 2 problems: it names 'z', but there is no such image; .* 'y'",
    ):
        FrameSet.open(folder, split=folder / "split.txt")


def test_a_missing_split_is_named(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No split file '.*none\.txt'"):
        FrameSet.open(folder, split=folder / "none.txt")


def test_a_split_may_leave_an_image_without_mask_out(folder: Path) -> None:
    (folder / "masks" / "b.png").unlink()
    (folder / "split.txt").write_text("a\nc\n")
    assert len(FrameSet.open(folder, masks=True, split=folder / "split.txt")) == 2


def test_a_limit_spreads_over_all_names(folder: Path) -> None:
    assert stems(FrameSet.open(folder, limit=1)) == ["b"]
    assert len(FrameSet.open(folder, limit=5)) == 3


@given(st.integers(1, 500), st.integers(1, 500))
def test_spaced_indices_ascend_and_are_as_many_as_asked_for(count: int, limit: int) -> None:
    indices = spaced(count, limit)
    assert len(indices) == min(count, limit)
    assert indices == sorted(set(indices))
    assert 0 <= indices[0] <= indices[-1] < count


# --- what is refused before anything is read


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(ArtifactError, match=r"has no folder 'masks'. Give a folder .* --data DIR"):
        FrameSet.open(tmp_path, masks=True)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(SpecError, match=r"No image in '.*'\. Give a folder of frames"):
        FrameSet.open(tmp_path, masks=True)


def test_missing_masks_are_named_together(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / "masks" / f"{name}.png").unlink()
    message = r"has 2 problems: image '.*a\.png' has no mask: expected 'a\.png' .*b\.png.* Add it"
    with pytest.raises(ArtifactError, match=message):
        FrameSet.open(folder, masks=True)
    frames = FrameSet.open(folder)
    with pytest.raises(ArtifactError, match=message):
        _ = frames.has_masks


def test_a_missing_mask_does_not_hide_what_else_is_wrong(folder: Path) -> None:
    (folder / "masks" / "a.png").unlink()
    (folder / "images" / "b.png").write_bytes(b"broken")
    cv2.imwrite(str(folder / "masks" / "c.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(
        ArtifactError,
        match=r"has 3 problems: image '.*a\.png' has no mask.*b\.png' cannot be .*c\.png' is ",
    ):
        FrameSet.open(folder, masks=True)


def test_both_folders_are_told_at_once(folder: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (folder / kind / "a.jpg").write_bytes((folder / kind / "a.png").read_bytes())
    with pytest.raises(ArtifactError, match=r"Folder '.*images' has .* Folder '.*masks' has "):
        FrameSet.open(folder, masks=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"has no folder 'images' and no folder 'masks'\."):
        FrameSet.open(tmp_path / "empty", masks=True)


def test_names_that_never_meet_are_no_pairs(folder: Path) -> None:
    for file in (folder / "masks").iterdir():
        file.rename(file.with_name(f"m_{file.name}"))
    with pytest.raises(ArtifactError, match=r"No pairs in '.*': 3 images and 3 masks, and no two"):
        FrameSet.open(folder, masks=True)


def test_a_path_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    with pytest.raises(ArtifactError, match=r"The path of '.*caf\\xe9' is no UTF-8"):
        FrameSet.open(odd)


# --- what is told


def test_what_is_not_used_is_told(folder: Path) -> None:
    (folder / "images" / "clip.mpg").touch()
    (folder / "images" / "old").mkdir()
    (folder / "masks" / "d.png").touch()
    (folder / "masks" / "Thumbs.db").touch()
    (folder / "stray.jpg").touch()
    (folder / "more").mkdir()
    (folder / "split.txt").write_text("a")
    frames = FrameSet.open(folder, masks=True, limit=1)
    assert describe_unused(frames.unused) == [
        "not used of 'images': 1 folder (old), 1 video (clip.mpg)",
        "not used of 'masks': 1 other file (Thumbs.db), 1 mask without an image (d.png)",
        f"not used of '{folder.name}': 1 image (stray.jpg), 1 folder (more)",
    ]


# --- frames and masks as they are read


def test_a_mask_of_another_size_is_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks" / "a.png"), np.zeros((8, 9), np.uint8))
    (first, *_) = FrameSet.open(folder).files
    with pytest.raises(ArtifactError, match=r"a\.png' is 8x8, its mask '.*a\.png' is 8x9"):
        first.read_pair()


def test_a_truth_alone_is_held_against_the_size_of_its_frame(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks" / "a.png"), np.zeros((4, 4), np.uint8))
    frames = FrameSet.open(folder)
    with pytest.raises(ArtifactError, match=r"a\.png' is 8x8, its mask .* is 4x4"):
        list(frames.truths(Size(8, 8)))
    assert [mask.shape for mask in frames.part(slice(1, None)).truths(Size(2, 2))] == [(2, 2)] * 2


def test_a_turned_frame_is_read_alone_and_refused_with_a_mask(folder: Path) -> None:
    data = turned_jpeg(np.zeros((8, 8, 3), np.uint8), 6)
    (folder / "images" / "a.png").write_bytes(data)
    (first, *_) = FrameSet.open(folder).files
    for read in (first.read, first.read_pair):
        with pytest.raises(ArtifactError, match="stored turned"):
            read()
    assert FrameFile("a", first.image).read().shape == (8, 8, 3)
    with pytest.raises(ArtifactError, match="has no mask"):
        FrameFile("a", first.image).read_truth()


def test_all_faults_of_the_pairs_come_in_one_message(folder: Path) -> None:
    (folder / "images" / "a.png").write_bytes(b"")
    cv2.imwrite(str(folder / "masks" / "b.png"), np.full((8, 8), 100, np.uint8))
    cv2.imwrite(str(folder / "masks" / "c.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(
        ArtifactError,
        match=r"has 3 problems: .*a\.png' cannot be decoded .*it is empty; Mask '.*b\.png' is not "
        r"binary: its brightest value is 100, .*; '.*c\.png' is 8x8, its mask",
    ):
        FrameSet.open(folder).check_pairs(ColorOrder.RGB)


def test_inverted_masks_are_doubted(folder: Path) -> None:
    frames = FrameSet.open(folder, masks=True)
    assert frames.check_pairs(ColorOrder.RGB) == []
    for file in (folder / "masks").iterdir():
        cv2.imwrite(str(file), np.full((8, 8), 255, np.uint8))
    assert "they look inverted" in frames.check_pairs(ColorOrder.RGB)[0]
    assert frames.mask_doubts() == frames.check_pairs(ColorOrder.RGB)


def test_frames_and_truths_come_as_the_camera_of_a_contract_gives_them(dataset: Path) -> None:
    frames = FrameSet.open(dataset)
    rgb, bgr, gray, nv12, yuy2 = (
        list(frames.frames(Camera(size=SIZE, color=color, yuv=usual_yuv(color, SIZE))))
        for color in ColorOrder
    )
    assert len(rgb) == len(frames) == 8
    assert rgb[0].shape == (40, 48, 3)
    np.testing.assert_array_equal(rgb[0], bgr[0][:, :, ::-1])
    assert [one[0].shape for one in (gray, nv12, yuy2)] == [(40, 48), (60, 48), (40, 48, 2)]
    assert [mask.shape for mask in frames.truths(SIZE)] == [(40, 48)] * 8
    camera = Camera(size=SIZE, color=ColorOrder.NV12, yuv=usual_yuv(ColorOrder.NV12, SIZE))
    frame, truth = frames.files[0].pair_seen_by(camera)
    np.testing.assert_array_equal(frame, nv12[0])
    np.testing.assert_array_equal(truth, next(frames.truths(SIZE)))


# --- digests


def test_the_digest_is_that_of_the_bytes_and_not_of_names_or_order(folder: Path) -> None:
    cv2.imwrite(str(folder / "images" / "a.png"), np.full((8, 8), 9, np.uint8))
    frames = FrameSet.open(folder)
    expected = digest_of({"files": sorted(sha256_of(file.image) for file in frames.files)})
    assert frames.digest() == expected
    for kind in ("images", "masks"):
        (folder / kind / "a.png").rename(folder / kind / "z.png")
    assert FrameSet.open(folder).digest() == expected


def test_a_changed_mask_changes_the_digest_of_the_masks_alone(folder: Path) -> None:
    frames = FrameSet.open(folder)
    before = frames.digest(), frames.masks_digest()
    cv2.imwrite(str(folder / "masks" / "b.png"), np.full((8, 8), 255, np.uint8))
    assert frames.digest() == before[0]
    assert frames.masks_digest() not in (None, before[1])


# --- groups


def test_groups_are_those_of_the_frames(folder: Path) -> None:
    (folder / "groups.csv").write_text("stem,group\na,north\nx,south\n")
    frames = FrameSet.open(folder)
    assert frames.groups(folder / "groups.csv") == {"a": "north"}
    (folder / "groups.csv").write_text("stem,group\nx,south\n")
    with pytest.raises(SpecError, match=r"None of the 3 frames has a group in .* like 'a'"):
        frames.groups(folder / "groups.csv")


# --- reading in threads


def test_files_come_in_order_and_few_are_held(folder: Path) -> None:
    files = [FrameFile(str(index), folder) for index in range(100)]
    lock, begun, most = threading.Lock(), 0, 0
    heard: list[Step] = []

    def read(file: FrameFile) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return int(file.stem)

    for done, found in enumerate(read_each(files, read, "reading", heard.append)):
        assert found == done
        with lock:
            most = max(most, begun - done)
    assert most <= 2 * default_threads() + 1
    assert heard == [Step("reading", index, 100) for index in range(101)]


def test_an_error_in_a_thread_is_raised_where_its_turn_is(folder: Path) -> None:
    files = FrameSet.open(folder).files

    def read(file: FrameFile) -> str:
        if file.stem == "b":
            raise ArtifactError("b is broken")
        return file.stem

    found = read_each(files, read)
    assert next(found) == "a"
    with pytest.raises(ArtifactError, match="b is broken"):
        next(found)
