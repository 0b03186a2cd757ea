"""From camera frame to network input, in torch: the one definition of preprocessing.

Training, the FP32 baseline and the device graph all go through these functions, so they cannot
drift apart. Every operation exports to operators that ONNX Runtime, OpenVINO and TensorRT take.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.model.planes import planes, to_rgb
from lightawnet_edge.specs import ColorOrder, Normalization, Region, Size, Yuv

_MAX_BILINEAR = 2
"""Bilinear interpolation reads two pixels a side: shrinking by more than this skips pixels."""
_MAX_AFTER_BOXES = 4 / 3
"""Shrinking that may be left after boxes: waves finer than a new pixel then keep at most 0.36 of
their contrast, hardly more than after a box alone (1/3); with 2 it would be 0.59 (measured)."""


def box_factor(length: int, target: int) -> int:
    """Largest divisor of `length` whose box average is still at least `target` pixels long."""
    candidates = range(max(1, length // target), 0, -1)
    return next(factor for factor in candidates if length % factor == 0)


def resize(x: Tensor, size: Size) -> Tensor:
    """Resize (N, C, H, W) to `size` without aliasing; boxes of whole pixels are averaged.

    Sample positions follow the half-pixel convention. Where a side divides well into boxes, they
    are averaged first, and what is left is interpolated. Where it does not (a prime height, say),
    the side is first interpolated to the next multiple of its target, and the boxes are averaged
    last: the geometry is exact in both orders.
    """
    # A tracing exporter gives lengths as tensors, whose `//` rounds negative numbers towards zero.
    height, width = int(x.shape[2]), int(x.shape[3])
    rows, columns = boxes(height, size.height), boxes(width, size.width)
    x = _average(x, (rows[0], columns[0]))
    x = _interpolate(x, Size(size.height * rows[1], size.width * columns[1]))
    return _average(x, (rows[1], columns[1]))


def boxes(length: int, target: int) -> tuple[int, int]:
    """Length of the boxes before and after interpolation; one of them is 1."""
    if length <= _MAX_BILINEAR * target:
        return 1, 1
    first = box_factor(length, target)
    if length / first / target <= _MAX_AFTER_BOXES:
        return first, 1
    return 1, -(-length // target)


def _average(x: Tensor, boxes: tuple[int, int]) -> Tensor:
    return x if boxes == (1, 1) else F.avg_pool2d(x, boxes)


def _interpolate(x: Tensor, size: Size) -> Tensor:
    if (int(x.shape[2]), int(x.shape[3])) == (size.height, size.width):
        return x
    return F.interpolate(x, (size.height, size.width), mode="bilinear", align_corners=False)


def normalize(x: Tensor, normalization: Normalization) -> Tensor:
    """Turn values in [0, 1] of shape (N, C, H, W) into network input."""
    if normalization.method == "minmax":
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        # A frame of one colour has no range: it becomes zeros, not NaN.
        return (x - low) / (high - low).clamp_min(1 / 255)
    return (x - normalization.mean) / normalization.std


class Preprocess(nn.Module):
    """uint8 camera frame, of the shape of its colours, to float network input (1, C, h, w)."""

    def __init__(
        self,
        size: Size,
        normalization: Normalization,
        color: ColorOrder,
        crop: Region | None = None,
        yuv: Yuv | None = None,
    ) -> None:
        """`size` is the network's input; the frame's own size is taken from each frame.

        Args:
            size: Of the network's input.
            normalization: Of its values.
            color: Of the frame.
            crop: Region of the frame that is taken; None takes all of it.
            yuv: What the values of NV12 and YUY2 frames mean.
        """
        super().__init__()
        self.size = size
        self.normalization = normalization
        self.color = color
        self.crop = crop
        self.yuv = yuv

    @classmethod
    def of(cls, contract: Contract) -> Preprocess:
        """What stands before the network in an engine of this contract."""
        return cls(
            contract.network,
            contract.normalization,
            contract.color,
            contract.crop,
            contract.yuv,
        )

    def forward(self, frame: Tensor) -> Tensor:
        """Cut, scale to [0, 1], resize, bring into RGB, normalize."""
        # Floats first of all: TensorRT cuts no bytes.
        parts = planes(frame.float(), self.color, self.crop)
        resized = [resize(x / 255, self.size) for x in parts]
        x = resized[0] if len(resized) == 1 else torch.cat(resized, dim=1)
        if self.color is ColorOrder.BGR:
            x = torch.stack([x[:, 2], x[:, 1], x[:, 0]], dim=1)
        if self.yuv is not None:
            x = to_rgb(x, self.yuv)
        return normalize(x, self.normalization)


class Mask(nn.Module):
    """Logits (1, 1, h, w) to the mask of a frame, uint8, 0 or 255."""

    def __init__(
        self, size: Size, threshold: float, border: tuple[int, int, int, int] | None = None
    ) -> None:
        """Take the probability that makes a pixel foreground.

        Args:
            size: Of the part of the frame that the logits are about.
            threshold: Between 0 and 1.
            border: Pixels to the left, right, above and below that part, which are 0; None where it
                is the whole frame.
        """
        super().__init__()
        self.size = size
        self.border = border
        # Logits are compared, not probabilities: the mask then needs no sigmoid, and is the same.
        self.threshold = math.log(threshold / (1 - threshold))

    def forward(self, logits: Tensor) -> Tensor:
        """Resize, compare, and put what is 0 around it."""
        mask = resize(logits, self.size)[0, 0] >= self.threshold
        # By way of float32: TensorRT and ONNX Runtime select floats, not all of them select bytes,
        # and TensorRT pads no bytes either.
        values = mask.float() * 255
        if self.border is not None:
            values = F.pad(values, self.border)
        return values.to(torch.uint8)
