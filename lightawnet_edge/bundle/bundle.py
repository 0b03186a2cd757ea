"""A bundle: a folder with an engine, its device graph and a manifest that says all about both.

Standard library only, so that a device application can verify a bundle with nothing installed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.manifest import MANIFEST, SCHEMA, Manifest
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import State


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read the manifest of a bundle; the other files are not looked at.

        Raises:
            ArtifactError: No manifest, not JSON, of an unknown schema, or lacking a field.
        """
        folder = Path(path)
        file = folder / MANIFEST
        if not file.is_file():
            raise ArtifactError(
                f"'{folder}' is no bundle: it has no {MANIFEST}. "
                "'lightawnet-edge export' makes bundles."
            )
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(
                f"'{file}' is not JSON ({error}). Export the bundle again."
            ) from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise ArtifactError(
                f"'{file}' has schema {schema!r}, this version reads {SCHEMA}. "
                "Export the bundle again."
            )
        try:
            return cls(folder, Manifest.from_json(data))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"'{file}' cannot be understood: {error!r}. Export the bundle again."
            ) from error

    @property
    def engine(self) -> Engine:
        """What the target loads, read now.

        Raises:
            ArtifactError: A file of it is not there.
        """
        manifest = self.manifest
        read = Engine.read(self.path / manifest.engine, manifest.precision)
        return replace(
            read,
            binding=manifest.kit.bound if manifest.kit else None,
            requested={one.name: one.requested for one in manifest.layers if one.requested},
        )

    def check_built(self) -> None:
        """Refuse a bundle whose engine is not there, or never ran.

        Raises:
            BackendUnavailableError: With the command that finishes it, and where to run that.
        """
        kit, state = self.manifest.kit, self.manifest.state
        if state is State.BUILT:
            return
        lacks = "has no engine yet" if state is State.PENDING else "has an engine that never ran"
        where = kit.device if kit else "device"
        raise BackendUnavailableError(
            str(self.manifest.target),
            f"bundle '{self.path}' {lacks} (state: {state}). Finish it on the {where}: "
            f"lightawnet-edge build {self.path}",
        )

    def verify(self) -> None:
        """Check that every file is there and has the bytes that it was built with.

        Raises:
            ArtifactError: Names the first file that is missing or changed.
        """
        has_engine = self.manifest.state is not State.PENDING
        required = (self.manifest.engine,) if has_engine else ()
        for name in (*required, self.manifest.device_graph):
            if name not in self.manifest.files:
                raise ArtifactError(
                    f"Bundle '{self.path}' has no sha256 of its file '{name}'. "
                    "Export the bundle again."
                )
        for name, expected in self.manifest.files.items():
            file = self.path / name
            if not file.is_file():
                raise ArtifactError(
                    f"Bundle '{self.path}' lacks its file '{name}'. "
                    "Restore it, or export the bundle again."
                )
            if (found := sha256_of(file)) != expected:
                raise ArtifactError(
                    f"'{file}' has changed since it was built: sha256 is {found[:12]}…, "
                    f"the manifest says {expected[:12]}…. "
                    "Restore the file, or export the bundle again."
                )
