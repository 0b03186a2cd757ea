"""Targets by name: naming one imports nothing, asking for a role imports what fills it alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from lightawnet_edge.errors import BackendUnavailableError, SpecError
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets.traits import Absent, Traits

if TYPE_CHECKING:
    from lightawnet_edge.targets.base import Backend, Builder, Probe, Quantizer
    from lightawnet_edge.targets.making import Maker

TARGETS: dict[str, str] = {
    "onnx": "lightawnet_edge.targets.onnx:TRAITS",
    "openvino": "lightawnet_edge.targets.openvino:TRAITS",
    "tensorrt": "lightawnet_edge.targets.tensorrt:TRAITS",
    "tensorrt-rtx": "lightawnet_edge.targets.tensorrt:RTX_TRAITS",
}
"""The only list of targets: name to what it says of itself."""


def known() -> Mapping[Target, Traits]:
    """Every target with its traits."""
    return {Target(name): cast(Traits, _found(path)) for name, path in TARGETS.items()}


def find(target: str) -> Traits | None:
    """Traits of a target; None for a name that is none."""
    path = TARGETS.get(target)
    return cast(Traits, _found(path)) if path is not None else None


def traits_of(target: str) -> Traits:
    """Traits of a target.

    Raises:
        SpecError: There is none of this name.
    """
    if (traits := find(target)) is None:
        raise SpecError(f"Unknown target '{target}'. Known: {', '.join(TARGETS)}.")
    return traits


def on_gpu(target: str) -> bool:
    """Whether engines of a target run on an NVIDIA GPU; what is no target does not."""
    traits = find(target)
    return traits is not None and traits.on_gpu


@cache
def get(target: Target) -> Backend:
    """Import and make the backend of a target.

    Raises:
        SpecError: There is no such target.
        BackendUnavailableError: Its toolchain is not installed.
    """
    traits = traits_of(target)
    try:
        return cast("Backend", _found(traits.backend)())
    except ImportError as error:
        raise BackendUnavailableError(target, f"{error}. {traits.install}") from error


def get_for(target: Target, precision: Precision) -> Backend:
    """Return the backend of a target after checking that it executes `precision` on this machine.

    Raises:
        SpecError: There is no such target.
        BackendUnavailableError: As for `get`, or the precision would only be emulated here.
    """
    backend = get(target)
    if reason := backend.refusals()[precision]:
        raise BackendUnavailableError(f"{target} {precision}", reason)
    return backend


def builder_for(target: Target, precision: Precision) -> Builder:
    """As `get_for`, of a target whose engines are built where they are exported."""
    return cast("Builder", get_for(target, precision))


def quantizer(target: Target) -> Quantizer:
    """What prepares a device graph of a target for INT8."""
    return cast("Quantizer", _found(traits_of(target).quantizer))


def probe(target: Target) -> Probe:
    """What looks into the models of a target.

    Raises:
        BackendUnavailableError: Nothing does; with the reason.
    """
    path = traits_of(target).probe
    if isinstance(path, Absent):
        raise BackendUnavailableError(target, path.reason)
    return cast("Probe", _found(path)())


def maker(target: Target) -> Maker:
    """What makes bundles of a target."""
    return cast("Maker", _found(traits_of(target).maker))


def _found(path: str) -> Any:
    """What 'module:attribute' names."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)
