"""What freezing the routing costs: block by block, on frames that did not set the means.

A dynamic convolution mixes K kernels anew for every frame. Where the mixture hardly varies, its
mean serves as well, and the convolution can run in INT8. How much it varies, and what each block's
mean alone costs, is measured here; `choose` freezes the cheapest blocks within a budget of Dice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightawnet_edge.bundle.choices import RoutingDecision
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.network import DynamicConv, LightAWNet
from lightawnet_edge.model.routing import frozen
from lightawnet_edge.progress import Narrate, OnStep, Stage
from lightawnet_edge.scores.decibels import decibels
from lightawnet_edge.scores.intervals import Interval, mean_interval
from lightawnet_edge.scores.masks import score_mask

Inputs = Callable[[], Iterable[Tensor]]
"""Starts over with each call: network inputs (1, C, h, w)."""
Masks = Callable[[], Iterable[NDArray[np.bool_]]]
"""Starts over with each call: truths (h, w) of the inputs, in their order."""
Drops = NDArray[np.float64]
"""Dice lost against the dynamic network, one value per frame."""
Price = Callable[[Mapping[str, Tensor]], Drops]
"""From blocks with their frozen mixture weights (K,) to what freezing them costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFrames:
    """The two halves of a study: no frame is in both."""

    calibration: Inputs
    """They set the means."""
    measured: Inputs
    """The costs are measured on these."""
    truths: Masks | None
    """Of `measured`; None takes the masks that the dynamic network gives."""
    logit_threshold: float = 0.0
    """A pixel is foreground where its logit is at least this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStudy:
    """One dynamic convolution over the frames of a study."""

    block: str
    mean: tuple[float, ...]
    """Mixture weight of each expert, averaged over the calibration half."""
    spread: tuple[float, ...]
    """Its standard deviation over that half."""
    varying_energy: float
    """Share of the mixed kernel's squared norm that lies in its deviation from the mean kernel."""
    dice_drops: tuple[float, ...]
    """Dice lost on each measured frame when this block alone is frozen; negative where it rises."""
    snr_db: float
    """Variance of the dynamic network's logits over the mean squared change, in decibels; infinite
    where nothing changes."""

    @property
    def dice_drop(self) -> Interval:
        """Mean Dice lost per frame, paired, with its 95 % interval."""
        return mean_interval(self.dice_drops)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingStudy:
    """All dynamic convolutions of a network."""

    calibrated_frames: int
    dice: tuple[float, ...]
    """Of the dynamic network on each measured frame, at network size."""
    has_truth: bool
    """Whether Dice is that against masks; else against the dynamic network's own, which score 1."""
    blocks: tuple[BlockStudy, ...]
    all_drops: tuple[float, ...]
    """Dice lost on each measured frame when all blocks are frozen."""
    all_snr_db: float
    """As for a block, with all of them frozen."""

    @property
    def routing(self) -> dict[str, Tensor]:
        """Mean mixture weights (K,) by block."""
        return {block.block: torch.tensor(block.mean) for block in self.blocks}

    @property
    def all_drop(self) -> Interval:
        """Mean Dice lost per frame with all blocks frozen, with its 95 % interval."""
        return mean_interval(self.all_drops)


def study(
    model: LightAWNet,
    frames: StudyFrames,
    narrate: Narrate = lambda _: None,
    on_step: OnStep = lambda _: None,
) -> tuple[RoutingStudy, Price]:
    """Measure every block, and return the study with the function that prices a routing table.

    That function keeps the dynamic network's results: one pass over the measured frames a call.

    Raises:
        SpecError: The weights are static, or one of the halves is empty.
    """
    if model.experts == 1:
        raise SpecError("These weights are a static twin: there is no routing to study.")
    convs = model.dynamic_convs()
    stage = Stage("studying routing", len(convs) + 3, on_step)  # passes over frames
    stage.tell()
    narrate("reading the routing of the dynamic network")
    rows = _routing_rows(model, frames.calibration)
    stage.tell(1)
    means = {name: values.mean(0) for name, values in rows.items()}
    narrate("measuring the dynamic network")
    against = _Exact.measure(model, frames)
    stage.tell(1)

    def measured(table: Mapping[str, Tensor], what: str) -> tuple[Drops, float]:
        narrate(f"freezing {what}")
        found = against.compare(table)
        stage.tell(1)
        return found

    blocks = []
    for name, values in rows.items():
        drops, snr_db = measured({name: means[name]}, f"{name} alone")
        blocks.append(
            BlockStudy(
                block=name,
                mean=tuple(means[name].tolist()),
                spread=tuple(values.std(0, correction=0).tolist()),
                varying_energy=_varying_energy(convs[name], values),
                dice_drops=tuple(drops.tolist()),
                snr_db=snr_db,
            )
        )
    drops, snr_db = measured(means, "all of them")
    found = RoutingStudy(
        calibrated_frames=len(next(iter(rows.values()))),
        dice=tuple(against.dice.tolist()),
        has_truth=frames.truths is not None,
        blocks=tuple(blocks),
        all_drops=tuple(drops.tolist()),
        all_snr_db=snr_db,
    )
    return found, lambda table: against.compare(table)[0]


def choose(
    found: RoutingStudy,
    price: Price,
    max_dice_drop: float,
    on_step: OnStep = lambda _: None,
) -> list[RoutingDecision]:
    """Freeze blocks in the order of their cost alone, as long as all frozen ones fit the budget.

    A block that would break the budget stays dynamic, and the next one is tried: costs do not add
    up, since what one block moves another may move back.

    Args:
        found: What each block costs alone.
        price: From `study`, too.
        max_dice_drop: Budget for the mean over the measured frames.
        on_step: Told of each block.
    """
    decisions: list[RoutingDecision] = []
    taken: dict[str, Tensor] = {}
    cheapest = sorted(found.blocks, key=lambda block: float(np.mean(block.dice_drops)))
    for block in Stage("choosing routing", len(cheapest), on_step).over(cheapest):
        tried = {**taken, block.block: found.routing[block.block]}
        drop = mean_interval(price(tried))
        fits = drop.mean <= max_dice_drop
        if fits:
            taken = tried
        decisions.append(
            RoutingDecision(
                block=block.block,
                frozen=fits,
                dice_drop=drop.mean,
                low=drop.low,
                high=drop.high,
            )
        )
    return decisions


@torch.no_grad()
def _routing_rows(model: LightAWNet, inputs: Inputs) -> dict[str, Tensor]:
    """Mixture weights (frames, K) of each block."""
    vectors: dict[str, list[Tensor]] = {name: [] for name in model.dynamic_convs()}
    handles = []
    for name, kept in vectors.items():
        module = model.dynamic_convs()[name].routing
        assert module is not None
        handles.append(
            module.register_forward_hook(
                lambda _m, _a, output, kept=kept: kept.append(torch.sigmoid(output).flatten(1))
            )
        )
    try:
        for x in inputs():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    if not all(vectors.values()):
        raise SpecError("No frame to take the means of the routing over.")
    return {name: torch.cat(values) for name, values in vectors.items()}


@dataclass(frozen=True, slots=True)
class _Exact:
    """The dynamic network's results on the measured frames, which every change is held against."""

    model: LightAWNet
    frames: StudyFrames
    logits: tuple[Tensor, ...]
    truths: tuple[NDArray[np.bool_], ...]
    dice: Drops

    @classmethod
    def measure(cls, model: LightAWNet, frames: StudyFrames) -> _Exact:
        """Run the dynamic network once over the measured half."""
        logits = _logits(model, frames.measured, {})
        if not logits:
            raise SpecError("No frame to measure on. Give at least two: half of them set the mean.")
        masks = [(one >= frames.logit_threshold).numpy() for one in logits]
        truths = tuple(masks if frames.truths is None else frames.truths())
        dice = [score_mask(mask, truth).dice for mask, truth in zip(masks, truths, strict=True)]
        return cls(model, frames, logits, truths, np.asarray(dice))

    def compare(self, routing: Mapping[str, Tensor]) -> tuple[Drops, float]:
        """Dice lost on each frame with a routing held, and the signal-to-noise ratio in dB."""
        changed = _logits(self.model, self.frames.measured, routing)
        dice = [
            score_mask((one >= self.frames.logit_threshold).numpy(), truth).dice
            for one, truth in zip(changed, self.truths, strict=True)
        ]
        return self.dice - np.asarray(dice), _snr_db(self.logits, changed)


@torch.no_grad()
def _logits(model: LightAWNet, inputs: Inputs, routing: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    with frozen(model, routing):
        return tuple(model(x)[0, 0] for x in inputs())


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
    return decibels(signal, error, "The network")
