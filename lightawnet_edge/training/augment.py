"""Augmentation for endoscopy, batch-wise on the training device.

Every frame has its own random numbers, a pure function of (seed, epoch, index of the frame). The
batch that it stands in, the process and an interruption do not change what it looks like.
"""

from __future__ import annotations

from collections.abc import Iterator

import kornia.enhance
import kornia.filters
import kornia.geometry.transform
import numpy as np
import torch
from torch import Tensor

from lightawnet_edge.training.config import AugmentConfig

SPOTS = 4
"""Specular highlights of a frame at most."""
_SPOT_VALUES = 5
_PLACE = 13 + SPOTS * _SPOT_VALUES
_LATER = _PLACE + 2
_DRAWS = _LATER + 4
"""Numbers of a frame. What is added comes last: a run of an earlier version keeps its draws."""
_BLUR_KERNEL = 7


def draw(seed: int, epoch: int, indices: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) for each frame, shape (N, draws), on the device of `indices`."""
    rows = [
        np.random.default_rng((seed, epoch, index)).random(_DRAWS) for index in indices.tolist()
    ]
    return torch.from_numpy(np.stack(rows)).float().to(indices.device)


def augment(
    images: Tensor, masks: Tensor, draws: Tensor, config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """Change frames (N, C, H, W) in [0, 1] and, where pixels move, masks (N, 1, H, W) of 0 and 1.

    What a rotation, zoom or shift brings in from outside is black and background, like the
    surroundings of an endoscope's field of view.
    """
    if config.strength == 0:
        return images, masks
    columns = iter(draws[:, :_PLACE].unbind(1))
    later = iter(draws[:, _LATER:].unbind(1))
    place = draws[:, _PLACE:_LATER]
    images, masks = _move(images, masks, columns, place, next(later), config)
    images = _relight(images, later, config)
    images = _recolor(images, columns, config)
    images = _blur(images, columns, config)
    return _highlight(images, columns, config), masks


def _move(
    images: Tensor,
    masks: Tensor,
    u: Iterator[Tensor],
    place: Tensor,
    stretch: Tensor,
    config: AugmentConfig,
) -> tuple[Tensor, Tensor]:
    both = torch.cat([images, masks], 1)
    for axis in (3, 2):
        both = torch.where(_broad(next(u) < config.flip), both.flip(axis), both)
    turned = _broad(next(u) < config.transpose)
    if both.shape[2] == both.shape[3]:
        both = torch.where(turned, both.mT, both)
    angle = _around(next(u), config.rotation_deg * config.strength)
    zoom = 1 + _around(next(u), min(config.scale * config.strength, 0.9))
    if config.rotation_deg or config.scale or config.shift or config.aspect:
        height, width = both.shape[2:]
        center = both.new_tensor([(width - 1) / 2, (height - 1) / 2]).expand(len(both), 2)
        wider = (1 + _around(stretch, min(config.aspect * config.strength, 0.9))).sqrt()
        zooms = zoom[:, None] * torch.stack([wider, 1 / wider], 1)
        matrix = kornia.geometry.transform.get_rotation_matrix2d(center, angle, zooms)
        shift = _around(place, config.shift * config.strength)
        matrix[:, :, 2] += shift * shift.new_tensor([width, height])
        both = kornia.geometry.transform.warp_affine(both, matrix, (height, width))
    return both[:, :-1], (both[:, -1:] >= 0.5).to(masks.dtype)


def _relight(images: Tensor, u: Iterator[Tensor], config: AugmentConfig) -> Tensor:
    """What another lamp and another processor do before anything else touches the picture."""
    red, blue, curve = (next(u) for _ in range(3))
    if config.white_balance and images.shape[1] == 3:
        reach = min(config.white_balance * config.strength, 0.9)
        gains = (1 + _around(red, reach), torch.ones_like(red), 1 + _around(blue, reach))
        images = (images * torch.stack(gains, 1)[:, :, None, None]).clamp(0, 1)
    if config.gamma:
        # Symmetric in the logarithm: as many frames become darker as brighter.
        exponent = (1 + config.gamma * config.strength) ** _around(curve, 1.0)
        images = images.clamp(0, 1) ** _broad(exponent)
    return images


def _recolor(images: Tensor, u: Iterator[Tensor], config: AugmentConfig) -> Tensor:
    brightness, contrast, saturation, hue = (next(u) for _ in range(4))
    strength = config.strength
    if config.brightness or config.contrast:
        factor = 1 + _around(contrast, config.contrast * strength)
        images = images * _broad(factor) + _broad(_around(brightness, config.brightness * strength))
        images = images.clamp(0, 1)
    if images.shape[1] != 3:
        return images
    if config.saturation:
        factor = 1 + _around(saturation, min(config.saturation * strength, 1.0))
        gray = images.mean(1, keepdim=True)
        images = (gray + (images - gray) * _broad(factor)).clamp(0, 1)
    if config.hue_deg:
        turn = torch.deg2rad(_around(hue, config.hue_deg * strength))
        images = kornia.enhance.adjust_hue(images, turn)
    return images


def _blur(images: Tensor, u: Iterator[Tensor], config: AugmentConfig) -> Tensor:
    chance, width = next(u), next(u)
    chosen = chance < config.blur * config.strength
    if not chosen.any():
        return images
    sigma = (0.3 + 1.2 * width[chosen])[:, None].expand(-1, 2)
    blurred = kornia.filters.gaussian_blur2d(images[chosen], (_BLUR_KERNEL, _BLUR_KERNEL), sigma)
    return images.index_put((chosen,), blurred)


def _highlight(images: Tensor, u: Iterator[Tensor], config: AugmentConfig) -> Tensor:
    """Paint over-exposed, soft-edged ellipses, as wet mucosa throws the light back."""
    chosen = next(u) < config.highlights * config.strength
    count = 1 + (next(u) * SPOTS).floor()
    spots = torch.stack([next(u) for _ in range(SPOTS * _SPOT_VALUES)], 1)
    if not chosen.any():
        return images
    height, width = images.shape[2:]
    y = torch.linspace(0, 1, height, device=images.device)[None, :, None]
    x = torch.linspace(0, 1, width, device=images.device)[None, None, :]
    glare = torch.zeros_like(images[:, 0])
    for number, spot in enumerate(torch.split(spots, _SPOT_VALUES, dim=1)):
        cy, cx, ry, rx, light = (value[:, None, None] for value in spot.unbind(1))
        radii = ((y - cy) / (0.01 + 0.03 * ry)) ** 2 + ((x - cx) / (0.01 + 0.03 * rx)) ** 2
        # A high power of the radius gives a flat top with a short soft edge.
        shape = (0.6 + 0.4 * light) * torch.exp(-(radii**2))
        glare = torch.where((chosen & (number < count))[:, None, None], glare.maximum(shape), glare)
    return images + (1 - images) * glare[:, None]


def _around(u: Tensor, reach: float) -> Tensor:
    """Uniform in [-reach, reach)."""
    return (2 * u - 1) * reach


def _broad(values: Tensor) -> Tensor:
    return values[:, None, None, None]
