"""The `trtexec` command that builds and measures an engine on a device, per TensorRT version.

Its flags differ: 8.x takes the precision from flags, 10.x from the graph on request, 11.x from the
graph always; and 11.x leaves the copies between host and device out of its times unless told.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from lightawnet_edge.bundle.kit import TIMING_CACHE, USUAL_SETTINGS, BuilderSettings
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.tensorrt.devices import RTX, Platform

_ALWAYS_TYPED = 11
"""First major version whose networks are strongly typed without a flag."""


def trtexec_line(
    platform: Platform,
    precision: Precision,
    *,
    graph: str,
    engine: str,
    float_layers: Iterable[str] = (),
    dla: bool = False,
    settings: BuilderSettings = USUAL_SETTINGS,
) -> str:
    """One shell line, for the folder that holds the graph.

    It saves the engine, prints each layer with its type, and measures with the copies that a
    device pays for, with a CUDA graph and without TF32.

    Args:
        platform: Device and version; the request has passed `check_platform`.
        precision: Requested; decides about flags on 8.x alone.
        graph: Name of the ONNX file.
        engine: Name of the file to write.
        float_layers: Nodes of float outputs that 8.x must hold in FP32.
        dla: Whether to use DLA core 0.
        settings: For the builder; the request has passed `check_platform`.

    Raises:
        SpecError: The platform is a workstation GPU, for which engines are built ahead of time.
    """
    if platform.device == RTX:
        raise SpecError(f"{platform}: its engines are built ahead of time, without trtexec.")
    words = ["trtexec", f"--onnx={graph}", f"--saveEngine={engine}"]
    words += _typing(platform, precision, tuple(float_layers))
    words += ["--noTF32", f"--memPoolSize=workspace:{settings.workspace_mib}"]
    if settings.optimization_level is not None:
        words.append(f"--builderOptimizationLevel={settings.optimization_level}")
    if settings.version_compatible:
        words.append("--versionCompatible")
    if settings.hardware_compatible:
        words.append("--hardwareCompatibilityLevel=ampere+")
    words.append(f"--timingCacheFile={TIMING_CACHE}")
    words += ["--profilingVerbosity=detailed", "--dumpLayerInfo"]
    if dla:
        words += ["--useDLACore=0", "--allowGPUFallback"]
    # 11.x has the graph and the spinning wait on by default, and the copies off.
    typed = platform.major >= _ALWAYS_TYPED
    words += ["--includeDataTransfers"] if typed else ["--useCudaGraph", "--useSpinWait"]
    return shlex.join(words)


def _typing(platform: Platform, precision: Precision, floats: tuple[str, ...]) -> list[str]:
    if platform.typed:
        return [] if platform.major >= _ALWAYS_TYPED else ["--stronglyTyped"]
    if precision is Precision.FP32:
        return []
    flags = ["--fp16", "--int8"] if precision is Precision.INT8 else ["--fp16"]
    if floats:
        named = ",".join(f"{name}:fp32" for name in floats)
        # The second keeps what such a layer gives from being stored as FP16.
        flags += ["--precisionConstraints=obey", f"--layerPrecisions={named}"]
        flags.append(f"--layerOutputTypes={named}")
    return flags
