"""Records to plain values by the types of their values, and back by the annotations of fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from lightawnet_edge.codec.plain import (
    LEAVES,
    CodecError,
    Turn,
    as_list,
    as_table,
    as_text,
    at,
    each,
    mapped,
    refuse,
    shown,
)

OMIT: Mapping[str, Any] = {"omit": "default"}
"""Metadata of a field that is left out where it has its default."""
NEEDED: Mapping[str, Any] = {"needed": True}
"""Metadata of a field that has a default, and is refused all the same where it is left out."""

_T = TypeVar("_T")
_DEEPEST = 64
"""Levels of what is written, or read as `Any`: more than any record has."""


def encode(value: object) -> Any:
    """Turn a record, or what a record may hold, into dict, list, text, number, boolean or None.

    Raises:
        CodecError: A number is not finite or has more than 64 bits, text is not Unicode, values are
            nested too deep, or one is of another kind.
    """
    return _plain(_DEEPEST, value)


def decode(kind: type[_T], data: object) -> _T:
    """Inverse of `encode`: turn plain values into a record, or what another annotation says.

    Raises:
        CodecError: The values are not what `encode` gives, or the record refuses them.
        TypeError: An annotation is none of those that a field may have.
    """
    found: _T = _read(kind, data)
    return found


class Pair(NamedTuple):
    """How a class is written that is not written by its fields."""

    shape: Any
    """Annotation of what is written instead."""
    write: Turn
    read: Turn


@cache
def pair_of(kind: type[Any]) -> Pair | None:
    """How a class is written that is not written by its fields; None for all others."""
    if issubclass(kind, Enum):
        return Pair(Any, lambda member: member.value, partial(_member, kind))
    if hasattr(kind, "parse"):
        return Pair(str, str, kind.parse)
    if hasattr(kind, "from_written"):
        shape = get_type_hints(kind.written)["return"]
        return Pair(shape, kind.written, kind.from_written)
    bases: dict[type[Any], type[Any]] = {PurePath: str, str: str, int: int, float: float}
    base = next((bases[base] for base in bases if issubclass(kind, base)), None)
    return Pair(base, base, kind) if base else None


hints_of = cache(get_type_hints)
"""Annotations of a class by name."""


def derived_of(kind: type[Any]) -> tuple[str, ...]:
    """Names of the properties that are written beside the fields of a record."""
    return tuple(getattr(kind, "DERIVED", ()))


def default_of(field: Field[Any]) -> Any:
    """What a field is where it is left out; MISSING where it may not be."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def may_lack(field: Field[Any]) -> bool:
    """Whether a field may be left out of what is read."""
    return default_of(field) is not MISSING and "needed" not in field.metadata


def some_of(kinds: tuple[Any, ...]) -> Any:
    """X of `X | None`; a TypeError for other unions."""
    some = [kind for kind in kinds if kind is not NoneType]
    if len(some) != 1:
        raise TypeError(f"a union of {some} cannot be read from plain values")
    return some[0]


def _plain(left: int, value: Any) -> Any:
    """What `encode` gives, with at most so many levels left."""
    kind: Any = type(value)
    if kind in LEAVES:
        return LEAVES[kind](value)
    if left == 0:
        raise CodecError("nested too deep")
    turn = partial(_plain, left - 1)
    if isinstance(value, Mapping):
        return mapped(lambda key: as_text(turn(key)), turn, value)
    if isinstance(value, list | tuple):
        return each(turn, value)
    if pair := pair_of(kind):
        return turn(pair.write(value))
    if is_dataclass(kind):
        return {name: at(name, turn, getattr(value, name)) for name in _written(value)}
    raise CodecError(f"a value of {kind.__module__}.{kind.__qualname__} cannot be written")


def _written(record: Any) -> Iterator[str]:
    """Names of the fields and properties of a record that are written."""
    for field in fields(record):
        if "omit" not in field.metadata or getattr(record, field.name) != default_of(field):
            yield field.name
    yield from derived_of(type(record))


def _read(kind: Any, value: Any) -> Any:
    """What an annotation makes of a plain value."""
    if kind in LEAVES:
        return LEAVES[kind](value)
    if kind is Any:
        return encode(value)
    if (origin := get_origin(kind)) in _CONTAINERS:
        return _CONTAINERS[origin](get_args(kind), value)
    if pair := pair_of(kind):
        return _made(pair.read, _read(pair.shape, value))
    if is_dataclass(kind):
        return _made(kind, **_read_fields(kind, as_table(value)))
    raise TypeError(f"{kind} cannot be read from plain values")


def _read_fields(kind: Any, data: dict[str, Any]) -> dict[str, Any]:
    """Values of the fields that are there; refuses what else is there, or is not."""
    known, hints = {one.name: one for one in fields(kind)}, hints_of(kind)
    own = {key: value for key, value in data.items() if key not in derived_of(kind)}
    for key in own:
        if key not in known:
            at(key, refuse, f"unknown key, known are {', '.join(known)}")
    for name, field in known.items():
        if name not in own and not may_lack(field):
            at(name, refuse, "missing")
    return {name: at(name, partial(_read, hints[name]), value) for name, value in own.items()}


def _read_optional(kinds: tuple[Any, ...], value: Any) -> Any:
    return None if value is None else _read(some_of(kinds), value)


def _read_list(kinds: tuple[Any, ...], value: Any) -> list[Any]:
    return each(partial(_read, kinds[0]), as_list(value))


def _read_tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if kinds[1:] == (Ellipsis,):
        return tuple(_read_list(kinds, value))
    if len(as_list(value)) != len(kinds):
        raise CodecError(f"expected a list of {len(kinds)}, found {shown(value)}")
    return tuple(at(index, partial(_read, kinds[index]), one) for index, one in enumerate(value))


def _read_mapping(kinds: tuple[Any, ...], value: Any) -> dict[Any, Any]:
    return mapped(partial(_read, kinds[0]), partial(_read, kinds[1]), as_table(value))


_CONTAINERS: dict[Any, Callable[[tuple[Any, ...], Any], Any]] = {
    Union: _read_optional, UnionType: _read_optional, list: _read_list, tuple: _read_tuple,
    dict: _read_mapping, Mapping: _read_mapping,
}  # fmt: skip


def _made(make: Any, *values: Any, **named: Any) -> Any:
    """Call what makes a value of others, and may refuse them."""
    try:
        return make(*values, **named)
    except (ArithmeticError, ValueError) as error:
        raise CodecError(str(error).rstrip(".")) from error


def _member(kind: type[Enum], value: Any) -> Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    known = ", ".join(str(member.value) for member in kind)
    raise CodecError(f"expected one of {known}, found {shown(value)}")
