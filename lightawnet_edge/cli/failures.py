"""What ends a command early, as a sentence and an exit code: no failure is a traceback."""

from __future__ import annotations

import errno
import os

from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError

READER_GONE = 1
"""Exit code where stdout's reader went away, as typer has it."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def explain(error: Exception) -> tuple[str, int]:
    """Say in one sentence or two what went wrong and what to do, with the exit code."""
    if isinstance(error, EdgeError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError):
        told = f"{error}. Install all that a workstation needs: pip install 'lightawnet-edge[all]'"
        return told, BackendUnavailableError.exit_code
    if isinstance(error, MemoryError):
        told = (
            f"There is not enough memory for this{_detail(error)}. Ask for fewer or smaller "
            "frames, or use a machine with more."
        )
        return told, BackendUnavailableError.exit_code
    if isinstance(error, OSError):
        return _of_the_system(error), ArtifactError.exit_code
    told = (
        f"{type(error).__name__}{_detail(error)}. This is a fault of lightawnet-edge, not of the "
        "request: the same command with --debug shows where."
    )
    return told, EdgeError.exit_code


def _detail(error: Exception) -> str:
    return f" ({' '.join(str(error).split())})" if str(error) else ""


def _of_the_system(error: OSError) -> str:
    name = error.filename
    where = f"'{os.fsdecode(name)}': " if isinstance(name, str | bytes | os.PathLike) else ""
    what = error.strerror or str(error) or type(error).__name__
    return f"{where}{what.rstrip('.')}.{_remedy(error.errno, what)}"


def _remedy(number: int | None, what: str) -> str:
    if number in _FULL:
        return " Free some space, or write elsewhere, and run the same command again."
    if what.startswith("No usable temporary directory"):
        return " Name a folder that can be written: TMPDIR=DIR lightawnet-edge ..."
    return ""
