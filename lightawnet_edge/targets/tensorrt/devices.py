"""The devices that `--device` knows: what their TensorRT can do, and why it cannot do the rest.

Sources: NVIDIA's JetPack release notes and TensorRT support matrices. What was measured here, and
what still waits for a device, stands in `docs/tensorrt.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightawnet_edge.bundle.kit import USUAL_SETTINGS, BuilderSettings
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision, Routing

RTX = "rtx"
RTX_CAPABILITIES = (80, 86, 89, 120, 121)
"""Compute capabilities that TensorRT-RTX 1.7 builds this network for. It knows SM75 as well, but
has no FP32 matrix product there, which the attention's scores need: they overflow FP16."""

AMPERE = 80
"""Compute capability that hardware-compatible plans begin with."""
_WITH_SETTINGS = (8, 6)
"""The version that optimization levels and compatible plans came with."""
_WITH_BYTES = (8, 5)
"""The version that uint8 inputs and convolutions with a computed kernel came with."""
_OLD_PYTHON = 5
"""JetPack of Ubuntu 20.04, whose Python is 3.8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One device with one version of its system software."""

    device: str
    jetpack: str | None
    """None where there is no JetPack."""
    tensorrt: str
    """Version that comes with it: major.minor."""
    capabilities: tuple[int, ...]
    """Compute capabilities, e.g. 87."""
    typed: bool = True
    """Whether its networks are strongly typed. If not, builder flags ask for FP16 and INT8."""
    dla: frozenset[Precision] = frozenset()
    """What its DLA can be asked for here; empty where there is no DLA."""

    def __str__(self) -> str:
        system = f"JetPack {self.jetpack}, " if self.jetpack else ""
        product = "TensorRT-RTX" if self.device == RTX else "TensorRT"
        return f"{self.device} ({system}{product} {self.tensorrt})"

    @property
    def runs_the_package(self) -> bool:
        """Whether the Python that its TensorRT binds to is 3.10 or later: JetPack 5 has 3.8."""
        return self.jetpack is None or int(self.jetpack.partition(".")[0]) > _OLD_PYTHON

    @property
    def major(self) -> int:
        """Major version of its TensorRT."""
        return self.version[0]

    @property
    def version(self) -> tuple[int, ...]:
        """Version of its TensorRT, to compare with."""
        return tuple(map(int, self.tensorrt.split(".")))


_LAST_DLA, _NEXT_DLA = (10, 7), (11, 4)
"""Between these versions TensorRT knows no DLA."""
_FP16 = frozenset({Precision.FP16})
# Up to 10.x the DLA takes INT8 by way of a calibrator alone, which this package never uses.
_FP16_INT8 = frozenset({Precision.FP16, Precision.INT8})
_XAVIER, _ORIN, _THOR = "jetson-xavier", "jetson-orin", "jetson-thor"

PLATFORMS = (
    Platform(
        device=_XAVIER, jetpack="5.1", tensorrt="8.5", capabilities=(72,), typed=False, dla=_FP16
    ),
    Platform(
        device=_XAVIER,
        jetpack="5.0",
        tensorrt="8.4",
        capabilities=(72,),
        typed=False,
        dla=_FP16,
    ),
    Platform(device=_ORIN, jetpack="6.2", tensorrt="10.3", capabilities=(87,), dla=_FP16),
    Platform(device=_ORIN, jetpack="6.1", tensorrt="10.3", capabilities=(87,), dla=_FP16),
    Platform(
        device=_ORIN, jetpack="6.0", tensorrt="8.6", capabilities=(87,), typed=False, dla=_FP16
    ),
    Platform(
        device=_ORIN, jetpack="5.1", tensorrt="8.5", capabilities=(87,), typed=False, dla=_FP16
    ),
    Platform(
        device=_ORIN,
        jetpack="5.0",
        tensorrt="8.4",
        capabilities=(87,),
        typed=False,
        dla=_FP16,
    ),
    Platform(device=_ORIN, jetpack="7.2.2", tensorrt="11.4", capabilities=(87,), dla=_FP16_INT8),
    Platform(device=_THOR, jetpack="7.0", tensorrt="10.13", capabilities=(110,)),
    Platform(device=_THOR, jetpack="7.2.2", tensorrt="11.4", capabilities=(110,)),
    Platform(device=RTX, jetpack=None, tensorrt="1.7", capabilities=RTX_CAPABILITIES),
)
"""Of each device the usual system software comes first: it is what no --jetpack means."""
DEVICES = tuple(dict.fromkeys(platform.device for platform in PLATFORMS))


def find_platform(device: str, jetpack: str | None = None) -> Platform:
    """Look up a device, with its usual system software unless another is named.

    Raises:
        SpecError: There is no such device, or no such JetPack for it.
    """
    rows = [platform for platform in PLATFORMS if platform.device == device.lower()]
    if not rows:
        raise SpecError(f"Unknown device '{device}'. Known: {', '.join(DEVICES)}.")
    if jetpack is None:
        return rows[0]
    for row in rows:
        if row.jetpack == jetpack:
            return row
    known = ", ".join(row.jetpack for row in rows if row.jetpack)
    has = f"Known for {device}: {known}." if known else f"{device} has none: leave it out."
    raise SpecError(f"Unknown JetPack '{jetpack}'. {has}")


def dla_of(capability: int, tensorrt: str) -> frozenset[Precision]:
    """What the DLA of a Jetson can be asked for with a version of TensorRT; empty without one."""
    rows = [row for row in PLATFORMS if row.dla and capability in row.capabilities]
    version = tuple(map(int, tensorrt.split(".")))
    if _LAST_DLA < version < _NEXT_DLA:
        return frozenset()
    return next((row.dla for row in rows if row.major == version[0]), frozenset())


def device_of(capability: int) -> str | None:
    """The Jetson of a compute capability, or None."""
    rows = [row for row in PLATFORMS if row.jetpack and capability in row.capabilities]
    return rows[0].device if rows else None


def check_platform(
    platform: Platform,
    precision: Precision,
    routing: Routing,
    *,
    dla: bool = False,
    settings: BuilderSettings = USUAL_SETTINGS,
) -> None:
    """Refuse what a platform cannot do, with the reason and what to do instead.

    Args:
        platform: From `find_platform`.
        precision: Requested.
        routing: Requested; dynamic routing needs convolutions with computed kernels.
        dla: Whether the DLA shall take what it can.
        settings: For the builder.

    Raises:
        SpecError: The request cannot be met.
    """
    reason = _refusal(platform, precision, routing) or _settings_refusal(platform, settings)
    if reason is None and dla:
        reason = _dla_refusal(platform, precision, routing)
    if reason is not None:
        raise SpecError(f"{platform}: {reason}")


def _refusal(platform: Platform, precision: Precision, routing: Routing) -> str | None:
    computed = routing is not Routing.STATIC
    if platform.device != RTX and platform.version < _WITH_BYTES:
        lacks = "neither uint8 frames nor computed kernels" if computed else "no uint8 frames"
        return (
            f"its parser takes {lacks}: TensorRT 8.5 is the first that does. Take a newer JetPack, "
            "e.g. 5.1."
        )
    if precision is Precision.BF16:
        return "this version writes no BF16 graph for TensorRT. Choose --fp16."
    if computed and precision is Precision.INT8 and not platform.typed:
        return (
            "beside computed kernels, TensorRT 8 fails on INT8 or runs it in float without a word. "
            "Use --routing static, or --fp16."
        )
    return None


def _settings_refusal(platform: Platform, settings: BuilderSettings) -> str | None:
    if platform.device == RTX and (settings.version_compatible or settings.hardware_compatible):
        return (
            "it makes no compatible plans: its engines are bound to its version, and portable over "
            "the GPUs that they are built for. Leave --version-compatible and "
            "--hardware-compatible out."
        )
    if settings.hardware_compatible and device_of(platform.capabilities[0]):
        return (
            "a plan for a Jetson loads on its own kind alone. Leave --hardware-compatible out, and "
            "export a kit for each device."
        )
    if settings.hardware_compatible and platform.capabilities[0] < AMPERE:
        return "compatible plans begin with Ampere, SM80. Leave --hardware-compatible out."
    old = platform.device != RTX and platform.version < _WITH_SETTINGS
    if old and settings.optimization_level is not None:
        return "optimization levels came with TensorRT 8.6. Leave --opt-level out."
    if old and (settings.version_compatible or settings.hardware_compatible):
        return "compatible plans came with TensorRT 8.6. Leave them out."
    return None


def _dla_refusal(platform: Platform, precision: Precision, routing: Routing) -> str | None:
    if not platform.dla:
        return "it has no DLA, or a TensorRT that knows none. Leave --dla out."
    if routing is not Routing.STATIC:
        return (
            "a DLA takes no computed kernels, and most of the arithmetic is in them. Use --routing "
            "static, or leave --dla out."
        )
    if precision is Precision.FP32:
        return "a DLA computes in FP16 and INT8 alone. Choose --fp16."
    if precision not in platform.dla:
        return (
            "before TensorRT 11 a DLA takes INT8 from a calibrator alone, and this package states "
            "every scale in the graph. Choose --fp16, or leave --dla out."
        )
    return None
