"""Every error a user can meet, split by what the reader must do next.

EdgeError
├── SpecError                 exit 2: fix the request
├── ArtifactError             exit 3: fix the file
├── BackendUnavailableError   exit 4: install something, or use another machine
└── CheckFailedError          exit 5: everything ran, but a value is out of tolerance
"""

from __future__ import annotations

INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C, as shells have it."""


class EdgeError(Exception):
    """Base of all errors that the package raises on purpose."""

    exit_code = 1


class SpecError(EdgeError, ValueError):
    """The request cannot be met as it was put."""

    exit_code = 2


class ArtifactError(EdgeError):
    """A file is missing, unreadable, changed or not what it was taken for."""

    exit_code = 3


class BackendUnavailableError(EdgeError):
    """A toolchain or device that the request needs is not here."""

    exit_code = 4

    def __init__(self, name: str, reason: str) -> None:
        """Say which backend (or tool) cannot run here, and why."""
        super().__init__(f"'{name}' cannot run here: {reason}")
        self.name = name
        self.reason = reason


class CheckFailedError(EdgeError):
    """A measured value is outside its limit."""

    exit_code = 5
