"""One process writes a folder at a time: a lock beside it, which goes with its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightawnet_edge.errors import SpecError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Be the one process that writes what stands, or shall stand, at `path`.

    The lock is a file `.NAME.lock` beside it. The system lets go of it when the process ends,
    however it ends: a file that was left behind locks nothing.

    Raises:
        SpecError: Another process is writing there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.parent / f".{path.name}.lock"
    descriptor = _locked(file)
    if descriptor is None:
        raise SpecError(
            f"Another process is writing '{path}'. Wait until it is done and run this again, or "
            "choose another place."
        )
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held: who waits for it looks for a new one
        os.close(descriptor)


def _locked(file: Path) -> int | None:
    """The descriptor that holds a lock file; None where another process holds it."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        os.close(descriptor)  # its holder removed it meanwhile


def _lock(descriptor: int) -> None:
    """Lock a file, or raise BlockingIOError; where the system has no such locks, do nothing."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
