"""What learns: the network, its average, optimizers and teacher, and one step of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.model.preprocess import normalize
from lightawnet_edge.training import losses
from lightawnet_edge.training.augment import augment, draw
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.data import TrainingSet
from lightawnet_edge.training.hints import Encoder, Student
from lightawnet_edge.training.setup import (
    keep_depthwise_in_float,
    make_network,
    make_optimizers,
    make_teacher,
)
from lightawnet_edge.training.state import Ema, RunState

CALMER = "Lower --lr, lengthen --warmup-epochs, or train with --precision fp32."
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Learner:
    """A network in training on one device, or this process's copy of it."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        frames: TrainingSet,
        *,
        resumed: bool,
    ) -> None:
        """`frames` freeze the routing of what a static run starts from.

        Raises:
            ArtifactError: A checkpoint to start from, or to learn from, is missing or broken.
            SpecError: It does not fit the run.
        """
        self.config = config
        self.accelerator = accelerator
        self.loss = losses.get(config.loss)
        # A state holds what a run started from, which may not be on this machine.
        start = replace(config, init=None) if resumed else config
        network = make_network(start, self._inputs(frames)).train()
        if accelerator.mixed_precision == "bf16" and accelerator.device.type == "cpu":
            keep_depthwise_in_float(network)
        teacher = make_teacher(config)
        self.teacher = teacher.to(accelerator.device) if teacher else None
        self.ema = Ema(network.to(accelerator.device), config.ema_decay)
        encoder = Encoder().to(accelerator.device) if config.hints else None
        layout = _LAYOUTS[config.memory_format]
        student = Student(network, config.normalization, encoder, layout).to(accelerator.device)
        optimizers = make_optimizers(config, network, student.heads.parameters())
        self.model = accelerator.prepare(student)
        self.optimizers = [accelerator.prepare(optimizer) for optimizer in optimizers]

    def _inputs(self, frames: TrainingSet) -> Iterator[Tensor]:
        """Network inputs, not augmented."""
        for images in torch.split(frames.images, self.config.batch_size):
            yield normalize(images.float() / 255, self.config.normalization)

    @property
    def student(self) -> Student:
        """The network and its heads, without what Accelerate wraps around them."""
        student: Student = self.accelerator.unwrap_model(self.model)
        return student

    def restore(self, state: RunState) -> None:
        """Take over the weights and the momenta of an earlier sitting."""
        self.student.load_state_dict(state.model)
        self.ema.model.load_state_dict(state.ema)
        for optimizer, values in zip(self.optimizers, state.optimizers, strict=True):
            optimizer.load_state_dict(values)
        if self.accelerator.scaler and state.scaler:
            self.accelerator.scaler.load_state_dict(state.scaler)

    def train_mode(self) -> None:
        """Train from here on; batch norms only where the config does not freeze them."""
        self.model.train()
        if self.config.freeze_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def step(
        self, images: Tensor, masks: Tensor, indices: Tensor, *, epoch: int, factor: float
    ) -> Tensor:
        """Make one optimizer step and return the loss of this process's frames."""
        draws = draw(self.config.seed, epoch, indices)
        frames, truth = augment(images.float() / 255, masks.float(), draws, self.config.augment)
        logits, hint_error = self.model(frames)
        loss = self.loss(logits.float(), truth) + self._distillation(frames, logits)
        self.accelerator.backward(loss + self.config.hints * hint_error)
        if self.config.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    def _distillation(self, frames: Tensor, logits: Tensor) -> Tensor:
        """What the teacher adds to the loss of these frames; 0 without one."""
        if self.teacher is None:
            return logits.new_zeros(())
        with torch.no_grad(), self.accelerator.autocast():
            said = self.teacher(normalize(frames, self.config.normalization))
        return losses.distillation(logits.float(), said.float())

    def share_norms(self) -> None:
        """Give the averaged weights the mean of all processes' running statistics."""
        for buffer in self.ema.model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.accelerator.reduce(buffer, "mean"))


def finite(loss: Tensor, epoch: int, number: int) -> float:
    """A loss as a number.

    Raises:
        CheckFailedError: It is not finite.
    """
    value = float(loss)
    if not math.isfinite(value):
        raise CheckFailedError(
            f"The loss is {value} at epoch {epoch + 1}, step {number + 1}. {CALMER}"
        )
    return value
