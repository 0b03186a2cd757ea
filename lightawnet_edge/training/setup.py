"""What a run is set up from: device and processes, network, parameter groups, learning rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import nn

from lightawnet_edge.errors import BackendUnavailableError, SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.training.config import TrainConfig

_FINAL_LR = 0.01
"""Share of the peak learning rate that the cosine ends at."""
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""CPU features of x86 and Arm that multiply BF16 natively."""


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up to `config.lr`, then a cosine to a hundredth of it; `step` counts from 0."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, config.epochs * steps_per_epoch - warmup)
    return config.lr * (_FINAL_LR + (1 - _FINAL_LR) * (1 + math.cos(math.pi * progress)) / 2)


def resolve_precision(config: TrainConfig, device: str) -> str:
    """Number format of the matrix work: 'fp32', 'bf16' or 'fp16'.

    Raises:
        SpecError: fp16 was asked for on a CPU, where training in it is not supported.
    """
    if config.precision == "fp16" and device == "cpu":
        raise SpecError("--precision fp16 needs a CUDA device. On a CPU use auto, fp32 or bf16.")
    if config.precision != "auto":
        return config.precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _cpu_has_bf16() else "fp32"


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies BF16 natively; emulated, it is slower than FP32."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and not _BF16_FLAGS.isdisjoint(info.read_text(encoding="utf-8").split())


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Join the processes of this run, one or many, on the device and in the precision asked for.

    Raises:
        BackendUnavailableError: CUDA was asked for and is not here.
        SpecError: The precision does not fit the device, or the batch the number of processes.
    """
    cuda = torch.cuda.is_available()
    if config.device == "cuda" and not cuda:
        raise BackendUnavailableError(
            "cuda", "torch sees no CUDA device. Use --device auto or cpu."
        )
    device = "cuda" if cuda and config.device != "cpu" else "cpu"
    precision = resolve_precision(config, device)
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        # Each process takes its share of a batch, so that batch_size is the global batch.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    if config.batch_size % accelerator.num_processes:
        raise SpecError(
            f"batch_size={config.batch_size} does not divide among {accelerator.num_processes} "
            f"processes. Choose a multiple of {accelerator.num_processes}."
        )
    return accelerator


def make_network(config: TrainConfig) -> LightAWNet:
    """A network with seeded weights, or with those of `config.init`.

    Raises:
        ArtifactError: The checkpoint is missing or broken.
        SpecError: It takes another number of channels.
    """
    if config.init is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return LightAWNet(config.in_channels)
    network = load_checkpoint(config.init)
    if network.in_channels != config.in_channels:
        raise SpecError(
            f"--init '{config.init}' takes {network.in_channels} channel(s), this run "
            f"{config.in_channels}. Set --in-channels {network.in_channels}."
        )
    return network


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay kernels; leave biases, norms and single scalars alone."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
