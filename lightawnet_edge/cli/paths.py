"""Paths as people give them: bundles by their names, and patterns that no shell has expanded."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from lightawnet_edge.bundle.manifest import MANIFEST
from lightawnet_edge.errors import ArtifactError

ENGINES = Path("engines")
"""Where commands look for bundles that are given by their names."""


def bundle_names() -> list[str]:
    """Names of the bundles under `engines/`; hidden folders are those of exports that go on."""
    if not ENGINES.is_dir():
        return []
    found = (path.parent.name for path in ENGINES.glob(f"*/{MANIFEST}"))
    return sorted(name for name in found if not name.startswith("."))


def complete_bundle(incomplete: str) -> list[str]:
    """For a shell that completes; it goes on with files where nothing is found."""
    return [name for name in bundle_names() if name.startswith(incomplete)]


def find_bundle(given: Path) -> Path:
    """The folder that is meant: a path, its manifest's, or the name of a bundle under `engines/`.

    Raises:
        ArtifactError: There is neither; with the names that are most like it.
    """
    if (given / MANIFEST).is_file():
        return given
    if given.name == MANIFEST and given.is_file():
        return given.parent
    if len(given.parts) == 1 and given.name in bundle_names():
        return ENGINES / given
    if given.exists():
        return given  # for `Bundle.open` to say what it lacks
    raise ArtifactError(
        f"'{given}' is no bundle: there is no such folder. {_suggestion(given.name)}"
    )


def _suggestion(name: str) -> str:
    known = bundle_names()
    if not known:
        return "'lightawnet-edge export' makes bundles."
    if near := get_close_matches(name, known):
        return f"Did you mean {' or '.join(repr(one) for one in near)}?"
    return f"'{ENGINES}' holds {', '.join(known)}."


def expand_patterns(given: Iterable[Path]) -> list[Path]:
    """Paths as they are, and what each pattern (*, ?, [...]) stands for, sorted.

    Raises:
        ArtifactError: Nothing matches a pattern.
    """
    found: list[Path] = []
    for path in given:
        if path.exists() or not glob.has_magic(str(path)):
            found.append(path)
            continue
        matches = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 - any root
        if not matches:
            raise ArtifactError(f"No file matches '{path}'.")
        found += matches
    return found
