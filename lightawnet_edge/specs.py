"""The words of the package as types: small, frozen, refused at birth when they make no sense."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, TypeVar

from lightawnet_edge.codec import NEEDED
from lightawnet_edge.errors import SpecError

STRIDE = 16
"""Total stride of LightAWNet: its input height and width are multiples of this many pixels."""
MAX_SIDE = 32768
"""Longest side of a frame, in pixels: four times that of an 8K camera."""

_E = TypeVar("_E", bound="_Word")


class _Word(str, Enum):
    """A closed vocabulary whose members are written as they are typed on the command line."""

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def parse(cls: type[_E], text: str) -> _E:
        """Read a member from its text, or raise a SpecError that lists all of them."""
        try:
            return cls(text.lower())
        except ValueError:
            known = ", ".join(str(member) for member in cls)
            raise SpecError(f"Unknown {cls.__name__.lower()} '{text}'. Known: {known}.") from None


class Precision(_Word):
    """Number format in which convolutions are requested to run, or were executed."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"


class Target(str):
    """What an engine is built for: an open vocabulary, whose words `targets.table` knows."""

    __slots__ = ()
    ONNX: ClassVar[Target]
    OPENVINO: ClassVar[Target]
    TENSORRT: ClassVar[Target]
    TENSORRT_RTX: ClassVar[Target]

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a target as it is typed on the command line; whether there is one shows later."""
        return cls(text.strip().lower())


Target.ONNX = Target("onnx")
Target.OPENVINO = Target("openvino")
Target.TENSORRT = Target("tensorrt")
Target.TENSORRT_RTX = Target("tensorrt-rtx")


class Routing(_Word):
    """How a dynamic convolution picks its kernel."""

    DYNAMIC = "dynamic"
    STATIC = "static"
    AUTO = "auto"


class Method(_Word):
    """How the range of an activation, which its 256 INT8 steps cover, follows from its values."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    MSE = "mse"


class State(_Word):
    """How far the engine of a bundle has come."""

    PENDING = "pending"
    """There is none yet: the bundle is a kit."""
    UNCHECKED = "unchecked"
    """It is there and never ran: its golden frames were not replayed."""
    BUILT = "built"
    """It is there, and gave what was expected of it."""


class Scaling(_Word):
    """How a device graph scales frames to the network, and masks back; all mean the same."""

    RESIZE = "resize"
    """As it is defined: pooling and Resize."""
    PRODUCTS = "products"
    """Products with matrices: see `model.scaling`."""
    INTEGERS = "integers"
    """The same, and boxes of bytes are summed as integers."""


class Condition(_Word):
    """What a watchdog says of a stream's last mask."""

    WAITING = "waiting"
    """There is none yet, or none since a restart."""
    OK = "ok"
    LATE = "late"
    """It came after its deadline."""
    STALE = "stale"
    """It is of a picture that is gone."""
    FROZEN = "frozen"
    """The engine repeats itself though frames change."""
    BAD_NUMBERS = "bad-numbers"
    """Its probabilities are not finite, or not within 0 and 1."""
    HUNG = "hung"
    """A call does not end, or its process is gone."""


class Reaction(_Word):
    """What a stream does in a condition."""

    SHOW = "show"
    """The mask is on the screen."""
    HIDE = "hide"
    """No mask is on the screen."""
    RESTART = "restart"
    """The same, and the engine's process is killed and started again."""
    STOP = "stop"
    """The stream ends, and says why."""


class ColorOrder(_Word):
    """How the bytes of a camera frame of height H and width W are laid out."""

    RGB = "rgb"
    """(H, W, 3)."""
    BGR = "bgr"
    """(H, W, 3)."""
    GRAY = "gray"
    """(H, W)."""
    NV12 = "nv12"
    """(H * 3 / 2, W): H rows of luma, then a U and a V in turn, one pair for 2x2 pixels."""
    YUY2 = "yuy2"
    """(H, W, 2): the luma of each pixel, then U or V in turn, one pair for two pixels of a row."""

    @property
    def chroma(self) -> tuple[int, int] | None:
        """Rows and columns of the pixels that share a U and a V; None where there are none."""
        return {"nv12": (2, 2), "yuy2": (1, 2)}.get(self.value)


class Matrix(_Word):
    """Which mixture of red, green and blue the luma of a YUV frame is."""

    BT601 = "bt601"
    BT709 = "bt709"


class Range(_Word):
    """Which values of a YUV frame are black and white: 16 and 235, or 0 and 255."""

    LIMITED = "limited"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Yuv:
    """What the values of a YUV frame mean."""

    matrix: Matrix
    range: Range


@dataclass(frozen=True, slots=True)
class Size:
    """Height and width of a frame or of a network input, in pixels."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise SpecError(f"Size {self} is not positive. Give HEIGHTxWIDTH, e.g. 1080x1920.")
        if max(self.height, self.width) > MAX_SIDE:
            raise SpecError(f"Size {self} is too large: a side has at most {MAX_SIDE} pixels.")

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read 'HEIGHTxWIDTH', or one number for a square."""
        parts = text.lower().split("x")
        if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
            raise SpecError(f"'{text}' is no size. Give HEIGHTxWIDTH in pixels, e.g. 1080x1920.")
        return cls(int(parts[0]), int(parts[-1]))


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a frame, in pixels."""

    x: int
    """Column of its left edge."""
    y: int
    """Row of its upper edge."""
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.x, self.y) < 0 or min(self.width, self.height) <= 0:
            raise SpecError(
                f"Region {self} is none: expected X and Y of at least 0, WIDTH and HEIGHT of at "
                "least 1."
            )

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read 'X,Y,WIDTH,HEIGHT'."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(part.isdecimal() and part.isascii() for part in parts):
            raise SpecError(
                f"'{text}' is no region. Give X,Y,WIDTH,HEIGHT in pixels, e.g. 480,0,1080,1080."
            )
        return cls(*map(int, parts))

    @property
    def size(self) -> Size:
        """Its height and width."""
        return Size(self.height, self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, as arrays (H, W, ...) are indexed."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def check_network_size(size: Size) -> None:
    """Refuse a network input whose sides are not multiples of STRIDE, and name the nearest."""
    if size.height % STRIDE == 0 and size.width % STRIDE == 0:
        return
    below, above = (
        Size(
            max(STRIDE, rounding(size.height / STRIDE) * STRIDE),
            max(STRIDE, rounding(size.width / STRIDE) * STRIDE),
        )
        for rounding in (math.floor, math.ceil)
    )
    raise SpecError(
        f"Network input {size} does not fit: height and width must be multiples of {STRIDE}, the "
        f"network's total stride. The nearest that fit are {below} and {above}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """How pixel values become network input, after scaling to [0, 1]."""

    method: str = field(default="standard", metadata=NEEDED)
    """'standard': (x - mean) / std. 'minmax': (x - min) / (max - min) of each image."""
    mean: float = field(default=0.5, metadata=NEEDED)
    """Subtracted from [0, 1] values; the same for every channel. Ignored by 'minmax'."""
    std: float = field(default=0.25, metadata=NEEDED)
    """Divides the centred values; greater than 0. Ignored by 'minmax'."""

    def __post_init__(self) -> None:
        if self.method not in ("standard", "minmax"):
            raise SpecError(f"Unknown normalization '{self.method}'. Known: standard, minmax.")
        if not self.std > 0:
            raise SpecError(f"Normalization std={self.std} must be greater than 0.")
