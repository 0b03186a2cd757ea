"""What an export does in torch: freezing, lowering, tracing; the target does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lightawnet_edge.approximation.int8 import Int8
from lightawnet_edge.approximation.routing_frames import network_inputs
from lightawnet_edge.approximation.routing_plan import RoutingPlan, plan_routing
from lightawnet_edge.bundle.choices import RoutingRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.calibration.fit import FRAMES, mismatch
from lightawnet_edge.calibration.judgement import Judgement, strange
from lightawnet_edge.data.frameset import spaced
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.export.resolve import Resolved
from lightawnet_edge.graph.device_graph import DeviceModel, to_onnx
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.progress import Narrate, OnStep, Stage
from lightawnet_edge.specs import ColorOrder
from lightawnet_edge.targets import table
from lightawnet_edge.targets.making import DEVICE_GRAPH, Made, Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What the stages of an export leave behind, for the manifest."""

    made: Made
    chosen: RoutingRecord | None
    """How `auto` routing was chosen."""
    mismatch: float | None
    """How strange the network finds the calibration frames; None where these have no say."""


def make(
    resolved: Resolved, judgement: Judgement, folder: Path, narrate: Narrate, on_step: OnStep
) -> Export:
    """Write the files of a bundle, all but its manifest, into a folder.

    Raises:
        SpecError: There are too few frames for what is to be measured.
        ArtifactError: A checkpoint, frame or mask cannot be read, or a toolchain takes no graph.
        CheckFailedError: An engine or graph disagrees with the FP32 network, or holds no budget.
    """
    import onnx

    spec, prepared = resolved.spec, resolved.prepared
    network = load_checkpoint(resolved.checkpoint)
    strangeness = _mismatch(network, resolved, on_step)
    if strangeness is not None and (doubt := strange(strangeness, resolved.source.name)):
        narrate(f"doubt: {doubt}")
    plan = plan_routing(
        network,
        resolved.routing,
        resolved.contract,
        resolved.calibration,
        judgement,
        spec.routing_budget,
        narrate,
        on_step,
    )
    narrate("tracing the device graph")
    traits = table.traits_of(spec.target)
    rewrites = traits.rewrites_for(spec.precision)
    bgr = prepared.contract.color is ColorOrder.BGR
    lowered = lower(network, plan.frozen, rewrites, bgr=bgr)
    graph = to_onnx(lowered, prepared.contract, traits.scaling)
    onnx.save(graph, folder / DEVICE_GRAPH)
    made = prepared.make(
        Order(
            folder=folder,
            graph=graph,
            quantize=_int8(resolved, judgement, plan, narrate, on_step),
            reference=_reference(network, prepared.contract),
            frozen=bool(plan.frozen),
            tools=resolved.tools,
            narrate=narrate,
            on_step=on_step,
        )
    )
    return Export(made=made, chosen=plan.chosen, mismatch=strangeness)


def _mismatch(network: LightAWNet, resolved: Resolved, on_step: OnStep) -> float | None:
    if resolved.calibrated is None:
        return None
    contract, frames = resolved.contract, resolved.calibration
    some = frames.only(spaced(len(frames), FRAMES))
    stage = Stage("comparing with training", len(some), on_step)
    return mismatch(network, stage.over(network_inputs(some, contract)))


def _int8(
    resolved: Resolved,
    judgement: Judgement,
    plan: RoutingPlan,
    narrate: Narrate,
    on_step: OnStep,
) -> Int8:
    spec, budget = resolved.spec, None
    if spec.max_dice_drop is not None and spec.int8_budgeted:
        spent = plan.chosen.dice_drop if plan.chosen else 0.0
        budget = max(0.0, spec.max_dice_drop - spent)
    return Int8(
        target=spec.target,
        contract=resolved.contract,
        calibration=resolved.calibration,
        method=spec.method,
        max_dice_drop=budget,
        judgement=judgement,
        narrate=narrate,
        on_step=on_step,
    )


def _reference(network: LightAWNet, contract: Contract) -> Runs:
    """The network as it was trained, between the device graph's input and outputs."""
    device = DeviceModel(network, contract).eval()

    def run(frame: UInt8) -> tuple[UInt8, NDArray[np.float32]]:
        with torch.no_grad():
            mask, probability = device(torch.from_numpy(frame))
        return mask.numpy(), probability.numpy()

    return run
