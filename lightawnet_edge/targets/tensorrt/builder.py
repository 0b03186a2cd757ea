"""One builder for every TensorRT: 8.5 and later, 10.x, 11.x and TensorRT-RTX.

The module is an argument, and what it has decides, not its version: networks are strongly typed
wherever that exists, and builder flags for FP16 and INT8 are set only where it does not (8.x).
There is never a calibrator. Plan bytes are exactly what the builder gave.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets.base import Built
from lightawnet_edge.targets.table import traits_of
from lightawnet_edge.targets.tensorrt.devices import Platform, device_of, dla_of
from lightawnet_edge.targets.tensorrt.log import (
    HEADER,
    EngineLayer,
    convolution_records,
    parse_layers,
    widest,
)
from lightawnet_edge.targets.tensorrt.options import (
    BuildOptions,
    configure,
    describe,
    hold_in_float,
    is_portable,
    is_strongly_typed,
    network_flags,
)

logger = logging.getLogger(__name__)

ENGINE = "engine.plan"
_ADVICE = (
    ("zero point", "Quantize symmetrically: every zero point must be 0."),
    ("type Int32 but must", "Leave the bias in float: quantize without QuantizeBias."),
    ("ntialias", "Export the Resize without antialiasing."),
    ("No importer registered", "This version has no such operator: see `docs/tensorrt.md`."),
)
"""What the parser says, and what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerializedEngine:
    """A plan as the builder gave it."""

    data: bytes
    layers: tuple[EngineLayer, ...]
    """What it executes; empty where the builder's log does not tell. Of several compute
    capabilities the builder tells of one."""
    timing_cache: bytes
    """For the next build on this device; empty where there is none."""


def import_tensorrt(target: Target) -> Any:
    """Import the module of a target, or say what is missing.

    Raises:
        BackendUnavailableError: It is not installed, or is a runtime without a builder.
    """
    traits = traits_of(target)
    try:
        module = import_module(traits.module)
    except (ImportError, OSError) as error:  # OSError: a binding without its library
        raise BackendUnavailableError(target, f"{error}. {traits.install}") from error
    if not hasattr(module, "Builder"):
        reason = f"the module '{traits.module}' that is here has no builder. {traits.install}"
        raise BackendUnavailableError(target, reason)
    return module


def local_platform() -> Platform | None:
    """The device and TensorRT of this machine; None where one of them is missing."""
    try:
        trt, device = import_tensorrt(Target.TENSORRT), find_device()
    except BackendUnavailableError:
        return None
    version = ".".join(str(trt.__version__).split(".")[:2])
    return Platform(
        device=device_of(device.capability) or f"sm{device.capability}",
        jetpack=None,
        tensorrt=version,
        capabilities=(device.capability,),
        typed=is_strongly_typed(trt),
        dla=dla_of(device.capability, version),
    )


def timing_cache_name(trt: Any, device: CudaDevice) -> str:
    """File name of a timing cache: timings hold for one version on one kind of device."""
    words = (trt.__name__, trt.__version__, f"sm{device.capability}", device.name.lower())
    return "-".join(re.sub(r"[^a-z0-9._]+", "-", word) for word in words) + ".timing"


def build(
    trt: Any,
    source: Path,
    folder: Path,
    requested: Mapping[str, Precision],
    options: BuildOptions,
    *,
    timing_cache: Path | None = None,
) -> Built:
    """Build an ONNX file into `folder`, and read back what its convolutions execute.

    Of an engine for several compute capabilities each is asked, and each layer's widest precision
    counts.

    Args:
        trt: A module from `import_tensorrt`.
        source: Typed ONNX file.
        folder: Gets the plan.
        requested: Every convolution of the graph to the precision that the graph states.
        options: For the builder.
        timing_cache: File of `timing_cache_name`: read where it is there, and written again.

    Raises:
        SpecError, ArtifactError, BackendUnavailableError: As for `build_plan`.
    """
    if timing_cache is not None and timing_cache.is_file():
        options = replace(options, timing_cache=timing_cache.read_bytes())
    graph = source.read_bytes()
    plan = build_plan(trt, graph, options)
    (folder / ENGINE).write_bytes(plan.data)
    if timing_cache is not None and plan.timing_cache:
        timing_cache.write_bytes(plan.timing_cache)
    told = [plan.layers]
    if len(options.capabilities) > 1:  # of several the log tells of one
        alone = (replace(options, capabilities=(one,)) for one in options.capabilities)
        told = [build_plan(trt, graph, one).layers for one in alone]
    return Built(
        engine=ENGINE, layers=widest(convolution_records(layers, requested) for layers in told)
    )


def build_plan(trt: Any, graph: bytes, options: BuildOptions) -> SerializedEngine:
    """Build a serialized ONNX graph.

    Raises:
        SpecError: The module cannot do what the options ask for.
        ArtifactError: The parser or the builder refuses the graph.
        BackendUnavailableError: The module builds for the GPU of this machine, and there is none.
    """
    if not is_portable(trt):
        find_device()
    log = _log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        raise ArtifactError(f"{describe(trt)} does not take the graph{_parser_error(parser)}")
    config = builder.create_builder_config()
    configure(trt, builder, config, options)
    hold_in_float(trt, network, options)
    cache = None if is_portable(trt) else _timing_cache(config, options.timing_cache)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        reason = "; ".join(log.errors) or "it gives no reason"
        raise ArtifactError(f"{describe(trt)} cannot build the graph: {reason}.")
    return SerializedEngine(
        data=bytes(serialized),
        layers=parse_layers(log.layers),
        timing_cache=bytes(cache.serialize()) if cache is not None else b"",
    )


def _timing_cache(config: Any, data: bytes) -> Any:
    cache = config.create_timing_cache(data)
    if not config.set_timing_cache(cache, False):
        logger.warning("The timing cache is of another device or version: starting a new one.")
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _parser_error(parser: Any) -> str:
    """Node, reason and advice of the parser's first error."""
    if not parser.num_errors:
        return ", and gives no reason."
    error = parser.get_error(0)
    text = str(error.desc())
    lines = text.splitlines()
    # The first line may be no more than "Invalid Node"; after the second come CUDA's complaints.
    reason = lines[1] if text.startswith("Invalid Node") and len(lines) > 1 else lines[0]
    # 8.5 gives the index of a node alone.
    named = hasattr(error, "node_name")
    where = f"'{error.node_name()}' ({error.node_operator()})" if named else f"{error.node()}"
    advice = next((advice for sign, advice in _ADVICE if sign in text), "")
    return f" at node {where}: {reason} {advice}".rstrip()


def _log(trt: Any) -> Any:
    """A logger that keeps the errors and the account of the layers."""

    class Log(trt.ILogger):  # type: ignore[misc] # their class is untyped
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []
            self.layers = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)
            if message.startswith(HEADER):
                self.layers = message

    return Log()
