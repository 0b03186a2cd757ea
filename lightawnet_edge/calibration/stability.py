"""How far INT8 scales would move if a calibration set had half its frames. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from lightawnet_edge.calibration.fit import mismatch
from lightawnet_edge.calibration.ranges import Histogram, Range, clip
from lightawnet_edge.calibration.record import LayerRange, Stability
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.network import DynamicConv, LightAWNet
from lightawnet_edge.model.packaged import name_of, resolve
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.progress import OnStep, Step
from lightawnet_edge.specs import Method

_Ranges = dict[Method, Range]


@torch.no_grad()
def scale_stability(weights: str, files: Sequence[Path], on_step: OnStep) -> Stability:
    """Run the FP32 network on frames, and compare its INT8 ranges with those of the first half.

    Ranges are those that each method gives the inputs of all convolutions but the routing's, which
    never run in INT8. Memory does not grow with the number of frames.

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
    preprocess = Preprocess(meta.size, meta.normalization, meta.color)
    convolutions = _convolutions(model)
    seen = {name: Histogram() for name in convolutions}
    handles = [
        module.register_forward_pre_hook(_count(seen[name]))
        for name, module in convolutions.items()
    ]
    half, of_half = len(files) // 2, dict[str, _Ranges]()

    def inputs() -> Iterator[torch.Tensor]:
        for done, file in enumerate(files, start=1):
            yield preprocess(torch.from_numpy(read_frame(file, meta.color)))
            on_step(Step("measuring scales", done, len(files)))
            if done == half:
                of_half.update(_ranges(seen))

    try:
        strangeness = mismatch(model, inputs())
    finally:
        for handle in handles:
            handle.remove()
    layers = tuple(
        LayerRange(
            layer=name,
            ranges={method: (*ends, *of_half[name][method]) for method, ends in ranges.items()},
        )
        for name, ranges in _ranges(seen).items()
    )
    return Stability(
        weights=name_of(checkpoint),
        frames=len(files),
        half=half,
        layers=layers,
        mismatch=strangeness,
    )


def _convolutions(model: LightAWNet) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | DynamicConv) and not name.endswith(".routing")
    }


def _count(histogram: Histogram) -> Callable[[nn.Module, tuple[object, ...]], None]:
    def hook(_module: nn.Module, inputs: tuple[object, ...]) -> None:
        x = inputs[0]
        assert isinstance(x, torch.Tensor)
        histogram.add(x.numpy())

    return hook


def _ranges(seen: Mapping[str, Histogram]) -> dict[str, _Ranges]:
    """What each method makes of the values until now."""
    return {
        name: {method: clip(histogram, method) for method in Method}
        for name, histogram in seen.items()
    }
