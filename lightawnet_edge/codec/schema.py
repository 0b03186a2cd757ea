"""JSON Schema of records, for those that read documents in other languages."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lightawnet_edge.codec.records import (
    default_of,
    derived_of,
    encode,
    hints_of,
    may_lack,
    pair_of,
    some_of,
)

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_LEAVES: dict[Any, dict[str, Any]] = {
    NoneType: {"type": "null"}, bool: {"type": "boolean"}, int: {"type": "integer"},
    float: {"type": "number"}, str: {"type": "string"}, Any: {},
}  # fmt: skip

_Definitions = dict[type[Any], dict[str, Any]]


def json_schema(kind: type[Any], *, schema: int, title: str) -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of the documents that `dumps` writes of a record.

    What it accepts `loads` reads, unless the record itself refuses a value. It describes each field
    in the words that stand below it in the source, where that is at hand; what is computed is
    marked as `readOnly`.

    Raises:
        TypeError: An annotation is none of those that a field may have, or two classes have the
            same name.
    """
    found: _Definitions = {}
    whole = _record(kind, found)
    whole["properties"] = {"schema": {"const": schema}, **whole["properties"]}
    whole["required"] = ["schema", *whole["required"]]
    named = {one.__name__: found[one] for one in sorted(found, key=lambda one: one.__name__)}
    if len(named) < len(found):
        raise TypeError(f"two classes of {title} have the same name")
    return {"$schema": _DRAFT, "title": title, **whole, "$defs": named}


def _form(kind: Any, found: _Definitions) -> dict[str, Any]:
    """The schema of an annotation; the classes that it refers to are added to the definitions."""
    if kind in _LEAVES:
        return dict(_LEAVES[kind])
    if (origin := get_origin(kind)) in _CONTAINERS:
        return _CONTAINERS[origin](get_args(kind), found)
    pair = pair_of(kind)
    if pair and not issubclass(kind, Enum):
        return _form(pair.shape, found)
    if not (pair or is_dataclass(kind)):
        raise TypeError(f"{kind} cannot be read from plain values")
    if kind not in found:
        found[kind] = {}  # there already for what refers to it meanwhile
        found[kind] = _enum(kind) if pair else _record(kind, found)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _optional(kinds: tuple[Any, ...], found: _Definitions) -> dict[str, Any]:
    return {"anyOf": [_form(some_of(kinds), found), {"type": "null"}]}


def _list(kinds: tuple[Any, ...], found: _Definitions) -> dict[str, Any]:
    return {"type": "array", "items": _form(kinds[0], found)}


def _tuple(kinds: tuple[Any, ...], found: _Definitions) -> dict[str, Any]:
    if kinds[1:] == (Ellipsis,):
        return _list(kinds, found)
    items = [_form(kind, found) for kind in kinds]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _mapping(kinds: tuple[Any, ...], found: _Definitions) -> dict[str, Any]:
    key, value = (_form(kind, found) for kind in kinds)
    names = {} if key == _LEAVES[str] else {"propertyNames": key}
    return {"type": "object", **names, "additionalProperties": value}


_CONTAINERS: dict[Any, Callable[[tuple[Any, ...], _Definitions], dict[str, Any]]] = {
    Union: _optional, UnionType: _optional, list: _list, tuple: _tuple, dict: _mapping,
    Mapping: _mapping,
}  # fmt: skip


def _enum(kind: type[Enum]) -> dict[str, Any]:
    return {"description": _first(kind), "enum": [member.value for member in kind]}


def _record(kind: Any, found: _Definitions) -> dict[str, Any]:
    hints, texts, own = hints_of(kind), _texts(kind), {}
    for field in fields(kind):
        text, default = texts.get(field.name), default_of(field)
        own[field.name] = {
            **_form(hints[field.name], found),
            **({"description": text} if text else {}),
            **({} if default is MISSING else {"default": encode(default)}),
        }
    return {
        "description": _first(kind),
        "type": "object",
        "properties": own | {name: _derived(kind, name, found) for name in derived_of(kind)},
        "required": [one.name for one in fields(kind) if not may_lack(one)],
        "additionalProperties": False,
    }


def _derived(kind: type[Any], name: str, found: _Definitions) -> dict[str, Any]:
    """The schema of a property, cached or not, that is written beside the fields."""
    known = getattr(kind, name)
    getter = known.fget if isinstance(known, property) else known.func
    form = _form(get_type_hints(getter)["return"], found)
    return {**form, "description": _first(getter), "readOnly": True}


def _first(documented: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _texts(kind: type[Any]) -> dict[str, str]:
    """Field to the string below it in the source; empty where there is no source."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):
            continue
        for above, below in pairwise(getattr(node, "body", ())):
            match above, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = " ".join(text.split())
    return found
