"""From a camera's frame to the network, and from its logits to the mask, as thin products.

What `preprocess` means is linear and works on rows and columns apart: boxes of bytes are summed as
whole numbers, and all else is a product with a matrix whose rows reach over a few pixels each. The
matrices are what `resize` makes of unit vectors, in float64: this module decides nothing about how
a frame is scaled. Against `Preprocess` the result differs by the rounding of float32 alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.model.planes import bytes_of, to_rgb
from lightawnet_edge.model.preprocess import Mask, Preprocess, boxes, normalize, resize
from lightawnet_edge.specs import ColorOrder, Size

_MOST_ROWS, _MOST_FEWER_ROWS = 48, 16
"""Rows of a block, where rows get more and where they get fewer: larger blocks multiply by more
zeros, smaller ones copy more of their input."""
_LEAST_COLUMNS = 32
"""Columns of a block: the last axis of a product, which runs in vectors of 8 or 16 floats."""
_MOST_SUMS = 16
"""Sums of boxes that are made by one product: one vector of integers."""


class ScaledFrame(nn.Module):
    """A `Preprocess` for frames of one size."""

    def __init__(self, plain: Preprocess, picture: Size) -> None:
        """Take over what `plain` does to the `picture`, the part of a frame that it takes."""
        super().__init__()
        self.plain = plain
        kinds = _PLANES.get(plain.color, ((3, (1, 1)),))
        self.planes = nn.ModuleList(ScaledPlane(*kind, picture, plain.size) for kind in kinds)

    def forward(self, frame: Tensor) -> Tensor:
        """As for `Preprocess`: uint8 frame to network input (1, C, h, w)."""
        plain = self.plain
        parts = bytes_of(frame, plain.color, plain.crop)
        scaled = [plane(part) for plane, part in zip(self.planes, parts, strict=True)]
        x = (scaled[0] if len(scaled) == 1 else torch.cat(scaled))[None]
        if plain.color is ColorOrder.BGR:
            x = x.flip(1)
        if plain.yuv is not None:
            x = to_rgb(x, plain.yuv)
        return normalize(x, plain.normalization)


class ScaledPlane(nn.Module):
    """Bytes of one kind to floats of the network's size: boxes, then rows, then columns."""

    def __init__(
        self, channels: int, shared: tuple[int, int], picture: Size, network: Size
    ) -> None:
        """Prepare for one size.

        Args:
            channels: Values of a place.
            shared: Rows and columns of the pixels that such a place stands for.
            picture: Size in pixels.
            network: Size of what comes out.
        """
        super().__init__()
        self.channels, self.height = channels, network.height
        down, rows = _side(picture.height, network.height, shared[0])
        across, columns = _side(picture.width, network.width, shared[1])
        self.boxes = Boxes(down, across, columns.shape[1], channels)
        self.rows, self.columns = Rows(rows), Columns(columns)
        self.scale = 1 / (255 * down * across)

    def forward(self, x: Tensor) -> Tensor:
        """(H, W, C) or (H, W), bytes, to (C, h, w) in [0, 1]."""
        x = self.rows(self.boxes(x)).float()
        x = x.reshape(self.height, -1, self.channels).permute(2, 0, 1)
        scaled: Tensor = self.columns(x) * self.scale
        return scaled


_PLANES: dict[ColorOrder, tuple[tuple[int, tuple[int, int]], ...]] = {
    ColorOrder.GRAY: ((1, (1, 1)),),
    ColorOrder.NV12: ((1, (1, 1)), (2, (2, 2))),
    ColorOrder.YUY2: ((1, (1, 1)), (2, (1, 2))),
}
"""Planes of a frame: values of a place, and pixels that share it; other frames have one of three
values."""


def _side(length: int, target: int, shared: int) -> tuple[int, Tensor]:
    """Boxes that a side is summed in, and the matrix of what is left; in places that pixels share.

    Args:
        length: Of the side, in pixels.
        target: What it becomes.
        shared: Pixels of a place.
    """
    whole = boxes(length, target)[0]
    if whole % shared == 0:
        return whole // shared, side_matrix(length // whole, target)
    return 1, side_matrix(length, target).reshape(target, -1, shared).sum(2)


class ScaledMask(nn.Module):
    """A `Mask` for logits of one size: columns first, which are few, then rows, then a sign."""

    def __init__(self, plain: Mask, network: Size) -> None:
        """Take over what `plain` does to logits of the size of the `network`."""
        super().__init__()
        self.border = plain.border
        self.threshold = plain.threshold
        self.columns = Columns(side_matrix(network.width, plain.size.width))
        self.rows = Rows(side_matrix(network.height, plain.size.height))

    def forward(self, logits: Tensor) -> Tensor:
        """As for `Mask`: logits (1, 1, h, w) to a mask of the frame's size."""
        # Weights of a pixel add up to 1: the threshold may be taken from the few logits.
        above = self.rows(self.columns(logits[0, 0] - self.threshold)) >= 0
        mask = above.to(torch.uint8) * 255
        return mask if self.border is None else F.pad(mask, self.border)


class Boxes(nn.Module):
    """Sums over boxes of whole pixels; exact in float32, as they are whole numbers below 2^24."""

    weight: Tensor

    def __init__(self, down: int, across: int, width: int, channels: int) -> None:
        """`width` is that of the result, in boxes of `down` x `across` pixels."""
        super().__init__()
        self.down, self.across = down, across
        together = max(n for n in range(1, width + 1) if width % n == 0 and _fits(n, channels))
        one = torch.eye(channels).repeat(across, 1)
        self.register_buffer("weight", torch.kron(torch.eye(together), one))

    def forward(self, x: Tensor) -> Tensor:
        """(H, W, C) or (H, W) to (H / down, W / across * C); bytes stay where nothing is summed."""
        height = x.shape[0]
        if self.across > 1:
            x = x.reshape(-1, self.weight.shape[0]).float() @ self.weight
        if self.down > 1:
            return x.reshape(height // self.down, self.down, -1).float().sum(1)
        return x.reshape(height, -1)


def _fits(together: int, channels: int) -> bool:
    return together == 1 or together * channels <= _MOST_SUMS


class Rows(nn.Module):
    """A matrix times rows of pixels, in blocks that read only the rows that they need."""

    index: Tensor
    weight: Tensor

    def __init__(self, matrix: Tensor) -> None:
        """`matrix` is (length, from length); each of its rows has few values beside zeros."""
        super().__init__()
        self.length, count = matrix.shape
        self.same = self.length == count and torch.equal(matrix, torch.eye(count).to(matrix))
        rows = _block(self.length, _MOST_ROWS if self.length > count else _MOST_FEWER_ROWS)
        padded = F.pad(matrix, (0, 0, 0, -self.length % rows))
        blocks = padded.reshape(-1, rows, count)
        reaches = [_reach(block) for block in blocks]
        most = max(end - start for start, end in reaches)
        starts = torch.tensor([min(start, count - most) for start, _ in reaches])
        index = starts[:, None] + torch.arange(most)
        parts = [block[:, at] for block, at in zip(blocks, index, strict=True)]
        self.register_buffer("index", index)
        self.register_buffer("weight", torch.stack(parts).float())

    def forward(self, x: Tensor) -> Tensor:
        """(from length, N) to (length, N)."""
        if self.same:
            return x
        y = (self.weight @ x[self.index].float()).flatten(0, 1)
        return y if len(y) == self.length else y[: self.length]


class Columns(nn.Module):
    """The same along the last axis: where the matrix repeats itself, one block stands for all."""

    index: Tensor
    weight: Tensor

    def __init__(self, matrix: Tensor) -> None:
        """`matrix` is (length, from length)."""
        super().__init__()
        length, count = matrix.shape
        self.same = length == count and torch.equal(matrix, torch.eye(count).to(matrix))
        found = _repeated(matrix)
        self.blocks = found is not None
        index, weight = (torch.zeros(0), matrix) if found is None else found
        self.register_buffer("index", index)
        self.register_buffer("weight", weight.T.contiguous().float())

    def forward(self, x: Tensor) -> Tensor:
        """(..., from length) to (..., length)."""
        if self.same:
            return x
        return (x[..., self.index] @ self.weight).flatten(-2) if self.blocks else x @ self.weight


def side_matrix(length: int, target: int) -> Tensor:
    """What `resize` does to one side: (target, length), float64."""
    units = torch.eye(length, dtype=torch.float64)[:, None, :, None]
    return resize(units, Size(target, 1))[:, 0, :, 0].T.contiguous()


def _block(length: int, most: int) -> int:
    """Rows of a block: the largest divisor that is not too large; padding where all are small."""
    largest = max(n for n in range(1, most + 1) if length % n == 0)
    return largest if 4 * largest > most else most


def _reach(block: Tensor) -> tuple[int, int]:
    """First column of a block that is not zero, and the one behind the last."""
    used = block.abs().amax(0).nonzero().flatten()
    return int(used[0]), int(used[-1]) + 1


def _repeated(matrix: Tensor) -> tuple[Tensor, Tensor] | None:
    """Columns that each block reads, and the one block of weights; None where they differ.

    Beyond an edge the outermost pixel is read again, as interpolation does.
    """
    length, count = matrix.shape
    common = math.gcd(length, count)
    rows = next(
        (n * length // common for n in range(1, common + 1)
         if common % n == 0 and n * length // common >= _LEAST_COLUMNS), length,
    )  # fmt: skip
    blocks, middle = length // rows, length // rows // 2
    if blocks < 3:
        return None
    step = count // blocks
    start, end = _reach(matrix[middle * rows : (middle + 1) * rows])
    first = start - middle * step
    index = (torch.arange(blocks)[:, None] * step + first + torch.arange(end - start)).clamp(
        0, count - 1
    )
    weight = matrix[middle * rows : (middle + 1) * rows, start:end]
    whole = torch.zeros_like(matrix)
    for block, at in enumerate(index):
        whole[block * rows : (block + 1) * rows].index_add_(1, at, weight)
    return (index, weight) if torch.allclose(whole, matrix, rtol=0, atol=1e-9) else None
