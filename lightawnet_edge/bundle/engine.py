"""What a toolchain loads: the bytes of an engine, not the place where they lay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightawnet_edge.bundle.kit import Binding
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import Precision

_BESIDE = {".xml": ".bin"}
"""Suffix of an engine to that of the file that holds its weights; others hold them themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine in memory. What was verified is what runs: nothing is read again by path."""

    name: str
    """Name of the file that is loaded, e.g. 'engine.xml'."""
    files: Mapping[str, bytes] = field(repr=False)
    """Name to bytes, of all files that the engine consists of."""
    precision: Precision
    folder: Path = Path()
    """Where it lay, for messages."""
    binding: Binding | None = None
    """What a plan was built for; None for an engine that loads on every machine."""
    requested: Mapping[str, Precision] = field(default_factory=dict, repr=False)
    """Convolutions to what the graph asks of them, for an engine that does not hold its graph."""

    @classmethod
    def read(cls, path: Path, precision: Precision) -> Engine:
        """Read an engine that was just built, or a graph that is run as one.

        Raises:
            ArtifactError: It cannot be read.
        """
        try:
            files = {path.name: path.read_bytes()}
            for beside in (path.with_name(name) for name in parts(path.name)[1:]):
                if beside.is_file():
                    files[beside.name] = beside.read_bytes()
        except OSError as error:
            raise ArtifactError(f"'{error.filename}' cannot be read: {error.strerror}.") from error
        return cls(name=path.name, files=files, precision=precision, folder=path.parent)

    def write(self, folder: Path) -> Path:
        """Write its files into a folder, for tools that take a path; returns that of the first."""
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return folder / self.name

    @property
    def path(self) -> Path:
        """Where its first file lay, for messages."""
        return self.folder / self.name

    @property
    def data(self) -> bytes:
        """The file that is loaded."""
        return self.files[self.name]

    @property
    def weights(self) -> bytes:
        """The file of weights beside it; empty where there is none."""
        return b"".join(self.files.get(name, b"") for name in parts(self.name)[1:])


def parts(engine: str) -> tuple[str, ...]:
    """Names of all files that an engine may consist of; the first is the one that is loaded."""
    path = Path(engine)
    beside = _BESIDE.get(path.suffix)
    return (engine,) if beside is None else (engine, path.with_suffix(beside).name)
