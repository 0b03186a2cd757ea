"""What to export, and the contract and bundle name that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lightawnet_edge.bundle.camera import usual_yuv
from lightawnet_edge.bundle.contract import THRESHOLD, Contract
from lightawnet_edge.bundle.layers import check_share
from lightawnet_edge.bundle.limits import USUAL, Limits
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS, name_of
from lightawnet_edge.options import option
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Method,
    Precision,
    Range,
    Region,
    Routing,
    Size,
    Target,
    check_network_size,
)
from lightawnet_edge.targets import table
from lightawnet_edge.targets.making import NO_OPTIONS, KitOptions

_AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Crop:
    """Which region of the camera's frame goes through the network."""

    region: Region | None = None
    """None: that of the field of view, as the calibration frames show it."""

    def __str__(self) -> str:
        return _AUTO if self.region is None else str(self.region)

    @classmethod
    def parse(cls, text: str) -> Crop:
        """Read 'X,Y,WIDTH,HEIGHT', or 'auto'."""
        return cls() if text.strip().lower() == _AUTO else cls(Region.parse(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """What to export; two equal specs on equal files give interchangeable bundles."""

    target: Target
    precision: Precision
    weights: str = option("Checkpoint file, or name of packaged weights.", default=DEFAULT_WEIGHTS)
    routing: Routing | None = option(
        "Kernels computed per frame (exact), frozen to the calibration mean, or each as "
        "--max-dice-drop allows. Default: static for INT8, dynamic otherwise.",
        default=None,
        metavar="dynamic|static|auto",
    )
    max_dice_drop: float | None = option(
        "Mean Dice per frame that approximations may cost together, as measured: with --routing "
        f"auto layers that would break it stay dynamic (default {USUAL.routing_dice_drop:g}), with "
        "--int8 the worst layers go back to float until the rest of it holds.",
        default=None,
    )
    frame: Size | None = option(
        "HEIGHTxWIDTH of the camera's frames. Default: the network's input.", default=None
    )
    crop: Crop | None = option(
        "Region X,Y,WIDTH,HEIGHT of the camera's frame that goes through the network: the picture "
        "without the black border; auto: as the frames of --calibration show it. The mask outside "
        "is 0. Needs --frame. Default: all of it.",
        default=None,
        metavar="X,Y,WIDTH,HEIGHT|auto",
    )
    network: Size | None = option(
        "Input size of the network. Default: the checkpoint's.", default=None
    )
    color: ColorOrder | None = option(
        "Layout of the camera's frames: rgb, bgr, gray, nv12 or yuy2. Default: rgb, or gray for a "
        "network of one input channel.",
        default=None,
        metavar="COLOR",
    )
    matrix: Matrix | None = option(
        "Of nv12 and yuy2: bt601 or bt709. Default: bt601 up to 576 lines, bt709 above, as video "
        "is in standard and high definition.",
        default=None,
        metavar="bt601|bt709",
    )
    range: Range | None = option(
        "Of nv12 and yuy2: limited (black is 16, white 235) or full (0 and 255). Default: limited, "
        "as capture cards give it.",
        default=None,
        metavar="limited|full",
    )
    threshold: float = option("Probability from which a pixel is foreground.", default=THRESHOLD)
    probability: bool = option(
        "Leave out the output 'probability': mask alone.", off="--no-probability", default=True
    )
    calibration: Path | None = option(
        "Folder of real frames that set scales and routing, and that the engine is compared on. "
        "Default: packaged samples.",
        default=None,
    )
    out: Path = option("Folder of bundles.", "--out", "-o", default=Path("engines"))
    name: str | None = option("Name of the bundle. Default: made from the request.", default=None)
    force: bool = option(
        "Build again, and replace a bundle of this name.", "--force", default=False
    )
    replace: bool = False
    """Replace a bundle that was made from other inputs, but keep an equal one."""
    method: Method | None = option(
        "How ranges of activations follow from the calibration frames: min-max, percentile, "
        "entropy or mse. Default: the best on held-out frames, or percentile below 64 scenes.",
        default=None,
        metavar="METHOD",
        panel="INT8",
    )
    max_disagreement: float | None = option(
        "Fail when the masks of an engine that is not exact differ from those of FP32 in more of "
        "the pixels. Default: 0.05, and lesions must be found again; 1 takes any.",
        default=None,
    )
    min_int8_share: float | None = option(
        "Fail when less runs in INT8, of the MACs of convolutions with a constant kernel. "
        "Default: 0.90; 0 takes any.",
        default=None,
        panel="INT8",
    )
    kit: KitOptions = NO_OPTIONS
    """What the device is told that the engine is for."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise SpecError(f"threshold={self.threshold} must lie between 0 and 1, both excluded.")
        check_share(self.min_int8_share)
        if self.max_disagreement is not None and not 0 <= self.max_disagreement <= 1:
            raise SpecError(f"--max-disagreement {self.max_disagreement} must lie between 0 and 1.")
        self._check_method()
        self._check_options()
        if self.network is not None:
            check_network_size(self.network)
        if self.crop is not None and self.frame is None:
            raise SpecError(
                f"--crop {self.crop} is a region of the camera's frame, whose size is not known. "
                "Give it with --frame, e.g. --frame 1080x1920."
            )
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
        if self.int8_budgeted or self.routing is Routing.AUTO:
            return
        *probed, last = (name for name, one in table.known().items() if one.can_probe)
        raise SpecError(
            f"--max-dice-drop is the budget of --routing auto, and of --int8 for "
            f"{', '.join(probed)} and {last}. Add one of these, or leave it out."
        )

    @property
    def limits(self) -> Limits:
        """What the engine must hold."""
        if self.max_disagreement is None:
            return USUAL
        asked = self.max_disagreement
        dice = USUAL.approximate.dice if asked < 1 else None
        return replace(
            USUAL, approximate=replace(USUAL.approximate, mask_disagreement=asked, dice=dice)
        )

    @property
    def int8_budgeted(self) -> bool:
        """Whether `max_dice_drop` is also what INT8 may cost: its layers can go back to float."""
        return (
            self.max_dice_drop is not None
            and self.precision is Precision.INT8
            and table.traits_of(self.target).can_probe
        )

    @property
    def routing_budget(self) -> float:
        """Dice that frozen blocks may cost with `auto` routing."""
        return USUAL.routing_dice_drop if self.max_dice_drop is None else self.max_dice_drop

    def _check_method(self) -> None:
        if self.method is not None and self.precision is not Precision.INT8:
            raise SpecError(f"--method {self.method} is for --int8, not --{self.precision}.")

    def _check_options(self) -> None:
        traits, given = table.traits_of(self.target), self.kit.given
        device = (self.kit.device or "").lower()
        of_others = [option for option in given if option not in traits.options]
        if traits.device and device == traits.device:
            of_others.remove("--device")  # which is what the target says
        if not of_others:
            return
        taker = next(name for name, one in table.known().items() if of_others[0] in one.options)
        clause = (
            f": {traits.why_fixed}. Leave it out." if traits.why_fixed else f", not {self.target}."
        )
        raise SpecError(f"{of_others[0]} is for --target {taker}{clause}")

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
    """What the engine takes and gives, a region apart that is still to be found.

    `name` is the checkpoint's, for messages.

    Raises:
        SpecError: The colour order does not fit the network's channels, or the region does not fit
            the frame.
    """
    color, gray = spec.color or meta.color, meta.color is ColorOrder.GRAY
    if (color is ColorOrder.GRAY) is not gray:
        fitting = "gray" if gray else "rgb, bgr, nv12 or yuy2"
        raise SpecError(
            f"Color '{color}' does not fit '{name}', a network of {meta.in_channels} "
            f"input channel{'' if gray else 's'}: expected {fitting}."
        )
    if color.chroma is None and (spec.matrix or spec.range):
        raise SpecError(
            f"--matrix and --range are for nv12 and yuy2 frames, not {color}. Leave them out, or "
            "say which with --color."
        )
    network = spec.network or meta.size
    frame = spec.frame or network
    crop = None if spec.crop is None else spec.crop.region
    whole = crop == Region(0, 0, frame.width, frame.height)
    return Contract(
        frame=frame,
        color=color,
        network=network,
        normalization=meta.normalization,
        threshold=spec.threshold,
        probability=spec.probability,
        crop=None if whole else crop,
        yuv=usual_yuv(color, frame, spec.matrix, spec.range),
    )


def default_name(
    spec: ExportSpec,
    checkpoint: Path,
    contract: Contract,
    unusual: Routing | None,
    device: str | None = None,
) -> str:
    """Weights, target, precision, device of a kit; then what differs from the defaults."""
    parts = [name_of(checkpoint), str(spec.target), str(spec.precision)]
    if device:
        parts.append(device)
    if spec.kit.jetpack:
        parts.append(f"jp{spec.kit.jetpack}")
    if spec.kit.dla:
        parts.append("dla")
    parts += spec.kit.builder.unusual
    if unusual:
        parts.append(str(unusual))
    if spec.network is not None:
        parts.append(f"net{spec.network}")
    return "-".join([*parts, *_of_frames(contract)])


def _of_frames(contract: Contract) -> Iterator[str]:
    """What a bundle's name says of its frames."""
    if contract.frame != contract.network:
        yield str(contract.frame)
    if contract.crop is not None:
        yield f"crop{contract.crop}".replace(",", ".")
    if contract.color not in (ColorOrder.RGB, ColorOrder.GRAY):
        yield str(contract.color)
    usual = usual_yuv(contract.color, contract.frame)
    if contract.yuv is not None and contract.yuv != usual:
        yield f"{contract.yuv.matrix}-{contract.yuv.range}"
