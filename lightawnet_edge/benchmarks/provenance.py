"""What numbers are about, by its bytes, and the command that asked for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.engine import parts
from lightawnet_edge.bundle.manifest import Source
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.data.frameset import FrameFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command line, and when it was given."""

    command: tuple[str, ...]
    """Its words, the program's name first; what a shell had expanded stays so."""
    created: str
    """UTC, ISO 8601."""

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.created)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBundle:
    """A bundle as it was opened."""

    manifest_sha256: str
    """Of the bytes of its manifest, which names all other files."""
    engine: Mapping[str, str]
    """Name to SHA-256, of every file that its engine consists of."""
    checkpoint: Source
    """The weights that it was made from, and its baseline with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a benchmark measured, by its bytes."""

    command: tuple[str, ...] = ()
    """The command line as it was given, the program's name first; empty for a call from Python."""
    bundles: Mapping[str, MeasuredBundle]
    """Name in the report to what was measured, or could not be."""
    frames_sha256: str
    """Of the names and the bytes of all images and masks, in their order; that of an evaluation on
    the same frames is equal."""


def measured(bundle: Bundle) -> MeasuredBundle:
    """Digests of a bundle that was opened, and therefore was what its manifest says."""
    manifest = bundle.manifest
    names = (name for name in parts(manifest.engine) if name in manifest.files)
    return MeasuredBundle(
        manifest_sha256=bundle.exported_sha256,
        engine={name: manifest.files[name] for name in names},
        checkpoint=manifest.checkpoint,
    )


def frames_digest(files: Iterable[FrameFile]) -> str:
    """SHA-256 of the names and the bytes of images and masks: decoders cannot change it."""
    digest = hashlib.sha256()
    for file in files:
        assert file.mask is not None  # the set was opened with masks
        digest.update(f"{file.stem} {sha256_of(file.image)} {sha256_of(file.mask)}\n".encode())
    return digest.hexdigest()
