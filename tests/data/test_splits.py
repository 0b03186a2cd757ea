"""Files that name frames are read strictly: what they mean is never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightawnet_edge.data.splits import read_groups, split_stems
from lightawnet_edge.errors import ArtifactError


def test_names_of_a_split_may_carry_suffixes_and_comments(tmp_path: Path) -> None:
    split = tmp_path / "split.txt"
    split.write_text("# pool\nb.png\n\na\nb\n")
    assert split_stems(split, ["a", "b", "c"]) == ["b", "a"]


def test_a_split_that_names_an_unknown_frame_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("z\n")
    with pytest.raises(ArtifactError, match="names 'z', but there is no such image"):
        split_stems(tmp_path / "split.txt", ["a"])


def test_groups_are_read_whatever_the_other_columns(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("device,stem,group\nx,a,north\ny,b,south\n")
    assert read_groups(tmp_path / "g.csv") == {"a": "north", "b": "south"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stem,centre\na,north\n", "line 2: expected a stem and a group under the header"),
        ("stem,group\na,\n", "line 2: expected a stem and a group"),
        ("stem,group\na,north\na,south\n", "line 3: 'a' is in 'north' and in 'south'"),
        ("stem,group\na.png,north\na.jpg,south\n", "line 3: 'a' is in 'north' and in 'south'"),
        ("stem,group\n", "names no frame: expected lines 'stem,group' under a header"),
        ("", "names no frame"),
    ],
)
def test_groups_that_cannot_be_read_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_groups(tmp_path / "g.csv")


def test_names_of_groups_may_carry_suffixes(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("stem,group\r\na.png,north\r\nb.2,south\r\n")
    found = read_groups(tmp_path / "g.csv")
    assert (found["a"], found["b.2"]) == ("north", "south")
    assert "b" not in found


def test_groups_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_bytes(b"stem,group\n\xff\xfe,x\n")
    with pytest.raises(ArtifactError, match="is no CSV file"):
        read_groups(tmp_path / "g.csv")


def test_a_missing_file_of_groups_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"No file of groups '.*none\.csv'"):
        read_groups(tmp_path / "none.csv")
