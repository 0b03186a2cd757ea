"""A bundle that stands where a new one shall go: kept when equal, replaced when allowed."""

from __future__ import annotations

from pathlib import Path

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.manifest import MANIFEST
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.export.spec import ExportSpec


def standing_bundle(path: Path, inputs_sha256: str, spec: ExportSpec) -> Bundle | None:
    """The bundle at `path` if it can stay; None if there is nothing, or it may be replaced.

    Raises:
        SpecError: Something else stands there: a folder that is no bundle is never replaced.
    """
    if not path.exists():
        return None
    if not (path / MANIFEST).is_file():
        raise SpecError(
            f"'{path}' is in the way: it is no bundle, and is never replaced. "
            "Choose another --name."
        )
    if spec.force:
        return None
    try:
        return _equal(path, inputs_sha256)
    except (ArtifactError, SpecError) as error:
        if spec.replace:
            return None
        raise SpecError(
            f"'{path}' is in the way: {error} Choose another --name, or replace it with --force."
        ) from error


def _equal(path: Path, inputs_sha256: str) -> Bundle:
    bundle = Bundle.open(path)
    if bundle.manifest.inputs_sha256 != inputs_sha256:
        raise SpecError("It was made from other inputs.")
    return bundle
