"""Records as JSON documents with a schema number, and older documents lifted to today's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from lightawnet_edge.codec.plain import CodecError, Turn, as_table, is_integer, shown
from lightawnet_edge.codec.records import decode, encode
from lightawnet_edge.errors import ArtifactError

LARGEST_BYTES = 1 << 28
"""Of a file that is read: scores of a million frames take less."""

_T = TypeVar("_T")


def json_text(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """JSON of a record, or of what a record may hold; on one line, unless told otherwise.

    Raises:
        CodecError: As for `encode`.
    """
    return _text(encode(value), indent, sort_keys=sort_keys)


def dumps(record: object, *, schema: int, indent: int | None = 2, sort_keys: bool = True) -> str:
    """Text of a JSON document: a record with its schema number, and a newline at the end.

    Raises:
        CodecError: As for `encode`.
    """
    plain = {"schema": schema, **encode(record)}
    return _text(plain, indent, sort_keys=sort_keys) + "\n"


def loads(
    kind: type[_T], text: str | bytes, *, schema: int, upgrades: Mapping[int, Turn] | None = None
) -> _T:
    """Inverse of `dumps`.

    Args:
        kind: The record.
        text: The document; bytes are UTF-8.
        schema: Number of the schema that `kind` is written with.
        upgrades: Number of an older schema to a function that takes its plain values, a dict
            without the number, and gives those of the next.

    Raises:
        CodecError: This is no JSON object, holds NaN, Infinity or a key twice, has a schema that no
            upgrade leads from, or is not what `kind` asks for.
    """
    data, upgrades = as_table(_parsed(text)), upgrades or {}
    number = data.pop("schema", None)
    while not (is_integer(number) and number == schema):
        if not is_integer(number) or number not in upgrades:
            known = ", ".join(map(str, sorted({*upgrades, schema})))
            raise CodecError(f"schema {shown(number)}, this version reads {known}")
        data, number = _upgraded(upgrades[number], data, number), number + 1
    return decode(kind, data)


def read_document(
    kind: type[_T],
    path: Path,
    *,
    schema: int,
    again: str,
    upgrades: Mapping[int, Turn] | None = None,
) -> _T:
    """Read a document from a file.

    Args:
        kind: The record.
        path: The file.
        schema: As for `loads`.
        again: What to do about a file that cannot be read, in a sentence.
        upgrades: As for `loads`.

    Raises:
        ArtifactError: The file is missing, larger than LARGEST_BYTES, or no such document.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise CodecError(f"more than {LARGEST_BYTES >> 20} MiB")
        return loads(kind, data, schema=schema, upgrades=upgrades)
    except OSError as error:
        problem = error.strerror or error
        raise ArtifactError(f"'{path}' cannot be read: {problem}. {again}") from error
    except CodecError as error:
        raise ArtifactError(f"'{path}' cannot be understood: {error}. {again}") from error


def _text(plain: Any, indent: int | None, *, sort_keys: bool) -> str:
    return json.dumps(
        plain, allow_nan=False, ensure_ascii=False, indent=indent, sort_keys=sort_keys
    )


def _parsed(text: str | bytes) -> Any:
    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except ValueError as error:
        raise CodecError(f"not JSON ({error})") from error
    except RecursionError:
        raise CodecError("nested too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} stands twice")
        found[key] = value
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _upgraded(upgrade: Turn, data: dict[str, Any], number: int) -> dict[str, Any]:
    try:
        upgraded: dict[str, Any] = upgrade(data)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CodecError(f"not of schema {number}: {error!r}") from error
    return upgraded
