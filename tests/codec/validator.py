"""A validator of JSON Schema that knows those keywords that the package writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Form = Mapping[str, Any]


def accepts(schema: Form, value: Any) -> bool:
    """Whether a value is valid."""
    return _accepts(schema, schema, value)


def _accepts(root: Form, form: Form, value: Any) -> bool:
    if "$ref" in form:
        return _accepts(root, root["$defs"][form["$ref"].removeprefix("#/$defs/")], value)
    if "anyOf" in form:
        return any(_accepts(root, one, value) for one in form["anyOf"])
    if "enum" in form or "const" in form:
        known = form.get("enum", [form.get("const")])
        return any(type(one) is type(value) and one == value for one in known)
    types = {
        "null": (type(None),), "boolean": (bool,), "integer": (int,), "number": (int, float),
        "string": (str,), "array": (list,), "object": (dict,),
    }  # fmt: skip
    if "type" in form and type(value) not in types[form["type"]]:
        return False
    if isinstance(value, list):
        return _accepts_list(root, form, value)
    return _accepts_object(root, form, value) if isinstance(value, dict) else True


def _accepts_list(root: Form, form: Form, value: list[Any]) -> bool:
    first = form.get("prefixItems", [])
    if len(value) < form.get("minItems", 0) or (form.get("items") is False and value[len(first) :]):
        return False
    rest = [form.get("items") or {}] * (len(value) - len(first))
    return all(_accepts(root, own, one) for own, one in zip([*first, *rest], value, strict=True))


def _accepts_object(root: Form, form: Form, value: dict[str, Any]) -> bool:
    known, other = form.get("properties", {}), form.get("additionalProperties", {})
    names = form.get("propertyNames", {})
    if not all(key in value for key in form.get("required", ())):
        return False
    forms = {key: known.get(key, other) for key in value}
    return all(
        _accepts(root, names, key) and forms[key] is not False and _accepts(root, forms[key], one)
        for key, one in value.items()
    )
