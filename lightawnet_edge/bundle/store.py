"""Files that are whole or not there: digests, writing aside and renaming into place."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightawnet_edge.errors import ArtifactError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Of Linux, `renameat2(2)`."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_of(data: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def replace_file(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a file aside and rename it into place: readers see the old bytes or the new.

    Args:
        path: Of the file; its folder is made.
        data: Its bytes.
        lasting: Whether they are on the disk when this returns; files by the thousand need not be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(aside).chmod(0o666 & ~umask)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, before work goes into what shall lie there.

    It need not exist. A file without a name is made in the nearest folder that does: nothing is
    left behind.

    Raises:
        ArtifactError: No file can be made there; with the system's reason.
    """
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ArtifactError(
            f"'{folder}' is no folder that can be written: {error.strerror}. Choose another."
        ) from error


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill beside `path`; rename it to `path` when the block ends without error.

    An existing `path` stays whole until the new one is complete, and stays when the block fails.
    Linux swaps the two at once. Elsewhere a process killed between the two renames of a replacement
    leaves the old one as `.NAME.old-*/bundle`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.new-"))
    aside.chmod(0o755)
    try:
        yield aside
        _move_into_place(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _move_into_place(new: Path, path: Path) -> None:
    if not path.exists():
        new.replace(path)
        return
    if _exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old-"))
    path.replace(old / "bundle")
    try:
        new.replace(path)
    except BaseException:
        (old / "bundle").replace(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names of a folder at once; False where the system or the disk cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))
