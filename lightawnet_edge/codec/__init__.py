"""Records to plain values and JSON documents, and back, by the annotations of their fields.

Standard library only: a device reads its manifest with this. What cannot be written or read is
refused with one kind of error, whatever a file holds.

A record is a dataclass. Its fields hold text, booleans, integers of 64 bits, finite numbers, paths,
enums, records, lists, tuples and mappings of these, `X | None`, and `Any`: plain values. A class
that is not written by its fields, or not by these alone, says so:

- `__str__` and a class method `parse`: it is written as text.
- `written` and a class method `from_written`: it is written as what `written` is annotated to
  return, say another record.
- `DERIVED`, a class variable: names of properties that are written beside the fields. They are
  skipped where the record is read, and computed again.
- `field(default=..., metadata=OMIT)`: left out where it has its default. Reading takes both.
- `field(default=..., metadata=NEEDED)`: refused where it is left out. Other defaults are taken.
"""

from lightawnet_edge.codec.documents import dumps, json_text, loads, read_document
from lightawnet_edge.codec.plain import CodecError
from lightawnet_edge.codec.records import NEEDED, OMIT, decode, encode

__all__ = [
    "NEEDED",
    "OMIT",
    "CodecError",
    "decode",
    "dumps",
    "encode",
    "json_text",
    "loads",
    "read_document",
]
