"""What a bundle says of itself when its engine is finished on another machine than it was made on.

Nothing but the standard library is needed: a manifest holds these records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.errors import SpecError
from lightawnet_edge.options import option
from lightawnet_edge.scores.agreement import Agreement

PANEL = "TensorRT"
"""Group of options in the help."""
TIMING_CACHE = "timing.cache"
"""What a kit's `trtexec` command writes beside the engine."""
_TOP_LEVEL = 5
"""A builder's highest optimization level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderSettings:
    """What a builder is told beside types and device, wherever it runs; `trtexec` is told the same.

    Raises:
        SpecError: A number is out of range.
    """

    workspace_mib: int = option(
        "Most scratch memory that the builder may use, in MiB.",
        "--workspace",
        default=1024,
        panel=PANEL,
    )
    optimization_level: int | None = option(
        "0 (builds fast) to 5 (runs fast). Default: the builder's own.",
        "--opt-level",
        default=None,
        panel=PANEL,
    )
    version_compatible: bool = option(
        "The plan loads with later minor versions, too; it then carries host code.",
        "--version-compatible",
        default=False,
        panel=PANEL,
    )
    hardware_compatible: bool = option(
        "The plan loads on every GPU from Ampere on; not for a Jetson.",
        "--hardware-compatible",
        default=False,
        panel=PANEL,
    )

    def __post_init__(self) -> None:
        level = self.optimization_level
        if level is not None and not 0 <= level <= _TOP_LEVEL:
            raise SpecError(f"--opt-level {level} must lie between 0 and {_TOP_LEVEL}.")
        if self.workspace_mib < 1:
            raise SpecError(f"--workspace {self.workspace_mib} must be at least 1, in MiB.")

    @property
    def unusual(self) -> tuple[str, ...]:
        """What differs from the defaults, in words for the name of a bundle."""
        words = {
            f"ws{self.workspace_mib}": self.workspace_mib != USUAL_SETTINGS.workspace_mib,
            f"opt{self.optimization_level}": self.optimization_level is not None,
            "vc": self.version_compatible,
            "hc": self.hardware_compatible,
        }
        return tuple(word for word, given in words.items() if given)


USUAL_SETTINGS = BuilderSettings()
"""What a builder is told where nothing was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a plan is bound to: it loads nowhere else."""

    tensorrt: str
    """Name and version, e.g. 'TensorRT 10.3.0'."""
    capabilities: tuple[int, ...]
    """Compute capabilities, e.g. 87."""
    device: str | None = None
    """Name of the GPU that it was built on; None where it was built without one."""
    cuda: str | None = None
    """Newest CUDA version of that GPU's driver."""
    version_compatible: bool = False
    """Whether later minor versions load it, too; it carries host code."""
    hardware_compatible: bool = False
    """Whether every GPU from Ampere on loads it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """All that a device needs beside the files to build an engine, and to check it."""

    graph: str
    """Name of the ONNX file that the builder takes, with Q/DQ and types as they shall run."""
    golden: str
    """Name of the file with golden frames and what the FP32 device graph makes of them."""
    device: str
    """Name of the device, as `--device` takes it."""
    jetpack: str | None
    tensorrt: str
    """Version that the kit is made for: major.minor."""
    capabilities: tuple[int, ...]
    """Compute capabilities of the device."""
    typed: bool
    """Whether the graph states every type; if not, builder flags do, and `float_layers`."""
    float_layers: tuple[str, ...] = ()
    """Nodes that a weakly typed builder holds in FP32."""
    dla: bool = False
    """Whether DLA core 0 takes what it can."""
    builder: BuilderSettings = USUAL_SETTINGS
    numerics: Mapping[str, Any] = field(default_factory=dict)
    """How far the graph is from its FP32 original, simulated on a CPU."""
    tolerance: AgreementLimits
    """How far an engine may be from the FP32 device graph on the golden frames."""
    min_int8_share: float | None = None
    """Least share of the convolution MACs that an INT8 engine must run in INT8; None: the usual."""
    trtexec: str | None = None
    """The command that builds the plan without this package; None where there is no trtexec."""
    bound: Binding | None = None
    """Of the plan that is there."""
    replay: Agreement | None = None
    """Of the plan that is there; None until it ran."""
