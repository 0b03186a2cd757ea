"""Whom a bundle is taken from: a policy sees the manifest's bytes before anything parses them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Trust(Protocol):
    """A policy. All files hang on the manifest by their digests: it is all that a policy judges."""

    def check(self, folder: Path, manifest: bytes) -> None:
        """Let a manifest pass.

        Args:
            folder: Of the bundle, where a signature may lie beside the manifest.
            manifest: Its bytes as they were read; nothing has looked into them.

        Raises:
            ArtifactError: It is not to be trusted.
        """


class _Unsigned:
    """Takes what is whole, whoever made it."""

    def check(self, folder: Path, manifest: bytes) -> None:
        """Ask for nothing."""


UNSIGNED: Trust = _Unsigned()
"""The default, on a workstation: a bundle proves that it is whole, not where it comes from."""
