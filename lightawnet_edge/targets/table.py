"""Backends by name: naming one imports nothing, asking for one imports it alone."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets.base import Backend

# The only list of backends. Backend name = extra name.
_FACTORIES = {
    Target.ONNX: "lightawnet_edge.targets.onnx.engine:OnnxRuntimeBackend",
    Target.OPENVINO: "lightawnet_edge.targets.openvino.engine:OpenVinoBackend",
    Target.TENSORRT: "lightawnet_edge.targets.tensorrt.engine:TensorRtBackend",
    Target.TENSORRT_RTX: "lightawnet_edge.targets.tensorrt.engine:TensorRtRtxBackend",
}
NAMES = tuple(str(target) for target in _FACTORIES)


@cache
def get(target: Target) -> Backend:
    """Import and return the backend of a target.

    Raises:
        BackendUnavailableError: Its toolchain is not installed.
    """
    module, _, attribute = _FACTORIES[target].partition(":")
    try:
        return cast(Backend, getattr(import_module(module), attribute)())
    except ImportError as error:
        raise BackendUnavailableError(
            str(target), f"{error}. Install it: pip install 'lightawnet-edge[{target}]'"
        ) from error


def get_for(target: Target, precision: Precision) -> Backend:
    """Return the backend of a target after checking that it executes `precision` on this machine.

    Raises:
        BackendUnavailableError: As for `get`, or the precision would only be emulated here.
    """
    backend = get(target)
    if reason := backend.refusals()[precision]:
        raise BackendUnavailableError(f"{target} {precision}", reason)
    return backend
