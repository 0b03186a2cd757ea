"""LightAWNet from a PyTorch checkpoint to a qualified engine on an edge device."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightawnet_edge.machine import telemetry as _telemetry

if TYPE_CHECKING:
    from lightawnet_edge.bundle.bundle import Bundle
    from lightawnet_edge.bundle.manifest import Manifest
    from lightawnet_edge.errors import (
        ArtifactError,
        BackendUnavailableError,
        CheckFailedError,
        EdgeError,
        SpecError,
    )
    from lightawnet_edge.model.checkpoint import load_checkpoint
    from lightawnet_edge.model.network import LightAWNet
    from lightawnet_edge.runtime.segmenter import Segmenter
    from lightawnet_edge.runtime.stream import Stream
    from lightawnet_edge.runtime.supervised import Supervised
    from lightawnet_edge.runtime.watchdog import Watchdog
    from lightawnet_edge.specs import ColorOrder, Precision, Routing, Size, Target

__version__ = "0.1.0"

_telemetry.switch_off()  # here, since no module of the package is imported before this one

# Public name -> module. Asking for a name imports its module alone, so the package itself is free.
_HOMES = {
    "ArtifactError": "errors",
    "BackendUnavailableError": "errors",
    "Bundle": "bundle.bundle",
    "CheckFailedError": "errors",
    "ColorOrder": "specs",
    "EdgeError": "errors",
    "LightAWNet": "model.network",
    "Manifest": "bundle.manifest",
    "Precision": "specs",
    "Routing": "specs",
    "Segmenter": "runtime.segmenter",
    "Size": "specs",
    "SpecError": "errors",
    "Stream": "runtime.stream",
    "Supervised": "runtime.supervised",
    "Target": "specs",
    "Watchdog": "runtime.watchdog",
    "load_checkpoint": "model.checkpoint",
}

__all__ = [
    "ArtifactError",
    "BackendUnavailableError",
    "Bundle",
    "CheckFailedError",
    "ColorOrder",
    "EdgeError",
    "LightAWNet",
    "Manifest",
    "Precision",
    "Routing",
    "Segmenter",
    "Size",
    "SpecError",
    "Stream",
    "Supervised",
    "Target",
    "Watchdog",
    "load_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lightawnet_edge' has no attribute '{name}'")
    return getattr(import_module(f"lightawnet_edge.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
