"""Whether bundles are measured, and were calibrated, on frames of their own domain."""

from __future__ import annotations

from collections.abc import Mapping

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.model.domain import doubt_packaged, refuse_packaged

_DATA = "--data DIR"


def find_unfit(bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """Bundles that the packaged frames may not fit, and why; those that they fit are left out.

    Args:
        bundles: Name to bundle, all verified.

    Raises:
        SpecError: They are no frames of a bundle at all: it takes gray ones.
    """
    found = {}
    for name, bundle in bundles.items():
        manifest = bundle.manifest
        refuse_packaged(manifest.contract.color, name, _DATA)
        if doubt := doubt_packaged(manifest.checkpoint.sha256, name, _DATA):
            found[name] = doubt
    return found


def calibration_doubts(bundles: Mapping[str, Bundle]) -> tuple[str, ...]:
    """What export doubted of the frames that bundles were calibrated on."""
    judged = {name: bundle.manifest.judged for name, bundle in bundles.items()}
    return tuple(
        f"{name}: {doubt}" for name, found in judged.items() if found for doubt in found.doubts
    )
