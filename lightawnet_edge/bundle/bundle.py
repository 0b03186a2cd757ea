"""The one door to a bundle: verified content, or an error that says what is wrong.

Standard library only, so that a device application can verify a bundle with nothing installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightawnet_edge.bundle.device_record import ANOTHER, RECORD, read_record
from lightawnet_edge.bundle.engine import Engine, parts
from lightawnet_edge.bundle.files import Folder, opened, sha256_of_bytes
from lightawnet_edge.bundle.kit import TIMING_CACHE
from lightawnet_edge.bundle.manifest import MANIFEST, Manifest, read_manifest
from lightawnet_edge.bundle.trust import UNSIGNED, Trust
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import State

MAX_MANIFEST_BYTES = 4 << 20
"""Of a manifest: those of the packaged weights have 40 kB."""
_EXPORT = "Export the bundle again."


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was whole when it was opened."""

    path: Path
    manifest: Manifest
    """As it was exported; and, where a device finished the bundle, as its record tells."""
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    """Bytes of the engine's files as they were hashed."""
    exported: Manifest | None = field(default=None, repr=False, compare=False)
    """The manifest without what a device made of it."""
    exported_sha256: str = field(default="", compare=False)
    """Of the manifest's bytes."""

    @classmethod
    def open(
        cls, path: str | Path, *, trust: Trust = UNSIGNED, remakes_engine: bool = False
    ) -> Bundle:
        """Read a bundle: its manifest, then every file once, each against its digest.

        In this order: the manifest's bytes are read, `trust` judges them, they are parsed, and
        the files that they name are read. The folder must hold nothing else but what an
        interrupted write left behind under a name that begins with a dot.

        Args:
            path: The bundle's folder.
            trust: Whom bundles are taken from.
            remakes_engine: Whether a device is about to make its engine anew: that may be missing,
                or not be what it was. An engine that was exported must be whole.

        Raises:
            ArtifactError: The folder is no bundle, is not trusted, or is not what was written;
                names the first thing that is wrong.
        """
        with opened(Path(path)) as folder:
            exported, sha256 = _manifest(folder, trust)
            manifest = _with_record(folder, exported, sha256)
            _check_names(folder, manifest, remakes_engine=remakes_engine)
            engine = () if manifest.state is State.PENDING else parts(manifest.engine)
            contents = {}
            for name in manifest.files:
                if remakes_engine and name in engine and name not in exported.files:
                    continue
                data = _read(folder, manifest, name)
                if name in engine:
                    contents[name] = data
        return cls(Path(path), manifest, contents, exported, sha256)

    @property
    def engine(self) -> Engine:
        """What the target loads: the very bytes that were verified.

        Raises:
            BackendUnavailableError: There is no engine yet, or it never ran; with the command that
                finishes it, and where to run that.
        """
        if self.manifest.state is State.UNCHECKED:
            raise self._unfinished("has an engine that never ran")
        return self.unchecked_engine

    @property
    def unchecked_engine(self) -> Engine:
        """The same, for looking into an engine that may never have run.

        Raises:
            BackendUnavailableError: There is no engine yet.
        """
        manifest = self.manifest
        if manifest.state is State.PENDING:
            raise self._unfinished("has no engine yet")
        return Engine(
            name=manifest.engine,
            files=self.contents,
            precision=manifest.precision,
            folder=self.path,
            binding=manifest.kit.bound if manifest.kit else None,
            requested={one.name: one.requested for one in manifest.layers if one.requested},
        )

    def _unfinished(self, lacks: str) -> BackendUnavailableError:
        kit, state = self.manifest.kit, self.manifest.state
        return BackendUnavailableError(
            str(self.manifest.target),
            f"bundle '{self.path}' {lacks} (state: {state}). Finish it on the "
            f"{kit.device if kit else 'device'}: lightawnet-edge build {self.path}",
        )

    def read(self, name: str) -> bytes:
        """Bytes of a file that the manifest names, read now, and hashed as they were read.

        Raises:
            ArtifactError: It has changed, or is not there.
        """
        with opened(self.path) as folder:
            return _read(folder, self.manifest, name)


def _manifest(folder: Folder, trust: Trust) -> tuple[Manifest, str]:
    try:
        data = folder.read(MANIFEST, MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"'{folder.path}' is no bundle: it has no {MANIFEST}. "
            "'lightawnet-edge export' makes bundles."
        ) from error
    trust.check(folder.path, data)
    try:
        return read_manifest(data), sha256_of_bytes(data)
    except ValueError as error:
        file = folder.path / MANIFEST
        raise ArtifactError(f"'{file}' cannot be understood: {error}. {_EXPORT}") from error


def _with_record(folder: Folder, exported: Manifest, sha256: str) -> Manifest:
    """The manifest with what a device made of it, where there is a record of that."""
    try:
        data = folder.read(RECORD, MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        return exported
    file = folder.path / RECORD
    again = f"Remove it, and finish the bundle again: lightawnet-edge build {folder.path}"
    try:
        record = read_record(data)
        found = record.applied(exported)
    except ValueError as error:
        raise ArtifactError(f"'{file}' cannot be understood: {error}. {again}") from error
    if record.manifest_sha256 != sha256:
        raise ArtifactError(
            f"'{file}' belongs to another manifest: sha256 is {sha256[:12]}…, the record says "
            f"{record.manifest_sha256[:12]}…. {again}"
        )
    return found


def _check_names(folder: Folder, manifest: Manifest, *, remakes_engine: bool) -> None:
    """What a bundle needs is named, and nothing else is there."""
    needed = [manifest.device_graph]
    if manifest.state is not State.PENDING:
        needed.append(manifest.engine)
    if manifest.kit is not None:
        needed += [manifest.kit.graph, manifest.kit.golden]
    for name in needed:
        if name not in manifest.files:
            raise ArtifactError(
                f"Bundle '{folder.path}' has no sha256 of its file '{name}'. {_EXPORT}"
            )
    known = {MANIFEST, RECORD, *manifest.files, *_left_by_builds(manifest, remakes_engine)}
    for name in folder.names():
        if name not in known and not name.startswith("."):
            raise ArtifactError(
                f"Bundle '{folder.path}' holds '{name}', which its manifest does not name. Remove "
                "it, or export the bundle again."
            )


def _left_by_builds(manifest: Manifest, remakes_engine: bool) -> Iterator[str]:
    """Names under which a killed build, or `trtexec`, may have left what nothing is loaded by."""
    if manifest.kit is not None:
        yield from (ANOTHER, TIMING_CACHE)
    if remakes_engine or manifest.state is State.PENDING:
        yield from parts(manifest.engine)


def _read(folder: Folder, manifest: Manifest, name: str) -> bytes:
    expected = manifest.files.get(name)
    try:
        if expected is None:
            raise FileNotFoundError(name)
        data = folder.read(name)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"Bundle '{folder.path}' lacks its file '{name}'. Restore it, or export the bundle "
            "again."
        ) from error
    if (found := sha256_of_bytes(data)) != expected:
        raise ArtifactError(
            f"'{folder.path / name}' has changed since it was built: sha256 is {found[:12]}…, "
            f"the manifest says {expected[:12]}…. Restore the file, or export the bundle again."
        )
    return data
