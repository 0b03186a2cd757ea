"""What a TensorRT module can do, and how its builder is told what to do.

What a module has decides, not its version: TensorRT-RTX has the versions of its own series.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lightawnet_edge.bundle.kit import USUAL_SETTINGS, BuilderSettings
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.tensorrt.devices import device_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What a build may be told; what the module cannot do is refused, never passed over."""

    precision: Precision = Precision.FP32
    """Heeded by weakly typed builders (8.x) alone: elsewhere the graph states every type."""
    float_layers: frozenset[str] = frozenset()
    """Nodes that a weakly typed builder must leave in FP32."""
    capabilities: tuple[int, ...] = ()
    """Compute capabilities for TensorRT-RTX, e.g. 86; empty builds for the GPU of this machine."""
    settings: BuilderSettings = USUAL_SETTINGS
    timing_cache: bytes = b""
    """What an earlier build on the same device and version returned."""
    dla_core: int | None = None
    """DLA core to use, with the GPU for what it does not take."""


def describe(trt: Any) -> str:
    """Name and version of a module, for messages and manifests."""
    return f"{'TensorRT-RTX' if is_portable(trt) else 'TensorRT'} {trt.__version__}"


def is_portable(trt: Any) -> bool:
    """Whether the module builds for stated compute capabilities, and so needs no GPU."""
    return hasattr(trt, "ComputeCapability")


def is_strongly_typed(trt: Any) -> bool:
    """Whether networks of this module take their types from the graph."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def capabilities(trt: Any) -> tuple[int, ...]:
    """Compute capabilities that a portable module can be told to build for."""
    names = [re.fullmatch(r"SM(\d+)", name) for name in trt.ComputeCapability.__members__]
    return tuple(sorted(int(match[1]) for match in names if match))


def weak_flags(trt: Any, precision: Precision) -> tuple[str, ...]:
    """Builder flags that stand for a precision where the graph's types do not."""
    if is_strongly_typed(trt) or precision is Precision.FP32:
        return ()
    if precision is Precision.BF16:
        raise SpecError(f"{describe(trt)} has no BF16. Choose --fp16.")
    # An INT8 engine runs in FP16 what its graph does not quantize.
    int8 = ("INT8",) if precision is Precision.INT8 else ()
    return ("FP16", *int8, "OBEY_PRECISION_CONSTRAINTS")


def network_flags(trt: Any) -> int:
    """Creation flags of a network: strongly typed wherever that exists."""
    kinds = trt.NetworkDefinitionCreationFlag
    # 8.x demands an explicit batch; from 10 on there is no other, and the flag may be gone.
    names = [name for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if hasattr(kinds, name)]
    return sum(1 << int(getattr(kinds, name)) for name in names)


def configure(trt: Any, builder: Any, config: Any, options: BuildOptions) -> None:
    """Tell a builder configuration what the options ask for, or refuse what it cannot do.

    Raises:
        SpecError: The module cannot do what the options ask for.
    """
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # On by default: an FP32 convolution would run with the 10 bits of TF32 without a word.
    config.clear_flag(trt.BuilderFlag.TF32)
    for name in weak_flags(trt, options.precision):
        config.set_flag(getattr(trt.BuilderFlag, name))
    settings = options.settings
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if settings.optimization_level is not None:
        _need(trt, config, "builder_optimization_level", "optimization level")
        config.builder_optimization_level = settings.optimization_level
    _set_capabilities(trt, config, options.capabilities)
    _set_compatibility(trt, config, settings)
    _set_dla(trt, builder, config, options.dla_core)


def _set_capabilities(trt: Any, config: Any, wanted: tuple[int, ...]) -> None:
    if not wanted:
        return
    if not is_portable(trt):
        raise SpecError(
            f"{describe(trt)} builds for the GPU that it runs on, not for SM{wanted[0]}. Build on "
            "that device, or use --target tensorrt-rtx."
        )
    known = capabilities(trt)
    if unknown := [sm for sm in wanted if sm not in known]:
        named = ", ".join(f"SM{sm}" for sm in known)
        device = device_of(unknown[0])
        elsewhere = f": --target tensorrt --device {device}" if device else ""
        raise SpecError(
            f"{describe(trt)} builds no engine for SM{unknown[0]}, expected one of {named}. Build "
            f"with TensorRT on the device itself{elsewhere}."
        )
    config.num_compute_capabilities = len(wanted)
    for index, sm in enumerate(wanted):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)


def _set_compatibility(trt: Any, config: Any, settings: BuilderSettings) -> None:
    if not (settings.hardware_compatible or settings.version_compatible):
        return
    if is_portable(trt):
        raise SpecError(
            f"{describe(trt)} makes no compatible plans: its engines are bound to its version, and "
            "portable over the compute capabilities that they are built for."
        )
    if settings.hardware_compatible:
        _need(trt, config, "hardware_compatibility_level", "hardware compatibility")
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if settings.version_compatible:
        _need(trt, trt.BuilderFlag, "VERSION_COMPATIBLE", "version compatibility")
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def _set_dla(trt: Any, builder: Any, config: Any, core: int | None) -> None:
    if core is None:
        return
    if core >= builder.num_DLA_cores:
        raise SpecError(
            f"There is no DLA core {core}: {describe(trt)} sees {builder.num_DLA_cores} on this "
            "machine. Leave --dla out."
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _need(trt: Any, owner: Any, name: str, what: str) -> None:
    if not hasattr(owner, name):
        raise SpecError(f"{describe(trt)} knows no {what}: it came with 8.6. Leave it out.")


def hold_in_float(trt: Any, network: Any, options: BuildOptions) -> None:
    """Bind layers to FP32 where the graph's types do not; a typed network takes no such call."""
    if is_strongly_typed(trt):
        return
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        floats = layer.num_outputs and layer.get_output(0).dtype == trt.float32
        if layer.name in options.float_layers and floats:
            layer.precision = trt.float32
            layer.set_output_type(0, trt.float32)
