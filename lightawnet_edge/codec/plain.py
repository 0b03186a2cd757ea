"""What plain values are: checks of text and numbers, and an error that knows its place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any

Turn = Callable[[Any], Any]
_LONGEST = 40
"""Characters of a value that a message shows."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class CodecError(ValueError):
    """A value that cannot be written or read: says where it stands, and found against expected.

    The message is half a sentence without a full stop: who reads a file knows its name, and what to
    do about it.
    """

    where = ""
    """Keys down to the value, e.g. '.kit.golden' or '.layers[3]'; empty for the whole."""

    def __str__(self) -> str:
        where, problem = self.where.removeprefix("."), super().__str__()
        return f"{where}: {problem}" if where else problem


def at(key: object, turn: Turn, value: Any) -> Any:
    """Turn what stands at a key; an error learns of it."""
    try:
        return turn(value)
    except CodecError as error:
        plain = isinstance(key, str) and key.isidentifier() and len(key) <= _LONGEST
        error.where = (f".{key}" if plain else f"[{shown(key)}]") + error.where
        raise


def each(turn: Turn, values: Iterable[Any]) -> list[Any]:
    """Turn every value of a list."""
    return [at(index, turn, value) for index, value in enumerate(values)]


def mapped(turn_key: Turn, turn: Turn, values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Turn every key and value of a mapping."""
    return {at(key, turn_key, key): at(key, turn, value) for key, value in values.items()}


def refuse(problem: str) -> None:
    """Raise a CodecError, where a turn is asked for."""
    raise CodecError(problem)


def shown(value: object) -> str:
    """A value in a message: short and on one line, whatever it is."""
    if isinstance(value, dict | list):
        return f"a {'list' if isinstance(value, list) else 'table'} of {len(value)}"
    if isinstance(value, int) and not is_integer(int(value)):
        return "an integer of more than 64 bits"  # its digits may be too many to print
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _leaf(expected: str, fits: Callable[[Any], bool]) -> Turn:
    """A turn that gives what fits as it is."""

    def turn(value: Any) -> Any:
        if not fits(value):
            raise CodecError(f"expected {expected}, found {shown(value)}")
        return value

    return turn


def is_integer(value: Any) -> bool:
    """Whether this is an int of 64 bits, and no boolean."""
    return type(value) is int and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    return is_integer(value) or (type(value) is float and math.isfinite(value))


def _is_text(value: Any) -> bool:
    return type(value) is str and not _SURROGATE.search(value)


as_table = _leaf("a table of keys and values", lambda value: isinstance(value, dict))
as_list = _leaf("a list", lambda value: isinstance(value, list))
as_text = _leaf("text", _is_text)
LEAVES: Mapping[Any, Turn] = {
    NoneType: _leaf("None", lambda value: value is None),
    bool: _leaf("true or false", lambda value: type(value) is bool),
    int: _leaf("an integer", is_integer),
    float: _leaf("a number", _is_number),
    str: as_text,
}
"""Type to what takes a value of it alone. An integer is a number, too, and stays an integer: what
is read is written again to the letter."""
