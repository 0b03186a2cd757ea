"""What to train, on what, and how: a frozen value that reads and writes TOML; imports no torch."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.codec import CodecError, decode, encode, json_text
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.options import option
from lightawnet_edge.specs import Normalization, Size, check_network_size

CONFIG = "config.toml"
"""Name of the resolved config in a run folder."""
LOSSES = ("bce-dice", "bce")
OPTIMIZERS = ("muon", "adamw")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")
MEMORY_FORMATS = ("contiguous", "channels_last")
MAX_WEIGHT = 100.0
"""An epoch shows a frame this often at most."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key of TOML that needs no quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How far a training frame may be changed; every change is drawn anew per frame and epoch."""

    strength: float = 1.0
    """Multiplies every range and chance below, flips apart; 0 turns all augmentation off."""
    flip: float = 0.5
    """Chance of a horizontal flip, and of a vertical one."""
    transpose: float = 0.5
    """Chance that rows and columns are exchanged (square network inputs alone)."""
    rotation_deg: float = 15.0
    """Rotation by up to this many degrees, either way."""
    scale: float = 0.15
    """Zoom between 1 - this and 1 + this."""
    aspect: float = 0.0
    """Stretch of the width against the height, between 1 - this and 1 + this, at equal area."""
    shift: float = 0.0
    """Move by up to this share of the height and of the width, either way."""
    brightness: float = 0.1
    """Added to all channels, up to this share of full scale, either way."""
    contrast: float = 0.1
    """Contrast factor between 1 - this and 1 + this."""
    saturation: float = 0.1
    """Saturation factor between 1 - this and 1 + this (colour frames)."""
    hue_deg: float = 5.0
    """Hue rotation by up to this many degrees, either way (colour frames)."""
    white_balance: float = 0.0
    """Gain of red and of blue against green, between 1 - this and 1 + this (colour frames)."""
    gamma: float = 0.0
    """Exponent of the values, between 1 / (1 + this) and 1 + this."""
    blur: float = 0.1
    """Chance of a Gaussian blur with a standard deviation of 0.3 to 1.5 pixels."""
    highlights: float = 0.1
    """Chance of one to four specular highlights."""

    def __post_init__(self) -> None:
        for name in ("strength", "rotation_deg", "hue_deg"):
            if getattr(self, name) < 0:
                raise SpecError(f"augment.{name}={getattr(self, name)} must not be negative.")
        for name in (
            "flip", "transpose", "scale", "aspect", "shift", "brightness", "contrast", "saturation",
            "white_balance", "gamma", "blur", "highlights",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < 1:
                raise SpecError(f"augment.{name}={getattr(self, name)} must be in [0, 1).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Epochs at a smaller size at the start of a run: most of the learning for less time."""

    size: Size
    epochs: int

    def __post_init__(self) -> None:
        check_network_size(self.size)
        if self.epochs < 1:
            raise SpecError(f"phases.epochs={self.epochs} must be at least 1.")


def _check_weight(name: str, value: float) -> None:
    if not 0 < value <= MAX_WEIGHT:
        raise SpecError(f"{name}={value} must be above 0, at most {MAX_WEIGHT:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreData:
    """Another folder of frames and masks to train on; nothing of it is validated on."""

    data: Path
    """Folder with images/ and masks/, of equal stems."""
    split: Path | None = None
    """File with the stems to train on, one a line. Default: all."""
    weight: float = 1.0
    """How often an epoch shows each of its frames; 0.5 shows every other one, drawn anew."""

    def __post_init__(self) -> None:
        _check_weight("more.weight", self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run; equal configs on equal data give equal weights on one machine."""

    data: Path = option("Folder with images/ and masks/, of equal stems.")
    out: Path = option("Run folder.", "--out", "-o")
    split: Path | None = option(
        "File with the stems to train on, one a line. Default: all that are not for validation.",
        default=None,
    )
    val_split: Path | None = option(
        "File with the stems to validate on. Default: what --split leaves out, or a share that "
        "is drawn: frames that are alike stay on one side.",
        default=None,
    )
    groups: Path | None = option(
        "CSV file 'stem,group', e.g. by patient: a group stays on one side.",
        default=None,
    )
    val_fraction: float = option(
        "Share of frames for validation, where no split file is given.",
        default=0.1,
    )
    dev_fraction: float = option(
        "Share of the training frames, cut by scene or group, on which the best epoch is chosen; "
        "the validation frames are then scored once, at the end. 0: chosen on the latter.",
        default=0.0,
    )
    weight: float = 1.0
    """How often an epoch shows each training frame of `data`."""
    more: tuple[MoreData, ...] = ()
    """Further folders to train on."""
    in_channels: int = option("3 for colour, 1 for gray.", default=3)
    experts: int = 4
    """Kernels in each bank. 4: LightAWNet. 1: its static twin, whose kernels are not routed."""
    size: Size = option(
        "Network input that the weights are for, HEIGHTxWIDTH; multiples of 16.",
        default=Size(256, 256),
    )
    phases: tuple[Phase, ...] = ()
    """Sizes of the first epochs, in turn; the epochs that are left have `size`."""
    normalization: Normalization = field(default_factory=Normalization)
    epochs: int = option("Passes over the data.", default=60)
    batch_size: int = option("Frames per optimizer step, over all processes.", default=8)
    optimizer: str = "muon"
    """'muon' for the kernels and 'adamw' for the rest, or 'adamw' for all."""
    lr: float = option("Learning rate of AdamW at the end of the warm-up.", default=2e-3)
    muon_lr: float = 0.02
    """The same for Muon."""
    warmup_epochs: float = option(
        "Learning rates rise linearly for this long, then fall on a cosine to a hundredth.",
        default=1.0,
    )
    weight_decay: float = 1e-2
    """Decay of kernels, times the learning rate, per step; biases and norms are left alone."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 turns that off."""
    ema_decay: float = 0.99
    """Per step; validation and checkpoints use the averaged weights. 0 turns averaging off."""
    loss: str = option("'bce-dice', or 'bce' as in the paper.", default="bce-dice")
    hints: float = 0.5
    """Weight of the hints of a pretrained encoder beside the loss; 0 trains on masks alone."""
    patience: int = option(
        "Stop after this many epochs without a better validation Dice; 0: never.",
        default=0,
    )
    precision: str = option(
        "auto, fp32, bf16, or fp16 on CUDA; auto is bf16 where the device computes it natively.",
        default="auto",
    )
    device: str = option("auto, cpu or cuda.", default="auto")
    memory_format: str = option(
        "contiguous, or channels_last: the layout of feature maps in training.",
        default="contiguous",
    )
    threads: int = option("CPU threads per process; 0: torch's choice.", default=0)
    seed: int = option("Seed of everything random.", default=0)
    init: str | None = option("Checkpoint, or packaged weights, to start from.", default=None)
    teacher: str | None = None
    """Checkpoint (file or packaged name) whose probabilities are learned beside the masks."""
    freeze_norm: bool = False
    """Keep the statistics of batch norms as they are (for fine-tuning and tiny batches)."""
    training_data: str = ""
    """Name, version and attribution of the data, for the checkpoint's metadata."""
    license: str = "unknown"
    """Terms under which the weights may be used, for the checkpoint's metadata."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        check_network_size(self.size)
        if self.in_channels not in (1, 3):
            raise SpecError(f"in_channels={self.in_channels} must be 1 (gray) or 3 (colour).")
        self._check_choices()
        self._check_ranges()
        self._check_phases()

    def _check_choices(self) -> None:
        choices = {
            "loss": LOSSES,
            "optimizer": OPTIMIZERS,
            "precision": PRECISIONS,
            "device": DEVICES,
            "memory_format": MEMORY_FORMATS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SpecError(
                    f"Unknown {name} '{getattr(self, name)}'. Known: {', '.join(known)}."
                )

    def _check_ranges(self) -> None:
        for name in ("experts", "epochs", "batch_size", "lr", "muon_lr"):
            if not getattr(self, name) > 0:
                raise SpecError(f"{name}={getattr(self, name)} must be greater than 0.")
        for name in (
            "warmup_epochs", "weight_decay", "clip_norm", "hints", "patience", "threads", "seed",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise SpecError(f"{name}={getattr(self, name)} must not be negative.")
        if not 0 < self.val_fraction < 1:
            raise SpecError(f"val_fraction={self.val_fraction} must be between 0 and 1.")
        for name in ("ema_decay", "dev_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)} must be in [0, 1).")
        _check_weight("weight", self.weight)

    def _check_phases(self) -> None:
        early = sum(phase.epochs for phase in self.phases)
        if early >= self.epochs:
            raise SpecError(
                f"The phases take {early} of {self.epochs} epochs and leave none at {self.size}. "
                "Raise epochs, or shorten the phases."
            )

    def size_at(self, epoch: int) -> Size:
        """Network input of an epoch, counted from 0."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase.size
            epoch -= phase.epochs
        return self.size


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file into plain values.

    Raises:
        ArtifactError: The file is missing or is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    if not path.is_file():
        raise ArtifactError(f"No config '{path}'.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"Config '{path}' is not TOML: {error}.") from error


def resolve(file: Path | None, flags: Mapping[str, Any], *, resume: bool = False) -> TrainConfig:
    """Lay flags over a TOML file over the defaults; a flag that is None was not given.

    `flags` takes the keys of the TOML file; a nested mapping changes only the keys that it names.
    To resume, `out` is enough: the config that was saved there serves as the file.

    Raises:
        ArtifactError: The file is missing or is not TOML.
        SpecError: A key is unknown, of a wrong type or out of range, or `data` or `out` lacks.
    """
    if resume and file is None and flags.get("out"):
        saved = Path(flags["out"]) / CONFIG
        file = saved if saved.is_file() else None
    usual = {"normalization": encode(Normalization())}  # a file may name one of its values alone
    try:
        given = _laid_over(_laid_over(usual, read_toml(file) if file else {}), encode(flags))
        for needed in ("data", "out"):
            if needed not in given:
                raise SpecError(
                    f"Training needs '{needed}': give --{needed}, or set it in the TOML file."
                )
        return decode(TrainConfig, given)
    except CodecError as error:
        raise SpecError(f"The training config cannot be used: {error}.") from error


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        if isinstance(value, Mapping):
            below = merged.get(key, {})
            merged[key] = _laid_over(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            merged[key] = value
    return merged


def to_toml(config: TrainConfig) -> str:
    """Text that `resolve` turns into an equal config: tables last, None left out."""
    plain = {key: value for key, value in encode(config).items() if value is not None}
    tables = {key: value for key, value in plain.items() if _is_table(value)}
    lines = [_assignment(key, value) for key, value in plain.items() if key not in tables]
    for key, value in tables.items():
        array = isinstance(value, list)
        for part in value if array else [value]:
            lines += ["", f"[[{key}]]" if array else f"[{key}]"]
            lines += [_assignment(*item) for item in part.items() if item[1] is not None]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value[0] if value and isinstance(value, list) else value, dict)


def _assignment(key: str, value: object) -> str:
    return f"{key if _BARE.fullmatch(key) else _toml(key)} = {_toml(value)}"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(_assignment(*item) for item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's strings, numbers and booleans are TOML's too, as long as DEL stays escaped.
    return json_text(value).replace("\x7f", "\\u007f")
