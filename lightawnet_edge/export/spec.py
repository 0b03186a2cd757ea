"""What to export, and the contract and bundle name that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import USUAL_SETTINGS, BuilderSettings
from lightawnet_edge.bundle.layers import check_share
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS
from lightawnet_edge.specs import (
    TENSORRT_TARGETS,
    ColorOrder,
    Method,
    Precision,
    Routing,
    Size,
    Target,
    check_network_size,
)
from lightawnet_edge.targets.tensorrt.devices import RTX

MAX_DICE_DROP = 0.005
"""Usual budget of `auto` routing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRtOptions:
    """What an export for TensorRT may be told; for other targets all of it stays unset."""

    device: str | None = None
    """As `targets.tensorrt.devices` names it; None: this machine's, or else a Jetson Orin."""
    jetpack: str | None = None
    """Version of its system software; None: the usual one."""
    dla: bool = False
    """Whether DLA core 0 takes what it can."""
    must_build: bool = False
    """Whether it is an error to leave the engine to the device."""
    builder: BuilderSettings = USUAL_SETTINGS
    check: Path | None = None
    """Frames to compare the typed graph with FP32 on; None: the packaged evaluation frames, or with
    `calibration` that set itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """What to export; two equal specs on equal files give interchangeable bundles."""

    target: Target
    precision: Precision
    weights: str = DEFAULT_WEIGHTS
    """Checkpoint file, or name of packaged weights."""
    routing: Routing | None = None
    """None: static for INT8, dynamic otherwise."""
    frame: Size | None = None
    """Size of the camera's frames; None takes the network's input size."""
    network: Size | None = None
    """Input size of the network; None takes the checkpoint's."""
    color: ColorOrder | None = None
    """None: RGB, or gray for a network of one input channel."""
    threshold: float = 0.5
    probability: bool = True
    """Whether the engine has the output `probability` beside the mask."""
    calibration: Path | None = None
    """Frames for static routing, INT8 scales and the comparison; None: packaged samples."""
    out: Path = Path("engines")
    name: str | None = None
    """Name of the bundle's folder; None: weights, target, precision, and what is special."""
    force: bool = False
    """Build again where an equal bundle stands, replace where another one does."""
    replace: bool = False
    """Replace a bundle that was made from other inputs, but keep an equal one."""
    min_int8_share: float | None = None
    """Least share that an INT8 engine runs in INT8, of the MACs of convolutions with a constant
    kernel; None: 0.90. 0 takes any."""
    max_dice_drop: float | None = None
    """Mean Dice per frame that approximations may cost together: frozen blocks with `auto` routing,
    for which None is `MAX_DICE_DROP`; then INT8, whose worst layers go back to float until the rest
    of the budget holds, and which None leaves alone."""
    method: Method | None = None
    """How ranges of INT8 activations follow from the calibration frames; None: the best on frames
    held out for that, or percentile where these are few."""
    tensorrt: TensorRtOptions = TensorRtOptions()

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise SpecError(f"threshold={self.threshold} must lie between 0 and 1, both excluded.")
        check_share(self.min_int8_share)
        self._check_method()
        self._check_tensorrt()
        if self.network is not None:
            check_network_size(self.network)
        self._check_budget()
        if self.name is not None and (
            self.name in ("", ".", "..") or Path(self.name).name != self.name
        ):
            raise SpecError(f"Bundle name '{self.name}' must be a plain folder name.")

    def _check_budget(self) -> None:
        if self.max_dice_drop is None:
            return
        if not 0 <= self.max_dice_drop <= 1:
            raise SpecError(f"--max-dice-drop {self.max_dice_drop} must lie between 0 and 1.")
        spends = self.precision is Precision.INT8 and self.target not in TENSORRT_TARGETS
        if not spends and self.routing is not Routing.AUTO:
            raise SpecError(
                "--max-dice-drop is the budget of --routing auto, and of --int8 for onnx and "
                "openvino. Add one of these, or leave it out."
            )

    @property
    def routing_budget(self) -> float:
        """Dice that frozen blocks may cost with `auto` routing."""
        return MAX_DICE_DROP if self.max_dice_drop is None else self.max_dice_drop

    def _check_method(self) -> None:
        if self.method is not None and self.precision is not Precision.INT8:
            raise SpecError(f"--method {self.method} is for --int8, not --{self.precision}.")

    def _check_tensorrt(self) -> None:
        options, builder = self.tensorrt, self.tensorrt.builder
        of_device = {
            "--device": options.device,
            "--jetpack": options.jetpack,
            "--dla": options.dla,
        }
        if self.target is Target.TENSORRT_RTX and (options.device or "").lower() == RTX:
            of_device.pop("--device")  # which is what the target says
        named = [name for name, value in of_device.items() if value]
        if self.target is Target.TENSORRT_RTX and named:
            raise SpecError(
                f"{named[0]} is for --target tensorrt: TensorRT-RTX engines are portable over the "
                "GPUs that they are built for. Leave it out."
            )
        of_builder = {
            "--check": options.check is not None,
            "--must-build": options.must_build,
            "--workspace": builder.workspace_mib != USUAL_SETTINGS.workspace_mib,
            "--opt-level": builder.optimization_level is not None,
            "--version-compatible": builder.version_compatible,
            "--hardware-compatible": builder.hardware_compatible,
        }
        named += [name for name, value in of_builder.items() if value]
        if self.target not in TENSORRT_TARGETS and named:
            raise SpecError(f"{named[0]} is for --target tensorrt, not {self.target}.")

    def routing_for(self, experts: int) -> Routing:
        """The routing that an engine from weights of so many experts has.

        Raises:
            SpecError: Dynamic routing was asked for, and there is nothing to route.
        """
        if experts > 1:
            return self.routing or self.usual_routing
        if self.routing is Routing.DYNAMIC:
            raise SpecError(
                f"'{self.weights}' is a static twin: its kernels are the same for every frame. "
                "Leave --routing out, or take --weights with dynamic routing."
            )
        return Routing.STATIC

    @property
    def usual_routing(self) -> Routing:
        """The routing of dynamic weights where none was asked for."""
        return Routing.STATIC if self.precision is Precision.INT8 else Routing.DYNAMIC


def contract_of(spec: ExportSpec, name: str, meta: CheckpointMeta) -> Contract:
    """What the engine takes and gives; `name` is the checkpoint's, for messages.

    Raises:
        SpecError: The colour order does not fit the network's channels.
    """
    gray = meta.in_channels == 1
    color = spec.color or (ColorOrder.GRAY if gray else ColorOrder.RGB)
    if (color is ColorOrder.GRAY) != gray:
        raise SpecError(
            f"Color '{color}' does not fit '{name}', a network of {meta.in_channels} "
            f"input channel{'' if gray else 's'}: expected {'gray' if gray else 'rgb or bgr'}."
        )
    network = spec.network or meta.size
    return Contract(
        frame=spec.frame or network,
        color=color,
        network=network,
        normalization=meta.normalization,
        threshold=spec.threshold,
        probability=spec.probability,
    )


def default_name(
    spec: ExportSpec,
    checkpoint: Path,
    contract: Contract,
    unusual: Routing | None,
    device: str | None = None,
) -> str:
    """Weights, target, precision, device of a kit; then what differs from the defaults."""
    parts = [checkpoint.stem, str(spec.target), str(spec.precision)]
    if device:
        parts.append(device)
    if spec.tensorrt.jetpack:
        parts.append(f"jp{spec.tensorrt.jetpack}")
    if spec.tensorrt.dla:
        parts.append("dla")
    parts += spec.tensorrt.builder.unusual
    if unusual:
        parts.append(str(unusual))
    if spec.network is not None:
        parts.append(f"net{spec.network}")
    if contract.frame != contract.network:
        parts.append(str(contract.frame))
    if contract.color is ColorOrder.BGR:
        parts.append("bgr")
    return "-".join(parts)
