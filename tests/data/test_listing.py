"""What lies in a folder is used, or told; names that would be mixed up are refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from lightawnet_edge.data.listing import describe_unused, image_files, list_folder, refuse_among
from lightawnet_edge.errors import ArtifactError, SpecError
from tests.data.files import encoded

PICTURE = np.zeros((4, 4), np.uint8)


def test_images_are_listed_by_stem_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.npy", "d.webp", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert list(image_files(tmp_path)) == ["a", "b", "c", "d"]
    assert image_files(tmp_path)["b"] == tmp_path / "b.PNG"


def test_content_decides_where_the_suffix_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg_orig").write_bytes(encoded(".jpg", PICTURE))
    (tmp_path / "b").write_bytes(encoded(".png", PICTURE))
    (tmp_path / "c.dat").write_bytes(b"\0\0\x01\xba" + bytes(40))
    (tmp_path / "d.mpg").touch()
    found = list_folder(tmp_path)
    assert list(found.images) == ["a", "b"]
    assert [path.name for path in found.videos] == ["c.dat", "d.mpg"]
    assert not found.unused


def test_everything_else_is_counted_aloud(tmp_path: Path) -> None:
    for name in ("a.png", "notes.txt", "empty", ".DS_Store"):
        (tmp_path / name).touch()
    for index in range(5):
        (tmp_path / f"{index}.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "old").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    odd = tmp_path / os.fsdecode(b"caf\xe9.txt")
    odd.touch()
    (told,) = describe_unused(list_folder(tmp_path).unused)
    assert told == (
        f"not used of '{tmp_path.name}': 5 DICOM files (0.dcm, 1.dcm, 2.dcm, and 2 more), "
        "1 broken link or special file (gone.png), 1 folder (old), 1 hidden entry (.DS_Store), "
        r"3 other files (caf\xe9.txt, empty, notes.txt)"
    )
    assert describe_unused([]) == []


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(ArtifactError, match=r"a\.jpg' and '.*a\.png' share a stem"):
        image_files(tmp_path)


def test_names_that_cannot_stand_beside_each_other_are_refused_together(tmp_path: Path) -> None:
    for name in (b"A.png", b"a.png", b"caf\xe9.png"):
        (tmp_path / os.fsdecode(name)).touch()
    with pytest.raises(ArtifactError) as caught:
        list_folder(tmp_path)
    message = str(caught.value)
    assert "has 2 problems" in message
    assert "A.png' and " in message
    assert "a.png' differ in case alone, keep one of them" in message
    assert r"the name of 'caf\xe9.png' is no UTF-8, rename it" in message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No folder '.*nowhere'"):
        image_files(tmp_path / "nowhere")


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ArtifactError, match=r"cannot be read: Permission denied"):
        list_folder(tmp_path)


def test_20_000_files_take_a_moment(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    for index in range(1, 20_000):  # links: they are made faster than files
        (tmp_path / f"{index}.png").hardlink_to(tmp_path / "0.png")
    start = time.perf_counter()
    assert len(image_files(tmp_path)) == 20_000
    # A search for twins in pairs took more than a minute.
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("record", ["manifest.json", "calibration-set.json", "weights.json"])
def test_nothing_is_written_among_what_a_record_is_about(record: str, tmp_path: Path) -> None:
    (tmp_path / record).write_text("{}")
    with pytest.raises(SpecError, match=f"holds a {record}, .* masks would spoil it"):
        refuse_among(tmp_path, (), "masks")
