"""Documents: their text, their schema number, and what is no document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.codec import CodecError, documents, dumps, json_text, loads, read_document
from lightawnet_edge.errors import ArtifactError


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    text: str
    marks: tuple[int, ...] = ()


NOTE = Note(text="Été", marks=(1, 2))
TEXT = """\
{
  "marks": [
    1,
    2
  ],
  "schema": 3,
  "text": "Été"
}
"""


def to_2(data: dict[str, Any]) -> dict[str, Any]:
    return {"text": data["words"], "mark": data["mark"] + 1}


def to_3(data: dict[str, Any]) -> dict[str, Any]:
    return {"text": data["text"], "marks": [data["mark"]]}


UPGRADES = {1: to_2, 2: to_3}


def read(text: str | bytes) -> Note:
    return loads(Note, text, schema=3, upgrades=UPGRADES)


def test_a_document_has_sorted_keys_its_schema_and_a_newline_at_its_end() -> None:
    assert dumps(NOTE, schema=3) == TEXT
    assert read(TEXT) == read(TEXT.encode()) == NOTE


def test_a_document_may_keep_the_order_of_its_fields_and_stand_on_one_line() -> None:
    line = dumps(NOTE, schema=3, indent=None, sort_keys=False)
    assert line == '{"schema": 3, "text": "Été", "marks": [1, 2]}\n'


def test_older_documents_are_lifted_step_by_step() -> None:
    assert read('{"schema": 1, "words": "w", "mark": 1}') == Note(text="w", marks=(2,))
    assert read('{"schema": 2, "text": "w", "mark": 1}') == Note(text="w", marks=(1,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON (Expecting value: line 1"),
        ("{", "not JSON (Expecting property name"),
        (TEXT.replace("1", "NaN"), "not JSON (NaN is no number)"),
        (TEXT.replace("1", "-Infinity"), "not JSON (-Infinity is no number)"),
        ('{"schema": 3, "text": "a", "text": "b"}', "not JSON (the key 'text' stands twice)"),
        (b'{"schema": 3, "text": "\xc9t\xe9"}', "not JSON ('utf-8' codec can't decode byte 0xc9"),
        (TEXT.encode("utf-16"), "not JSON ('utf-8' codec can't decode byte 0xff"),
        ("\ufeff" + TEXT, "not JSON (Unexpected UTF-8 BOM"),
        ("[" * 1_000_000, "nested too deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deep"),
        (TEXT.replace("1", "9" * 10_000), "not JSON (Exceeds the limit"),
        (TEXT.replace("1", "9" * 4_000), "marks[0]: expected an integer, found an integer of more"),
        (TEXT.replace("1", "1e999"), "marks[0]: expected an integer, found inf"),
        (TEXT.replace("Été", r"\ud800"), r"text: expected text, found '\ud800'"),
        ("[]", "expected a table of keys and values, found a list of 0"),
        ("{}", "schema None, this version reads 1, 2, 3"),
        ('{"schema": 4}', "schema 4, this version reads 1, 2, 3"),
        ('{"schema": 0}', "schema 0, this version reads 1, 2, 3"),
        ('{"schema": true}', "schema True, this version reads"),
        ('{"schema": 3.0}', "schema 3.0, this version reads"),
        ('{"schema": "3"}', "schema '3', this version reads"),
        ('{"schema": [3]}', "schema a list of 1, this version reads"),
        ('{"schema": 1, "words": "w"}', "not of schema 1: KeyError('mark')"),
        ('{"schema": 1, "words": "w", "mark": []}', "not of schema 1: TypeError("),
        ('{"schema": 2, "text": 7, "mark": 1}', "text: expected text, found 7"),
        ('{"schema": 3}', "text: missing"),
    ],
)
def test_what_is_no_such_document_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_without_upgrades_there_is_one_schema() -> None:
    with pytest.raises(CodecError, match=r"^schema 1, this version reads 3$"):
        loads(Note, '{"schema": 1}', schema=3)


def test_what_is_not_finite_is_not_written() -> None:
    with pytest.raises(CodecError, match=r"^marks\[0\]: expected a number, found nan$"):
        dumps(Note(text="", marks=(float("nan"),)), schema=3)  # type: ignore[arg-type]


def test_json_without_a_schema_is_text_on_one_line() -> None:
    assert json_text([NOTE, None]) == '[{"text": "Été", "marks": [1, 2]}, null]'
    assert json_text({"b": 1, "a": 2}, indent=1, sort_keys=True) == '{\n "a": 2,\n "b": 1\n}'
    with pytest.raises(CodecError, match=r"^b: expected a number, found inf$"):
        json_text({"b": float("inf")})


def test_a_document_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text(TEXT, encoding="utf-8")
    assert read_document(Note, tmp_path / "note.json", schema=3, again="") == NOTE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "note.json' cannot be read: No such file or directory. Write it again."),
        (b"{", "note.json' cannot be understood: not JSON (Expecting property name enclosed"),
        (b'{"schema": 4}', "note.json' cannot be understood: schema 4, this version reads 3. W"),
        (b'{"schema": 3}', "note.json' cannot be understood: text: missing. Write it again."),
        (b" " * 3000, "note.json' cannot be understood: more than 0 MiB. Write it again."),
    ],
)
def test_a_file_that_is_no_such_document_is_named_with_what_to_do(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LARGEST_BYTES", 2000)
    if content is not None:
        (tmp_path / "note.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=re.escape(message)):
        read_document(Note, tmp_path / "note.json", schema=3, again="Write it again.")


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read: Is a directory"):
        read_document(Note, tmp_path, schema=3, again="Write it again.")
