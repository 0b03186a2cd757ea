"""For which device an engine is, where it is built, and on which frames its graph is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.likeness import find_matches
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.errors import BackendUnavailableError, SpecError
from lightawnet_edge.specs import Target
from lightawnet_edge.targets.making import KitOptions, Request
from lightawnet_edge.targets.tensorrt.builder import import_tensorrt, local_platform
from lightawnet_edge.targets.tensorrt.devices import RTX, Platform, check_platform, find_platform

DEFAULT_DEVICE = "jetson-orin"
"""What a kit is for where no device is named and none is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBuild:
    """What a TensorRT export shall end in."""

    platform: Platform
    builds_here: bool
    """Whether the engine can be built on this machine, now."""
    dla: bool
    builder: BuilderSettings
    tools: Mapping[str, str] = field(default_factory=dict)
    """Name to version of the toolchain that builds here."""

    @property
    def label(self) -> str | None:
        """The device, for the name of a bundle; None where the target says it."""
        return None if self.platform.device == RTX else self.platform.device


def device_build(request: Request) -> DeviceBuild:
    """Find the device that an export is for, and whether it is built here.

    Raises:
        SpecError: The device cannot do what is asked for.
        BackendUnavailableError: TensorRT-RTX, which builds here or nowhere, is not installed; or
            the engine must be built here, and cannot be.
    """
    options = request.kit
    tools: dict[str, str] = {}
    if request.target == Target.TENSORRT_RTX:
        platform, here = find_platform(RTX), True
        tools = {"tensorrt-rtx": str(import_tensorrt(request.target).__version__)}
    else:
        platform, here = _jetson_or_here(options)
    check_platform(
        platform, request.precision, request.routing, dla=options.dla, settings=options.builder
    )
    if options.must_build and not here:
        raise BackendUnavailableError(
            request.target,
            f"engines for {platform} are built on the device, and this machine is none. Leave "
            "--must-build out to get a kit that the device finishes.",
        )
    return DeviceBuild(
        platform=platform,
        builds_here=here,
        dla=options.dla,
        builder=options.builder,
        tools=tools,
    )


def _jetson_or_here(options: KitOptions) -> tuple[Platform, bool]:
    local = local_platform()
    if options.device is None and options.jetpack is None and local is not None:
        return local, True
    platform = find_platform(options.device or DEFAULT_DEVICE, options.jetpack)
    if platform.device == RTX:
        raise SpecError(
            f"--device {RTX}: engines of TensorRT-RTX are built ahead of time, here and now. Use "
            f"--target {Target.TENSORRT_RTX}."
        )
    same = local is not None and (local.capabilities, local.tensorrt) == (
        platform.capabilities,
        platform.tensorrt,
    )
    return platform, same


def check_set(
    calibration: CalibrationSet, folder: Path | None, *, packaged: bool
) -> CalibrationSet:
    """Frames to compare graphs on.

    Args:
        calibration: The frames that set scales.
        folder: Yours; None: the packaged evaluation frames, or the calibration set where it is
            yours.
        packaged: Whether the calibration set is the packaged one.

    Raises:
        ArtifactError: There is no such folder.
        SpecError: It holds no image, or pictures of the calibration set.
    """
    if folder is not None:
        found = CalibrationSet.open(folder)
        if matches := find_matches(found.prints(), calibration.prints()):
            raise SpecError(
                f"--check '{folder}': {len(matches)} of {found.source.frames} frames are in the "
                f"calibration set, too, e.g. {matches[0]}. Give frames that it does not hold, or "
                "leave --check out."
            )
        return found
    if not packaged:
        return calibration
    apart = CalibrationSet.open(EVALUATION)
    return replace(apart, source=replace(apart.source, name="packaged evaluation frames"))
