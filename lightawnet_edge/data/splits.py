"""Text files that name frames: splits, and groups such as clinics."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from lightawnet_edge.data.faults import refuse
from lightawnet_edge.data.listing import IMAGE_SUFFIXES
from lightawnet_edge.errors import ArtifactError


def read_split(split: Path) -> list[str]:
    """Names of a split file, one a line, each once; blank lines and # comments are skipped.

    Raises:
        ArtifactError: The file is missing, is no text, or names nothing.
    """
    if not split.is_file():
        raise ArtifactError(f"No split file '{split}'.")
    try:
        lines = [line.strip() for line in split.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ArtifactError(f"Split file '{split}' is no text: expected a name a line.") from error
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise ArtifactError(f"Split file '{split}' names no frame: expected a name a line.")
    return list(dict.fromkeys(names))


def split_stems(split: Path, known: Iterable[str]) -> list[str]:
    """Stems of a split file, each once; a name in it may carry a suffix.

    Raises:
        ArtifactError: The file cannot be read, or names unknown stems, which are all listed.
    """
    stems = set(known)
    names = [name if name in stems else Path(name).stem for name in read_split(split)]
    found = list(dict.fromkeys(names))
    refuse(
        [f"it names '{name}', but there is no such image" for name in found if name not in stems],
        f"Split file '{split}'",
    )
    return found


def read_groups(path: Path) -> dict[str, str]:
    """Read a CSV file with the header `stem,group` (other columns are ignored): stem to group.

    A name may carry the suffix of an image; it is then known by its stem, too.

    Raises:
        ArtifactError: The file is missing, has another header, names nothing, or contradicts
            itself.
    """
    if not path.is_file():
        raise ArtifactError(f"No file of groups '{path}'.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"'{path}' is no CSV file: {error}.") from error
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        stem, group = row.get("stem"), row.get("group")
        if not stem or not group:
            raise ArtifactError(
                f"'{path}', line {number}: expected a stem and a group under the header "
                "'stem,group'."
            )
        for name in {stem, _without_suffix(stem)}:
            if found.setdefault(name, group) != group:
                raise ArtifactError(
                    f"'{path}', line {number}: '{name}' is in '{found[name]}' and in '{group}'."
                )
    if not found:
        raise ArtifactError(f"'{path}' names no frame: expected lines 'stem,group' under a header.")
    return found


def _without_suffix(name: str) -> str:
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
