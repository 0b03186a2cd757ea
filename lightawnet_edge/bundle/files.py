"""The files of a bundle's folder: plain, regular, of bounded size, each read once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightawnet_edge.errors import ArtifactError

MAX_FILE_BYTES = 512 << 20
"""Largest file that is read: a hundred times the network in FP32."""
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""No link is followed, and a pipe or a device does not block."""


class Folder:
    """An opened folder: what is renamed or linked into its place meanwhile is not read."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `opened`."""
        self.path = path
        self._descriptor = descriptor

    def read(self, name: str, limit_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Bytes of a file.

        Raises:
            FileNotFoundError: There is none of this name.
            ArtifactError: It is a link or a special file, too large, or cannot be read.
        """
        shown = self.path / name
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=self._descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refused(shown, self._is_link(name), error) from error
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ArtifactError(f"'{shown}' is no regular file. {_AGAIN}")
            if found.st_size > limit_bytes:
                raise ArtifactError(
                    f"'{shown}' has {found.st_size} bytes, expected at most {limit_bytes}. {_AGAIN}"
                )
            try:
                data = file.read(limit_bytes + 1)
            except OSError as error:
                raise _refused(shown, False, error) from error
        if len(data) > limit_bytes:  # it grew meanwhile
            raise ArtifactError(f"'{shown}' grows while it is read. {_AGAIN}")
        return data

    def names(self) -> list[str]:
        """Names of all that the folder holds, sorted."""
        with os.scandir(self._descriptor) as entries:
            return sorted(entry.name for entry in entries)

    def _is_link(self, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISLNK(found.st_mode)


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Open a folder; `path` itself may be a link to it.

    Raises:
        ArtifactError: There is no such folder, or it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(
            f"'{path}' is no bundle: {reason}. 'lightawnet-edge export' makes bundles."
        ) from error
    try:
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


def sha256_of_bytes(data: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


_AGAIN = "Restore the file, or export the bundle again."


def _refused(shown: Path, is_link: bool, error: OSError) -> ArtifactError:
    if is_link:
        return ArtifactError(f"'{shown}' is a link, which is never followed. {_AGAIN}")
    return ArtifactError(f"'{shown}' cannot be read: {error.strerror}. {_AGAIN}")
