"""What is known of a bundle that came through the door, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.bundle.bundle import MAX_MANIFEST_BYTES, Bundle
from lightawnet_edge.bundle.device_record import RECORD
from lightawnet_edge.bundle.files import opened
from lightawnet_edge.bundle.manifest import MANIFEST, manifest_schema
from lightawnet_edge.data.faults import listed, printable
from lightawnet_edge.specs import Precision, State, Target

SCHEMA = 1  # 1: first version. Say here what every later number changed.
_STATES = {
    State.PENDING: "none yet: this is a kit, which its device finishes (lightawnet-edge build)",
    State.UNCHECKED: "there, and never ran: no golden frame was replayed (lightawnet-edge build)",
    State.BUILT: "there, and gave what was expected of it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A bundle that is whole: every file has the SHA-256 that was written down for it."""

    bundle: Path
    name: str
    target: Target
    precision: Precision
    state: State
    """How far the engine has come."""
    manifest_schema: int
    manifest_sha256: str
    files: Mapping[str, str]
    """Name to SHA-256, of every file that was read."""
    size_bytes: int
    """Of these files."""
    hidden: tuple[str, ...] = ()
    """Names beside them that begin with a dot: left by a killed process or a desktop, or put there.
    Nothing is loaded by them."""
    device_record: bool
    """Whether a device added an engine, or proved the one that was exported."""


def verify(path: Path) -> Verified:
    """Open a bundle, and tell what was checked.

    Raises:
        ArtifactError: It is not whole; names the first thing that is wrong.
    """
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    with opened(path) as folder:
        schema = manifest_schema(folder.read(MANIFEST, MAX_MANIFEST_BYTES))
        hidden = tuple(sorted(name for name in folder.names() if name.startswith(".")))
    return Verified(
        bundle=path,
        name=manifest.name,
        target=manifest.target,
        precision=manifest.precision,
        state=manifest.state,
        manifest_schema=schema,
        manifest_sha256=bundle.exported_sha256,
        files=manifest.files,
        size_bytes=sum((path / name).stat().st_size for name in manifest.files),
        hidden=hidden,
        device_record=manifest is not bundle.exported,
    )


def describe(found: Verified) -> str:
    """What was checked, a line each."""
    bound = "contract, files and all else are bound by its digest"
    if found.manifest_schema == 1:
        bound = "of schema 1, which has no digest: a change by hand does not show"
    rows = {
        "whole": f"{len(found.files)} files, {found.size_bytes / 1e6:.1f} MB: each has its SHA-256,"
        f" and nothing else is there{' but what is hidden' if found.hidden else ''}",
        "hidden": _hidden(found.hidden),
        "manifest": f"{found.manifest_sha256[:12]}…; {bound}",
        "engine": _STATES[found.state],
        "device": f"{RECORD} goes with this manifest" if found.device_record else "",
        "signed": "by nobody: what is whole may come from anywhere",
    }
    lines = (f"  {key:<9} {text}" for key, text in rows.items() if text)
    head = f"{found.bundle}: {found.name}, {found.target} {found.precision}"
    return "\n".join((head, *lines))


def _hidden(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f"{listed([printable(name) for name in names])}: no part of the bundle, never loaded"
