"""How far INT8 scales would move if a calibration set had half its frames. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lightawnet_edge.calibration.record import LayerRange, Stability
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.network import DynamicConv, LightAWNet
from lightawnet_edge.model.packaged import resolve
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.progress import OnStep, Step
from lightawnet_edge.specs import ColorOrder


@torch.no_grad()
def scale_stability(weights: str, files: Sequence[Path], on_step: OnStep) -> Stability:
    """Run the FP32 network on frames, and compare its ranges with those of the first half.

    Ranges are those of the inputs of all convolutions but the routing's, which never run in INT8.
    Memory does not grow with the number of frames.

    Args:
        weights: Checkpoint file, or name of packaged weights.
        files: Two images at least, in the order of their choice.
        on_step: Told of each frame.

    Raises:
        ArtifactError: The checkpoint or an image cannot be read.
    """
    checkpoint = resolve(weights)
    meta = read_metadata(checkpoint)
    model = load_checkpoint(checkpoint).eval()
    color = ColorOrder.GRAY if meta.in_channels == 1 else ColorOrder.RGB
    preprocess = Preprocess(meta.size, meta.normalization, color)
    ranges: dict[str, list[tuple[float, float]]] = {}
    handles = [
        module.register_forward_pre_hook(_keep(ranges.setdefault(name, [])))
        for name, module in _convolutions(model).items()
    ]
    try:
        for done, file in enumerate(files, start=1):
            model(preprocess(torch.from_numpy(read_frame(file, color))))
            on_step(Step("measuring scales", done, len(files)))
    finally:
        for handle in handles:
            handle.remove()
    half = len(files) // 2
    return Stability(
        weights=checkpoint.stem,
        frames=len(files),
        half=half,
        layers=tuple(_compare(name, np.array(found), half) for name, found in ranges.items()),
    )


def _convolutions(model: LightAWNet) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | DynamicConv) and not name.endswith(".routing")
    }


def _keep(ranges: list[tuple[float, float]]) -> Callable[[nn.Module, tuple[object, ...]], None]:
    def hook(_module: nn.Module, inputs: tuple[object, ...]) -> None:
        x = inputs[0]
        assert isinstance(x, torch.Tensor)
        low, high = torch.aminmax(x)
        ranges.append((float(low), float(high)))

    return hook


def _compare(layer: str, ranges: NDArray[np.float64], half: int) -> LayerRange:
    """Ranges of shape (frames, 2): least and greatest value of each."""

    def extremes(part: NDArray[np.float64]) -> tuple[float, float]:
        return float(part[:, 0].min()), float(part[:, 1].max())

    def means(part: NDArray[np.float64]) -> tuple[float, float]:
        return float(part[:, 0].mean()), float(part[:, 1].mean())

    first = ranges[:half]
    return LayerRange(
        layer=layer,
        extremes=(*extremes(ranges), *extremes(first)),
        means=(*means(ranges), *means(first)),
    )
