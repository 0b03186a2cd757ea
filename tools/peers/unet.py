"""A light U-Net for scale: what a common network of its kind costs through the same engine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.training.hints import Encoder

_WIDTHS = {16: 96, 8: 64, 4: 48, 2: 32}
"""Stride to the channels of the decoder there."""


class LightUNet(nn.Module):
    """EfficientNet-Lite0 (ImageNet weights) and a decoder of two 3x3 convolutions a stride.

    The decoder is not trained: latency does not depend on it, accuracy is not claimed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        maps = self.encoder(torch.zeros(1, 3, 64, 64))
        channels = maps[32].shape[1]
        stages = {}
        for stride, width in _WIDTHS.items():
            stages[str(stride)] = _stage(channels + maps[stride].shape[1], width)
            channels = width
        self.decoder = nn.ModuleDict(stages)
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 1, H, W) of frames (N, 3, H, W) in [0, 1]; H and W multiples of 32."""
        maps = self.encoder(x)
        y = maps[32]
        for stride, stage in self.decoder.items():
            y = stage(torch.cat([_twice(y), maps[int(stride)]], 1))
        return _twice(self.head(y))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _stage(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)
