"""The JSON Schema of a record accepts what the codec reads, and tells what its fields mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.codec import NEEDED, OMIT, CodecError, dumps, loads
from lightawnet_edge.codec.schema import json_schema
from lightawnet_edge.specs import Size
from tests.codec.validator import accepts


class Color(Enum):
    """How it looks."""

    RED = "red"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A part of a tree.

    More is said of it here.
    """

    color: Color
    """Of its upper
    side."""
    area_mm2: float | None = None
    veins: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A plant."""

    DERIVED: ClassVar = ("count",)

    name: str
    """In Latin."""
    leaves: tuple[Leaf, ...] = ()
    at: tuple[float, float] = (0.0, 0.0)
    size: Size | None = field(default=None, metadata=OMIT)
    colors: Mapping[Color, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    tall: bool = False

    @property
    def count(self) -> int:
        """Number of leaves."""
        return len(self.leaves)


SCHEMA = json_schema(Tree, schema=2, title="tree.json")
TREE = Tree(
    name="Quercus",
    leaves=(Leaf(color=Color.GREEN, area_mm2=7), Leaf(color=Color.RED, veins=9)),
    size=Size(3, 2),
    colors={Color.RED: 1},
    notes={"a": [None]},
)


def reads(value: Any) -> bool:
    try:
        loads(Tree, json.dumps(value), schema=2)
    except CodecError:
        return False
    return True


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"leaves": []}, True),
        ({"leaves": [{"color": "red"}]}, True),
        ({"leaves": [{"color": "red", "area_mm2": None}]}, True),
        ({"at": [1, 2.5]}, True),
        ({"size": None}, True),
        ({"notes": {"any": [1, {"thing": None}]}}, True),
        ({"schema": 1}, False),
        ({"name": None}, False),
        ({"height": 3}, False),
        ({"leaves": [{}]}, False),
        ({"leaves": [{"color": "blue"}]}, False),
        ({"leaves": [{"color": "red", "veins": 1.5}]}, False),
        ({"leaves": {"color": "red"}}, False),
        ({"at": [1]}, False),
        ({"at": [1, 2, 3]}, False),
        ({"size": 3}, False),
        ({"colors": {"blue": 1}}, False),
        ({"colors": {"red": "1"}}, False),
        ({"notes": []}, False),
        ({"tall": 1}, False),
    ],
)
def test_the_schema_accepts_what_is_read(change: dict[str, Any], *, valid: bool) -> None:
    document = {**json.loads(dumps(TREE, schema=2)), **change}
    assert (accepts(SCHEMA, document), reads(document)) == (valid, valid)


@pytest.mark.parametrize("key", ["schema", "name"])
def test_what_has_no_default_is_required(key: str) -> None:
    document = json.loads(dumps(TREE, schema=2))
    del document[key]
    assert (accepts(SCHEMA, document), reads(document)) == (False, False)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-1, 1)
    | st.sampled_from(["red", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["color", "red", "veins", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(["name", "leaves", "at", "colors", "notes", "tall"]), ANY)
def test_schema_and_codec_agree_on_any_value(key: str, value: object) -> None:
    document = {"schema": 2, "name": "n", key: value}
    assert accepts(SCHEMA, document) == reads(document)


def test_the_schema_is_plain_and_says_what_fields_mean() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    assert (SCHEMA["title"], SCHEMA["description"]) == ("tree.json", "A plant.")
    assert SCHEMA["required"] == ["schema", "name"]
    assert SCHEMA["properties"]["name"] == {"type": "string", "description": "In Latin."}
    assert SCHEMA["properties"]["count"] == {
        "type": "integer", "description": "Number of leaves.", "readOnly": True,
    }  # fmt: skip
    assert SCHEMA["$defs"]["Leaf"] == {
        "description": "A part of a tree.",
        "type": "object",
        "properties": {
            "color": {"$ref": "#/$defs/Color", "description": "Of its upper side."},
            "area_mm2": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "veins": {"type": "integer", "default": 0},
        },
        "required": ["color"],
        "additionalProperties": False,
    }
    assert SCHEMA["$defs"]["Color"] == {"description": "How it looks.", "enum": ["red", "green"]}


def test_a_needed_field_is_required_beside_its_default() -> None:
    @dataclass(frozen=True)
    class Strict:
        share: float = field(default=0.5, metadata=NEEDED)

    found = json_schema(Strict, schema=1, title="t")
    assert found["required"] == ["schema", "share"]
    assert found["properties"]["share"] == {"type": "number", "default": 0.5}


def test_without_source_there_are_no_descriptions() -> None:
    space: dict[str, Any] = {}
    source = 'import dataclasses\n@dataclasses.dataclass\nclass Made:\n  a: int\n  """Told."""\n'
    exec(source, space)
    found = json_schema(space["Made"], schema=1, title="t")
    assert found["properties"]["a"] == {"type": "integer"}


def test_two_classes_of_one_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Other:
        own: Color
        other: tuple[Enum, ...]

    Other.__annotations__["other"] = Enum("Color", ["BLUE"])
    with pytest.raises(TypeError, match=r"two classes of t have the same name"):
        json_schema(Other, schema=1, title="t")


def test_an_annotation_of_no_plain_values_has_no_schema() -> None:
    @dataclass(frozen=True)
    class Odd:
        several: set[int]

    with pytest.raises(TypeError):
        json_schema(Odd, schema=1, title="t")
