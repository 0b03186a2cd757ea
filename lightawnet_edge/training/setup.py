"""What a run is set up from: device and processes, network, parameter groups, learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import Tensor, nn
from torch.optim import Optimizer

from lightawnet_edge.errors import BackendUnavailableError, SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.packaged import resolve
from lightawnet_edge.model.routing import freeze, mean_routing, widen
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.muon import Muon

_FINAL_LR = 0.01
"""Share of the peak learning rate that the cosine ends at."""
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""CPU features of x86 and Arm that multiply BF16 natively."""


def rate_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Share of the peak learning rates at a step, counted from 0.

    A linear warm-up, then a cosine to a hundredth.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, config.epochs * steps_per_epoch - warmup)
    return _FINAL_LR + (1 - _FINAL_LR) * (1 + math.cos(math.pi * progress)) / 2


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


class _FloatConv2d(nn.Conv2d):
    """A convolution that autocast leaves alone."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def keep_depthwise_in_float(network: nn.Module) -> None:
    """Take depthwise convolutions out of autocast: in BF16 their gradients are slow on CPUs.

    They are below one percent of the arithmetic.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.__class__ = _FloatConv2d


def make_network(config: TrainConfig, frames: Iterable[Tensor]) -> LightAWNet:
    """A network with seeded weights, or with those of `config.init`.

    Where `init` has another number of experts it is widened, or frozen to a static twin at its mean
    routing over `frames`: network inputs (N, C, H, W), read only then.

    Raises:
        ArtifactError: The checkpoint is missing or broken.
        SpecError: It takes another number of channels, or has experts that cannot become ours.
    """
    if config.init is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return LightAWNet(config.in_channels, experts=config.experts)
    network = load_checkpoint(config.init)
    if network.in_channels != config.in_channels:
        raise SpecError(
            f"--init '{config.init}' takes {network.in_channels} channel(s), this run "
            f"{config.in_channels}. Set --in-channels {network.in_channels}."
        )
    if network.experts == config.experts:
        return network
    if config.experts == 1:
        return freeze(network, mean_routing(network, frames))
    if network.experts == 1:
        return widen(network, config.experts, config.seed)
    raise SpecError(
        f"--init '{config.init}' has {network.experts} experts, this run {config.experts}. "
        f"Set experts = {network.experts}, or 1 to freeze its routing."
    )


def make_teacher(config: TrainConfig) -> LightAWNet | None:
    """The network of `config.teacher`, never trained; None without one.

    Raises:
        ArtifactError: The checkpoint is missing or broken.
        SpecError: It sees other inputs than the network in training.
    """
    if config.teacher is None:
        return None
    meta = read_metadata(resolve(config.teacher))
    if (meta.in_channels, meta.normalization) != (config.in_channels, config.normalization):
        raise SpecError(
            f"teacher '{config.teacher}' takes {meta.in_channels} channel(s) and "
            f"{meta.normalization}, this run {config.in_channels} and {config.normalization}: both "
            "must see the same inputs."
        )
    return load_checkpoint(config.teacher).eval().requires_grad_(False)


def make_optimizers(
    config: TrainConfig, network: nn.Module, others: Iterable[nn.Parameter] = ()
) -> list[Optimizer]:
    """Optimizers that share the parameters; each group keeps its peak rate as `peak_lr`.

    `others` are parameters that are trained beside the network's, by AdamW.

    Muon takes the kernels that mix channels. Depthwise kernels have one row a channel, gates and
    routing have few rows and feed a sigmoid, and the last layer is the classifier: all these, like
    biases and norms, go to AdamW.
    """
    named = dict(network.named_parameters())
    mixing = [name for name in named if config.optimizer == "muon" and _mixes_channels(name, named)]
    rest = [parameter for name, parameter in named.items() if name not in mixing] + [*others]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizers: list[Optimizer] = [torch.optim.AdamW(groups, lr=config.lr)]
    if mixing:
        kernels = [named[name] for name in mixing]
        optimizers.append(Muon(kernels, lr=config.muon_lr, weight_decay=config.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def _mixes_channels(name: str, named: dict[str, nn.Parameter]) -> bool:
    kept = ("depthwise", "gate", "routing")
    return named[name].ndim > 1 and name.split(".")[0] != "out" and not any(k in name for k in kept)
