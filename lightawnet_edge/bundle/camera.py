"""How a camera gives its frames: their size, and the layout and meaning of their bytes."""

from __future__ import annotations

from dataclasses import dataclass

from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import ColorOrder, Matrix, Range, Region, Size, Yuv

SD_LINES = 576
"""Frames of at most so many lines are of standard definition, whose matrix is BT.601; larger ones
are BT.709. So GStreamer and players take video that does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """How a camera gives its frames."""

    size: Size
    """Of the picture; an NV12 frame has half as many rows again."""
    color: ColorOrder
    yuv: Yuv | None = None
    """What the values of NV12 and YUY2 mean; None for all others."""

    def __post_init__(self) -> None:
        if (self.yuv is None) is not (self.color.chroma is None):
            raise SpecError(
                f"Color '{self.color}' "
                + ("needs a matrix and a range." if self.yuv is None else "has no matrix or range.")
            )
        rows, columns = self.color.chroma or (1, 1)
        if self.size.height % rows or self.size.width % columns:
            even = "an even height and width" if rows > 1 else "an even width"
            raise SpecError(f"Frame {self.size} is no {self.color} frame: these have {even}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame as a numpy array."""
        height, width = self.size.height, self.size.width
        match self.color:
            case ColorOrder.GRAY:
                return height, width
            case ColorOrder.NV12:
                return height + height // 2, width
            case ColorOrder.YUY2:
                return height, width, 2
        return height, width, 3

    def check_crop(self, crop: Region) -> None:
        """Refuse a region that does not lie in the frame, or parts pixels that share a colour.

        Raises:
            SpecError: Says what was expected.
        """
        if crop.x + crop.width > self.size.width or crop.y + crop.height > self.size.height:
            raise SpecError(
                f"Region {crop} reaches beyond the frame {self.size}: expected X + WIDTH of "
                f"at most {self.size.width} and Y + HEIGHT of at most {self.size.height}."
            )
        rows, columns = self.color.chroma or (1, 1)
        if crop.y % rows or crop.height % rows or crop.x % columns or crop.width % columns:
            even = "X, Y, WIDTH and HEIGHT" if rows > 1 else "X and WIDTH"
            raise SpecError(
                f"Region {crop} parts pixels that share a colour in {self.color}: {even} must be "
                "even."
            )


def size_of(shape: tuple[int, ...], color: ColorOrder) -> Size | None:
    """Size of the picture that a frame of this shape shows; None where there is no such frame."""
    if len(shape) < 2 or min(shape) < 1:
        return None
    height = shape[0] * 2 // 3 if color is ColorOrder.NV12 else shape[0]
    try:
        size = Size(height, shape[1])
        camera = Camera(size=size, color=color, yuv=usual_yuv(color, size))
    except SpecError:
        return None
    return size if camera.shape == shape else None


def usual_yuv(
    color: ColorOrder, size: Size, matrix: Matrix | None = None, values: Range | None = None
) -> Yuv | None:
    """What YUV values mean where it is not said, or not all of it; None for other colours.

    Capture cards give limited range, and the matrix of the definition: HDMI and SDI carry nothing
    else by default (CTA-861, SMPTE ST 274).
    """
    if color.chroma is None:
        return None
    usual = Matrix.BT601 if size.height <= SD_LINES else Matrix.BT709
    return Yuv(matrix=matrix or usual, range=values or Range.LIMITED)
