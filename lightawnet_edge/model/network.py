"""LightAWNet in one file: adaptive-weighting segmentation network of dynamic convolutions.

Source: Wang et al., "LightAWNet: Lightweight adaptive weighting network based on dynamic
convolutions for medical image segmentation", J. Appl. Clin. Med. Phys. 2024,
doi 10.1002/acm2.14584. Written from the published facts (shapes, constants, order of operations).

Shapes are (N, C, H, W). Names follow the wiring: encoders e1..e3, a deep branch a4, a5 that is
weighted by a shallow branch b4, b5 and the other way round, non-local attention, decoders u1..u4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.traits import EXPERTS, check_channels
from lightawnet_edge.specs import Size, check_network_size

NEGATIVE_SLOPE = 0.01
"""Slope of every LeakyReLU for negative values."""


class DynamicConv(nn.Module):
    """3x3 convolution whose kernel is a per-image mixture of K experts, then batch norm.

    The mixture weights are sigmoids, not a softmax (CondConv: Yang et al. 2019, arXiv 1904.04971).
    With one expert nothing is mixed: the kernel is the same for every image, and not routed.
    """

    def __init__(self, in_channels: int, out_channels: int, experts: int = EXPERTS) -> None:
        """Draw the bank with a fan-in scale; K sigmoids of about 1/2 mix to a unit-gain kernel."""
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.routing = nn.Conv2d(in_channels, experts, 1) if experts > 1 else None
        self.bank = nn.Parameter(torch.empty(experts, out_channels, in_channels, 3, 3))
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-6)
        # Var(sum_k r_k w_k) = K/4 Var(w) = Var(w) for K = 4 and r = 1/2; and for K = 1 and r = 1.
        nn.init.normal_(self.bank, std=(in_channels * 9) ** -0.5)

    def route(self, x: Tensor) -> Tensor:
        """Mixture weights in (0, 1), shape (N, K); ones (N, 1) for a single expert."""
        if self.routing is None:
            return x.new_ones(len(x), 1)
        return torch.sigmoid(self.routing(x.mean((2, 3), keepdim=True))).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve each image with its own kernel: one convolution with N groups."""
        n, c, h, w = x.shape
        out: Tensor
        if self.routing is None:
            out = self.norm(F.conv2d(x, self.bank[0], padding=1))
            return out
        kernels = torch.einsum("nk,koihw->noihw", self.route(x), self.bank)
        y = F.conv2d(x.reshape(1, n * c, h, w), kernels.flatten(0, 1), padding=1, groups=n)
        out = self.norm(y.reshape(n, self.out_channels, h, w))
        return out


class EncoderBlock(nn.Module):
    """Inverted bottleneck with one spatial gate per pixel, then a dynamic convolution."""

    def __init__(self, in_channels: int, out_channels: int, experts: int = EXPERTS) -> None:
        """Expand `in_channels` fourfold inside."""
        super().__init__()
        wide = 4 * in_channels
        self.depthwise = nn.Conv2d(in_channels, in_channels, 7, padding=3, groups=in_channels)
        self.expand = nn.Conv2d(in_channels, wide, 1)
        self.expand_norm = nn.BatchNorm2d(wide)
        self.gate = nn.Conv2d(wide, 1, 1)
        self.project = nn.Conv2d(2 * wide, in_channels, 1)
        self.dynamic = DynamicConv(in_channels, out_channels, experts)

    def forward(self, x: Tensor) -> Tensor:
        """(N, Cin, H, W) to (N, Cout, H, W)."""
        a = F.leaky_relu(self.expand_norm(self.expand(self.depthwise(x))), NEGATIVE_SLOPE)
        gate = torch.sigmoid(self.gate(a))
        u = self.project(torch.cat([a, a * gate], 1))
        out: Tensor = self.dynamic(u + x)
        return out


class DecoderBlock(nn.Module):
    """Halve the channels, double the resolution, weight the channels, add the skip."""

    def __init__(self, in_channels: int, experts: int = EXPERTS) -> None:
        """`in_channels` come in, half of them go out."""
        super().__init__()
        out_channels = in_channels // 2
        self.reduce = nn.Conv2d(in_channels, out_channels, 1)
        self.reduce_norm = nn.BatchNorm2d(out_channels)
        self.squeeze = nn.Linear(out_channels, out_channels // 8, bias=False)
        self.excite = nn.Linear(out_channels // 8, out_channels, bias=False)
        self.dynamic = DynamicConv(out_channels, out_channels, experts)

    def channel_weights(self, z: Tensor) -> Tensor:
        """Attention in (0, 1) of shape (N, C, 1, 1)."""
        hidden = F.relu(self.squeeze(z.mean((2, 3))))
        return torch.sigmoid(self.excite(hidden))[:, :, None, None]

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, Cin, H, W) and a skip (N, Cin/2, 2H, 2W) to (N, Cin/2, 2H, 2W)."""
        z = F.leaky_relu(self.reduce_norm(self.reduce(x)), NEGATIVE_SLOPE)
        z = F.interpolate(z, scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.dynamic(z * self.channel_weights(z) + skip)
        return out


class NonLocalAttention(nn.Module):
    """Softmax attention over all pixels, not scaled, behind a learned scalar that starts at 0."""

    def __init__(self, channels: int) -> None:
        """Query and key have an eighth of the channels."""
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape; the attention matrix is (N, h*w, h*w)."""
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        mixed: Tensor = value @ attention.transpose(1, 2)
        return self.gamma * mixed.reshape(x.shape) + x


def resize_aligned(x: Tensor, like: Tensor) -> Tensor:
    """Resize `x` to the height and width of `like`; corner pixels keep their values."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


class LightAWNet(nn.Module):
    """The network; its forward pass returns logits."""

    def __init__(self, in_channels: int = 3, out_channels: int = 1, experts: int = EXPERTS) -> None:
        """`in_channels` is 3 for colour, 1 for gray; one output channel per structure.

        `experts` is 4 for LightAWNet as published. With 1 it is the static twin: the same wiring
        with every routing frozen, so that each bank has become one kernel.
        """
        super().__init__()
        check_channels(in_channels)
        for name, value in (("out_channels", out_channels), ("experts", experts)):
            if value < 1:
                raise SpecError(f"{name}={value} must be at least 1.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.experts = experts
        self.e1 = EncoderBlock(in_channels, 16, experts)
        self.e2 = EncoderBlock(16, 32, experts)
        self.e3 = EncoderBlock(32, 64, experts)
        self.a4 = EncoderBlock(64, 128, experts)
        self.b4 = nn.Conv2d(64, 128, 1)
        self.a5 = EncoderBlock(128, 256, experts)
        self.b5 = nn.Conv2d(128, 256, 1)
        self.attention = NonLocalAttention(256)
        self.s4 = nn.Conv2d(256, 128, 1)
        self.u1 = DecoderBlock(256, experts)
        self.u2 = DecoderBlock(128, experts)
        self.u3 = DecoderBlock(64, experts)
        self.u4 = DecoderBlock(32, experts)
        self.out = DynamicConv(16, out_channels, experts)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N, out_channels, H, W) for an input of shape (N, in_channels, H, W).

        Raises:
            SpecError: The channels differ from the network's, or H or W is no multiple of 16.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise SpecError(
                f"Input of shape {tuple(x.shape)} does not fit: "
                f"expected (N, {self.in_channels}, H, W)."
            )
        check_network_size(Size(*x.shape[2:]))
        e1 = self.e1(x)
        e2 = self.e2(F.max_pool2d(e1, 2))
        e3 = self.e3(F.max_pool2d(e2, 2))
        d = F.max_pool2d(e3, 2)
        a4, b4 = self.a4(d), self.b4(d)
        deep = F.max_pool2d(a4, 2)
        a5 = self.a5(deep * torch.sigmoid(resize_aligned(b4, deep)))
        b5 = self.b5(torch.sigmoid(a4) * b4)
        c = self.attention(a5 * torch.sigmoid(resize_aligned(b5, a5)))
        s4 = self.s4(b5 * torch.sigmoid(resize_aligned(a5, b5)))
        u3 = self.u3(self.u2(self.u1(c, s4), e3), e2)
        logits: Tensor = self.out(self.u4(u3, e1))
        return logits

    def probability(self, x: Tensor) -> Tensor:
        """Probability in (0, 1) of each pixel; same shapes as `forward`."""
        return torch.sigmoid(self(x))

    def dynamic_convs(self) -> dict[str, DynamicConv]:
        """The ten dynamic convolutions by the name of their block, in the order of the wiring."""
        return {
            name.partition(".")[0]: module
            for name, module in self.named_modules()
            if isinstance(module, DynamicConv)
        }
