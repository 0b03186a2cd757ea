"""Which blocks of a network are frozen, with which weights, and on what measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lightawnet_edge.approximation.routing_frames import halve, network_inputs
from lightawnet_edge.approximation.routing_study import RoutingStudy, StudyFrames, choose, study
from lightawnet_edge.bundle.choices import RoutingRecord
from lightawnet_edge.bundle.contract import THRESHOLD, Contract
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.calibration.judgement import Judgement, doubts, judge, refuse_few
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.domain import refuse_packaged
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.packaged import name_of, resolve
from lightawnet_edge.model.routing import RoutingTable, mean_routing
from lightawnet_edge.progress import Narrate, OnStep, Stage
from lightawnet_edge.specs import Routing


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPlan:
    """Frozen blocks with their mixture weights (K,); the others stay dynamic."""

    frozen: RoutingTable = field(default_factory=dict)
    chosen: RoutingRecord | None = None
    """How `auto` came to it."""


def inspect_routing(
    weights: str,
    calibration: Path | None,
    narrate: Narrate = lambda _: None,
    on_step: OnStep = lambda _: None,
) -> RoutingStudy:
    """Study the routing of a checkpoint, at its own input size, as `auto` routing would.

    Args:
        weights: Checkpoint file, or name of packaged weights.
        calibration: Frames, with masks where Dice shall be that against the truth; None: packaged.
        narrate: Told what goes on, and what is to be doubted of the frames.
        on_step: Told of each frame, and of each pass over them.

    Raises:
        SpecError: The weights are static; the frames show too little; or none are given, and the
            packaged ones do not fit the network.
        ArtifactError: The checkpoint, a frame or a mask cannot be read.
    """
    checkpoint = resolve(weights)
    meta = read_metadata(checkpoint)
    contract = Contract(
        frame=meta.size,
        color=meta.color,
        network=meta.size,
        normalization=meta.normalization,
        threshold=THRESHOLD,
        probability=True,
    )
    if calibration is None:
        refuse_packaged(meta.color, name_of(checkpoint), "--calibration DIR")
    frames = CalibrationSet.open(calibration)
    judgement = judge(frames.prints(on_step))
    refuse_few(judgement, frames.source.name)
    for doubt in doubts(judgement):
        narrate(f"doubt: {doubt}")
    network = load_checkpoint(checkpoint)
    return study(network, halve(frames, judgement, contract), narrate, on_step)[0]


def plan_routing(
    network: LightAWNet,
    routing: Routing,
    contract: Contract,
    calibration: CalibrationSet,
    judgement: Judgement,
    max_dice_drop: float,
    narrate: Narrate,
    on_step: OnStep,
) -> RoutingPlan:
    """Freeze no block, all of them, or those whose measured cost fits the budget.

    `static` takes means over all frames. `auto` takes those over the half of the frames that the
    measured routing had, so that what is exported is what was measured.

    Raises:
        SpecError: There are too few frames.
        ArtifactError: A frame or a mask cannot be read.
    """
    if network.experts == 1 or routing is Routing.DYNAMIC:
        return RoutingPlan()
    if routing is Routing.AUTO:
        halves = halve(calibration, judgement, contract)
        return _chosen(network, halves, max_dice_drop, narrate, on_step)
    narrate(f"freezing the routing to its mean over {len(calibration)} frames")
    stage = Stage("freezing routing", len(calibration), on_step)
    inputs = stage.over(network_inputs(calibration, contract))
    return RoutingPlan(frozen=mean_routing(network, inputs))


def _chosen(
    network: LightAWNet,
    frames: StudyFrames,
    max_dice_drop: float,
    narrate: Narrate,
    on_step: OnStep,
) -> RoutingPlan:
    found, price = study(network, frames, narrate, on_step)
    narrate(f"freezing blocks within {max_dice_drop:g} Dice")
    record = RoutingRecord(
        max_dice_drop=max_dice_drop,
        calibrated_frames=found.calibrated_frames,
        measured_frames=len(found.dice),
        has_truth=found.has_truth,
        dice=float(np.mean(found.dice)),
        decisions=tuple(choose(found, price, max_dice_drop, on_step)),
    )
    return RoutingPlan(frozen=_picked(found.routing, record), chosen=record)


def _picked(table: Mapping[str, torch.Tensor], record: RoutingRecord) -> RoutingTable:
    return {block: table[block] for block in record.frozen}
