"""What must be installed for a command, asked before it begins; nothing is imported."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from lightawnet_edge.errors import BackendUnavailableError


def missing(modules: Sequence[str]) -> list[str]:
    """Those of some modules that are not installed."""
    return [name for name in modules if find_spec(name) is None]


def require(what: str, modules: Sequence[str], extra: str) -> None:
    """Check that all of some modules are installed.

    Args:
        what: Needs them.
        modules: Their names, as they are imported.
        extra: Of this package, which installs them.

    Raises:
        BackendUnavailableError: Names what is missing and how to install it.
    """
    if absent := missing(modules):
        raise BackendUnavailableError(
            what,
            f"{', '.join(absent)} not installed. Install: pip install 'lightawnet-edge[{extra}]'",
        )
