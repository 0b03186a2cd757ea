"""What freezing the routing costs: block by block, on real frames with their truth.

A dynamic convolution mixes K kernels anew for every frame. Where the mixture hardly varies, its
mean serves as well, and the convolution can run in INT8. How much it varies, and what each block's
mean alone costs, is measured here; `choose` freezes the cheapest blocks within a budget of Dice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightawnet_edge.errors import SpecError
from lightawnet_edge.metrics import score_mask
from lightawnet_edge.model.network import DynamicConv, LightAWNet
from lightawnet_edge.model.routing import frozen

Labelled = Callable[[], Iterable[tuple[Tensor, NDArray[np.bool_]]]]
"""Starts over with each call: network input (1, C, h, w) and truth (h, w)."""
Narrate = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStudy:
    """One dynamic convolution over the frames of a study."""

    block: str
    mean: tuple[float, ...]
    """Mixture weight of each expert, averaged over frames."""
    spread: tuple[float, ...]
    """Its standard deviation over frames."""
    varying_energy: float
    """Share of the mixed kernel's squared norm that lies in its deviation from the mean kernel."""
    dice_cost: float
    """Mean Dice lost per frame when this block alone is frozen; negative where Dice rises."""
    snr_db: float
    """Variance of the dynamic network's logits over the mean squared change, in decibels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One step of `choose`."""

    block: str
    frozen: bool
    dice_drop: float
    """Mean Dice lost per frame against the dynamic network, with this block and all that were
    frozen before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingStudy:
    """All dynamic convolutions of a network."""

    frames: int
    dice: float
    """Mean Dice of the dynamic network, at network size."""
    blocks: tuple[BlockStudy, ...]

    @property
    def routing(self) -> dict[str, Tensor]:
        """Mean mixture weights (K,) by block."""
        return {block.block: torch.tensor(block.mean) for block in self.blocks}


@dataclass(frozen=True, slots=True)
class _Run:
    """Logits and Dice of every frame."""

    logits: tuple[Tensor, ...]
    dice: NDArray[np.float64]


def study(
    model: LightAWNet, frames: Labelled, narrate: Narrate = lambda _: None
) -> tuple[RoutingStudy, Callable[[Mapping[str, Tensor]], float]]:
    """Measure every block, and return the study with the function that prices a routing table.

    The function takes blocks with their frozen mixture weights (K,) and returns the mean Dice lost
    per frame. It keeps the dynamic network's results: one pass over the frames a call.

    Raises:
        SpecError: The weights are static, or there are no frames.
    """
    if model.experts == 1:
        raise SpecError("These weights are a static twin: there is no routing to study.")
    vectors: dict[str, list[Tensor]] = {name: [] for name in model.dynamic_convs()}
    narrate("running the dynamic network")
    exact = _run(model, frames, vectors)
    rows = {name: torch.cat(values) for name, values in vectors.items()}

    blocks = []
    for name, conv in model.dynamic_convs().items():
        narrate(f"freezing {name} alone")
        changed = _run(model, frames, routing={name: rows[name].mean(0)})
        blocks.append(
            BlockStudy(
                block=name,
                mean=tuple(rows[name].mean(0).tolist()),
                spread=tuple(rows[name].std(0, correction=0).tolist()),
                varying_energy=_varying_energy(conv, rows[name]),
                dice_cost=float(np.mean(exact.dice - changed.dice)),
                snr_db=_snr_db(exact.logits, changed.logits),
            )
        )
    found = RoutingStudy(
        frames=len(exact.dice), dice=float(exact.dice.mean()), blocks=tuple(blocks)
    )
    return found, partial(_drop, model, frames, exact)


def choose(
    found: RoutingStudy, price: Callable[[Mapping[str, Tensor]], float], max_dice_drop: float
) -> list[Decision]:
    """Freeze blocks in the order of their cost alone, as long as all frozen ones fit the budget.

    A block that would break the budget stays dynamic, and the next one is tried: costs do not add
    up, since what one block moves another may move back.
    """
    decisions: list[Decision] = []
    taken: dict[str, Tensor] = {}
    for block in sorted(found.blocks, key=lambda block: block.dice_cost):
        tried = {**taken, block.block: found.routing[block.block]}
        drop = price(tried)
        fits = drop <= max_dice_drop
        if fits:
            taken = tried
        decisions.append(Decision(block=block.block, frozen=fits, dice_drop=drop))
    return decisions


@torch.no_grad()
def _run(
    model: LightAWNet,
    frames: Labelled,
    vectors: Mapping[str, list[Tensor]] | None = None,
    routing: Mapping[str, Tensor] | None = None,
) -> _Run:
    """Run all frames; `vectors` collects the routing, `routing` holds that of some blocks."""
    handles = []
    for name, kept in (vectors or {}).items():
        module = model.dynamic_convs()[name].routing
        assert module is not None
        handles.append(
            module.register_forward_hook(
                lambda _m, _a, output, kept=kept: kept.append(torch.sigmoid(output).flatten(1))
            )
        )
    logits, dice = [], []
    try:
        with frozen(model, routing or {}):
            for x, truth in frames():
                found = model(x)[0, 0]
                logits.append(found)
                dice.append(score_mask((found >= 0).numpy(), truth).dice)
    finally:
        for handle in handles:
            handle.remove()
    if not dice:
        raise SpecError("No frame to study the routing on. Give frames with their masks.")
    return _Run(tuple(logits), np.asarray(dice))


def _drop(model: LightAWNet, frames: Labelled, exact: _Run, routing: Mapping[str, Tensor]) -> float:
    return float(np.mean(exact.dice - _run(model, frames, routing=routing).dice))


@torch.no_grad()
def _varying_energy(conv: DynamicConv, rows: Tensor) -> float:
    """From the experts' inner products: |sum_k r_k W_k|^2 = r G r, without making a kernel."""
    flat = conv.bank.flatten(1).double()
    gram = flat @ flat.T
    rows = rows.double()
    change = rows - rows.mean(0)
    energy = torch.einsum("nk,kl,nl->n", rows, gram, rows).mean()
    varying = torch.einsum("nk,kl,nl->n", change, gram, change).mean()
    return float(varying / energy)


def _snr_db(exact: Sequence[Tensor], changed: Sequence[Tensor]) -> float:
    signal = float(torch.stack([x.double().var(correction=0) for x in exact]).mean())
    error = float(
        torch.stack(
            [(a.double() - b.double()).square().mean() for a, b in zip(exact, changed, strict=True)]
        ).mean()
    )
    return math.inf if error == 0 else 10 * math.log10(signal / error)
