"""What a field of a spec is on the command line: its help stands beside its default, once.

Standard library only: specs are made on devices, too, where no command line is installed.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any

_KEY = "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How a field is asked for."""

    help: str
    """One sentence or two; also the documentation of the field."""
    flags: tuple[str, ...] = ()
    """With their dashes; empty: made from the field's name."""
    off: str | None = None
    """The one flag of a field that is True unless it is given."""
    metavar: str | None = None
    panel: str | None = None
    """Group of options in the help."""
    none: int | None = None
    """The number that stands for None, beside leaving the option out."""


def option(
    help: str,  # noqa: A002 - what it is called on the command line, too
    *flags: str,
    default: Any = MISSING,
    off: str | None = None,
    metavar: str | None = None,
    panel: str | None = None,
    none: int | None = None,
) -> Any:
    """Make a dataclass field that is an option of a command; without `default` it is required."""
    told = Option(help=help, flags=flags, off=off, metavar=metavar, panel=panel, none=none)
    return field(default=default, metadata={_KEY: told})


def flag_of(item: Any) -> str:
    """What a dataclass field that is an option is called on the command line."""
    told = option_of(item)
    named = (told.off,) if told and told.off else told.flags if told else ()
    return named[0] if named else f"--{item.name.replace('_', '-')}"


def option_of(item: Any) -> Option | None:
    """The option that a dataclass field is; None for a field that no command asks for."""
    found: Option | None = item.metadata.get(_KEY)
    return found
