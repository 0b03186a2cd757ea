"""Every kind of field is written and read; everything else is refused, with its place."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.codec import NEEDED, OMIT, CodecError, decode, encode
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision, Size

Pairs = tuple[tuple[str, int], ...]


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str):
    """An open vocabulary: any word of letters."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Word:
        if not text.isalpha():
            raise SpecError(f"'{text}' is no word. Take letters.")
        return cls(text)


class Digest(str):
    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    middle: float
    ends: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Span:
    """Written in another shape than its own."""

    low: float
    high: float

    def written(self) -> Ends:
        return Ends(middle=(self.low + self.high) / 2, ends=(self.low, self.high))

    @classmethod
    def from_written(cls, shape: Ends) -> Span:
        return cls(*shape.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.share < 0:
            raise SpecError(f"share={self.share} must not be negative.")
        1 / (self.share - 7)  # arithmetic may fail, too


SIZE, WORD, DIGEST, SPAN = Size(16, 32), Word("a"), Digest("ff"), Span(0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Whole:
    DERIVED: ClassVar = ("count", "names")

    parts: tuple[Part, ...] = ()
    level: Level = Level.LOW
    precision: Precision | None = field(default=None, metadata=OMIT)
    notes: tuple[str, ...] = field(default_factory=tuple, metadata=OMIT)
    size: Size = SIZE
    word: Word = WORD
    digest: Digest = DIGEST
    path: Path = Path("a/b")
    span: Span = SPAN
    pairs: Pairs = ()
    sizes: Mapping[Precision, Size] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    settings: Mapping[str, Any] = field(default_factory=dict)
    anything: Any = None
    maybe: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    on: bool = True

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self.parts)

    @cached_property
    def names(self) -> list[str]:
        """Of the parts."""
        return [part.name for part in self.parts]


FULL = Whole(
    parts=(Part(name="p", share=1), Part(name="q")),
    level=Level.HIGH,
    precision=Precision.INT8,
    notes=("n",),
    size=Size(1080, 1920),
    word=Word("word"),
    pairs=(("a", 1), ("b", -2)),
    sizes={Precision.FP16: Size(1, 2)},
    texts=["t", "Été\n"],
    settings={"a": [1, 2.5, None, {"b": True}]},
    anything=["x", {"y": 1e-9}],
    maybe={"k": ("v",), "none": None},
    on=False,
)
PLAIN = {
    "parts": [{"name": "p", "share": 1}, {"name": "q", "share": 0.5}],
    "level": 2,
    "precision": "int8",
    "notes": ["n"],
    "size": "1080x1920",
    "word": "word",
    "digest": "ff",
    "path": "a/b",
    "span": {"middle": 0.5, "ends": [0.0, 1.0]},
    "pairs": [["a", 1], ["b", -2]],
    "sizes": {"fp16": "1x2"},
    "texts": ["t", "Été\n"],
    "settings": {"a": [1, 2.5, None, {"b": True}]},
    "anything": ["x", {"y": 1e-9}],
    "maybe": {"k": ["v"], "none": None},
    "on": False,
    "count": 2,
    "names": ["p", "q"],
}


def test_every_kind_of_field_is_written_and_read() -> None:
    assert encode(FULL) == PLAIN
    assert decode(Whole, PLAIN) == FULL


def test_plain_values_are_of_plain_types_and_what_is_read_of_the_annotated() -> None:
    plain = encode(FULL)
    assert [type(plain[key]) for key in ("level", "precision", "word", "digest")] == [
        int, str, str, str,
    ]  # fmt: skip
    whole = decode(Whole, PLAIN)
    assert (type(whole.word), type(whole.digest)) == (Word, Digest)
    assert whole.level is Level.HIGH
    assert isinstance(whole.path, Path)


def test_numbers_and_text_of_numpy_are_written() -> None:
    plain = encode({"a": np.float64(0.1), "b": [np.str_("t")]})
    assert plain == {"a": 0.1, "b": ["t"]}
    assert (type(plain["a"]), type(plain["b"][0])) == (float, str)


def test_integers_of_a_number_stay_integers_so_that_it_is_written_again_to_the_letter() -> None:
    assert str(encode(decode(Part, {"name": "p", "share": 1}))) == "{'name': 'p', 'share': 1}"


def test_what_is_left_out_has_its_default_and_the_default_is_left_out_where_asked_for() -> None:
    assert decode(Whole, {}) == Whole()
    assert encode(Whole()).keys() == PLAIN.keys() - {"precision", "notes"}
    assert decode(Whole, {"precision": None, "notes": []}) == Whole()


def test_a_default_is_not_taken_where_a_field_is_needed() -> None:
    @dataclass(frozen=True)
    class Strict:
        share: float = field(default=0.5, metadata=NEEDED)

    assert decode(Strict, encode(Strict())) == Strict()
    with pytest.raises(CodecError, match=r"^share: missing$"):
        decode(Strict, {})


def test_what_is_computed_is_computed_again_whatever_is_written() -> None:
    assert decode(Whole, {**PLAIN, "count": 7, "names": float("nan")}).count == 2
    assert "count" not in encode(Part(name="p"))


def test_other_annotations_than_records_are_read() -> None:
    assert decode(tuple[Part, ...], [{"name": "p"}]) == (Part(name="p"),)
    assert decode(Precision, "fp32") is Precision.FP32


NESTED: Any = []
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": 1}, "part: unknown key, known are parts, level, precision"),
        ({"a b\n": 1}, r"['a b\n']: unknown key, known are parts"),
        ({"x" * 99: 1}, f"['{'x' * 39}…]: unknown key, known are parts"),
        ({"parts": [{"name": "p"}, {}]}, "parts[1].name: missing"),
        ({"parts": {}}, "parts: expected a list, found a table of 0"),
        ({"parts": [7]}, "parts[0]: expected a table of keys and values, found 7"),
        ({"parts": [{"name": None}]}, "parts[0].name: expected text, found None"),
        ({"parts": [{"name": "p", "share": "x"}]}, "parts[0].share: expected a number, found 'x'"),
        ({"parts": [{"name": "p", "share": True}]}, ".share: expected a number, found True"),
        ({"parts": [{"name": "p", "share": float("nan")}]}, "expected a number, found nan"),
        ({"parts": [{"name": "p", "share": float("-inf")}]}, "expected a number, found -inf"),
        ({"parts": [{"name": "p", "share": 10**400}]}, "found an integer of more than 64 bits"),
        ({"parts": [{"name": "p", "share": -1}]}, "parts[0]: share=-1 must not be negative"),
        ({"parts": [{"name": "p", "share": 7}]}, "parts[0]: division by zero"),
        ({"level": 3}, "level: expected one of 1, 2, found 3"),
        ({"level": True}, "level: expected one of 1, 2, found True"),
        ({"level": 1.0}, "level: expected one of 1, 2, found 1.0"),
        ({"precision": "INT8"}, "precision: expected one of fp32, fp16, bf16, int8, found 'INT8'"),
        ({"precision": []}, "precision: expected one of fp32, fp16, bf16, int8, found a list of 0"),
        ({"size": "0x1"}, "size: Size 0x1 is not positive. Give HEIGHTxWIDTH, e.g. 1080x1920"),
        ({"size": "big"}, "size: 'big' is no size. Give HEIGHTxWIDTH in pixels, e.g. 1080x1920"),
        ({"size": 256}, "size: expected text, found 256"),
        ({"word": "a1"}, "word: 'a1' is no word. Take letters"),
        ({"digest": 1}, "digest: expected text, found 1"),
        ({"path": 1}, "path: expected text, found 1"),
        ({"path": "\ud800"}, r"path: expected text, found '\ud800'"),
        (
            {"span": {"middle": 0, "ends": [0]}},
            "span.ends: expected a list of 2, found a list of 1",
        ),
        ({"pairs": [["a", 1.0]]}, "pairs[0][1]: expected an integer, found 1.0"),
        ({"pairs": [["a", 2**63]]}, "pairs[0][1]: expected an integer, found an integer of more"),
        ({"pairs": [["a", 1, 1]]}, "pairs[0]: expected a list of 2, found a list of 3"),
        ({"sizes": {"fp8": "1x1"}}, "sizes.fp8: expected one of fp32"),
        ({"sizes": {"fp16": 1}}, "sizes.fp16: expected text, found 1"),
        ({"texts": "t"}, "texts: expected a list, found 't'"),
        ({"texts": ["t" * 99, 1]}, "texts[1]: expected text, found 1"),
        ({"settings": {"a b": [float("inf")]}}, "settings['a b'][0]: expected a number, found inf"),
        ({"settings": {"\ud800": 1}}, r"settings['\ud800']: expected text"),
        ({"settings": {"when": dt.date(2026, 1, 1)}}, "settings.when: a value of datetime.date"),
        ({"settings": {1: 1}}, "settings[1]: expected text, found 1"),
        ({"anything": NESTED}, "[0][0]: nested too deep"),
        ({"anything": 2**64}, "anything: expected an integer, found an integer of more than 64"),
        ({"maybe": {"k": "v"}}, "maybe.k: expected a list, found 'v'"),
        ({"on": 1}, "on: expected true or false, found 1"),
        ({"on": None}, "on: expected true or false, found None"),
    ],
)
def test_what_is_not_of_the_record_is_refused_with_its_place(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CodecError) as caught:
        decode(Whole, {**PLAIN, **change})
    assert message in str(caught.value)
    assert not str(caught.value).endswith(".")


def test_the_whole_has_no_place() -> None:
    with pytest.raises(CodecError, match=r"^expected a table of keys and values, found 7$"):
        decode(Whole, 7)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Part(name="p", share=float("nan")), "^share: expected a number, found nan$"),
        (
            Whole(anything=[{"k": np.float32("inf")}]),
            r"^anything\[0\]\.k: a value of numpy.float32",
        ),
        (Whole(settings={"k": np.float64("inf")}), r"^settings.k: expected a number, found inf$"),
        (Whole(settings={"k": {1, 2}}), "^settings.k: a value of builtins.set cannot be written"),
        (Part(name="\udc80"), r"^name: expected text, found '\\udc80'$"),
        (Part(name="p", share=2**64), "^share: expected an integer, found an integer of more"),
        (Whole(anything=NESTED), r"^anything\[0\].*: nested too deep$"),
        ({1: 2}, r"^\[1\]: expected text, found 1$"),
    ],
)
def test_what_could_not_be_read_is_not_written(value: object, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        encode(value)


@dataclass(frozen=True)
class Unreadable:
    either: int | str = 0
    several: set[int] = field(default_factory=set)
    many: tuple = ()  # type: ignore[type-arg]


@pytest.mark.parametrize("name", ["either", "several", "many"])
def test_an_annotation_of_no_plain_values_is_an_error_of_the_program(name: str) -> None:
    with pytest.raises(TypeError):
        decode(Unreadable, {name: []})


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back_to_the_bit(real: float, whole: int) -> None:
    plain = encode({"a": real, "b": whole})
    assert decode(dict[str, Any], plain) == {"a": real, "b": whole}
