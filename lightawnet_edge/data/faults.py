"""Faults of a folder in one message: the first are listed, the rest counted."""

from __future__ import annotations

from collections.abc import Sequence

from lightawnet_edge.errors import ArtifactError

SHOWN = 10
"""Faults listed in one message; the rest are counted."""


def refuse(problems: Sequence[str], what: str, remedy: str = "") -> None:
    """Raise one ArtifactError that lists the problems, if there are any."""
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        text = f"{what} has {len(problems)} {noun}: {listed(problems, '; ')}. {remedy}"
        raise ArtifactError(text.rstrip())


def listed(items: Sequence[str], comma: str = ", ", shown: int = SHOWN) -> str:
    """Join the first items; count the rest."""
    rest = len(items) - shown
    return comma.join(items[:shown]) + (f"{comma}and {rest} more" if rest > 0 else "")


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 folder`, `2 folders`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def printable(name: str) -> str:
    """A file's name for people: bytes that are no UTF-8 are shown by their numbers."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
