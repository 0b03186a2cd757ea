"""What freezing costs: measured block by block, and spent within a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightawnet_edge.approximation.routing_study import (
    BlockStudy,
    Drops,
    RoutingStudy,
    StudyFrames,
    choose,
    study,
)
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.routing import frozen, mean_routing
from tests.conftest import random_network

BLOCKS = ["e1", "e2", "e3", "a4", "a5", "u1", "u2", "u3", "u4", "out"]


@pytest.fixture(scope="module")
def network() -> LightAWNet:
    return random_network()


def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [light * torch.randn(1, 3, 32, 32, generator=generator) for light in (0.2, 1.0, 2.0)]


def others() -> list[Tensor]:
    return [x.flip(3) for x in inputs()[:2]]


def nothing() -> list[Tensor]:
    return []


def truths() -> list[NDArray[np.bool_]]:
    truth = np.zeros((32, 32), np.bool_)
    truth[8:20, 8:20] = True
    return [truth] * len(others())


FRAMES = StudyFrames(calibration=inputs, measured=others, truths=truths)


def test_every_block_is_studied_on_every_frame(network: LightAWNet) -> None:
    found, _ = study(network, FRAMES)
    assert (found.calibrated_frames, len(found.dice), found.has_truth) == (3, 2, True)
    assert len(found.all_drops) == 2
    assert [block.block for block in found.blocks] == BLOCKS
    for block in found.blocks:
        assert len(block.dice_drops) == 2
        assert len(block.mean) == len(block.spread) == 4
        assert 0 < block.varying_energy < 1
        assert 0 < block.snr_db < 120


def test_the_means_are_those_of_the_calibration(network: LightAWNet) -> None:
    found, _ = study(network, FRAMES)
    expected = mean_routing(network, inputs())
    for name, routing in found.routing.items():
        torch.testing.assert_close(routing, expected[name])


@torch.no_grad()
def test_the_varying_energy_is_that_of_the_kernels_themselves(network: LightAWNet) -> None:
    found, _ = study(network, FRAMES)
    conv = network.dynamic_convs()["e1"]
    seen: list[Tensor] = []
    assert conv.routing is not None
    handle = conv.routing.register_forward_hook(
        lambda _m, _a, output: seen.append(torch.sigmoid(output).flatten(1))
    )
    for x in inputs():
        network(x)
    handle.remove()
    kernels = torch.einsum("nk,koihw->noihw", torch.cat(seen), conv.bank)
    change = kernels - kernels.mean(0)
    expected = float(change.square().sum() / kernels.square().sum())
    assert found.blocks[0].varying_energy == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_block_without_variation_costs_nothing(network: LightAWNet) -> None:
    quiet = random_network()
    conv = quiet.dynamic_convs()["u2"]
    assert conv.routing is not None
    torch.nn.init.zeros_(conv.routing.weight)
    found, price = study(quiet, FRAMES)
    block = next(block for block in found.blocks if block.block == "u2")
    assert block.varying_energy == pytest.approx(0, abs=1e-9)
    assert block.dice_drops == pytest.approx((0, 0), abs=1e-6)
    assert block.snr_db > 100
    assert price({"u2": found.routing["u2"]}) == pytest.approx([0, 0], abs=1e-6)


@torch.no_grad()
def test_routing_is_held_only_while_the_context_lasts(network: LightAWNet) -> None:
    x = inputs()[0]
    before = network(x)
    held = torch.tensor([0.1, 0.9, 0.5, 0.3])
    with frozen(network, {"u1": held}):
        conv = network.dynamic_convs()["u1"]
        torch.testing.assert_close(conv.route(torch.rand(2, 128, 4, 4)), held.expand(2, 4))
        assert not torch.equal(network(x), before)
    assert torch.equal(network(x), before)
    with (
        pytest.raises(SpecError, match="No dynamic convolution in block 'b4'"),
        frozen(network, {"b4": held}),
    ):
        pass


def test_static_weights_and_no_frames_are_refused(network: LightAWNet) -> None:
    with pytest.raises(SpecError, match="static twin: there is no routing to study"):
        study(LightAWNet(experts=1).eval(), FRAMES)
    with pytest.raises(SpecError, match="No frame to take the means"):
        study(network, replace(FRAMES, calibration=nothing))
    with pytest.raises(SpecError, match="No frame to measure on"):
        study(network, replace(FRAMES, measured=nothing))


def test_without_masks_the_dynamic_network_is_its_own_truth(network: LightAWNet) -> None:
    found, price = study(network, replace(FRAMES, truths=None))
    assert not found.has_truth
    assert set(found.dice) == {1.0}
    assert min(price(found.routing)) >= 0, "nothing beats its own truth"
    assert price({}) == pytest.approx([0, 0])


# --- spending a budget


def lost(dice: float) -> Drops:
    return np.asarray([dice])


def priced(costs: Mapping[str, float]) -> RoutingStudy:
    blocks = [
        BlockStudy(
            block=name, mean=(0.5,) * 4, spread=(0.0,) * 4, varying_energy=0.0,
            dice_drops=(cost,), snr_db=30.0,
        )
        for name, cost in costs.items()
    ]  # fmt: skip
    return RoutingStudy(
        calibrated_frames=1, dice=(0.9,), has_truth=True, blocks=tuple(blocks), all_drops=(0.0,),
        all_snr_db=30.0,
    )  # fmt: skip


def test_the_cheapest_blocks_are_frozen_first_and_the_budget_holds() -> None:
    costs = {"e2": 0.02, "u1": 0.001, "u2": -0.001, "u3": 0.003}
    decisions = choose(priced(costs), lambda table: lost(sum(costs[name] for name in table)), 0.005)
    assert [d.block for d in decisions] == ["u2", "u1", "u3", "e2"]
    assert [d.frozen for d in decisions] == [True, True, True, False]
    assert decisions[2].dice_drop == pytest.approx(0.003)
    assert decisions[3].dice_drop == pytest.approx(0.023)


def test_a_block_that_breaks_the_budget_does_not_keep_the_next_one_out() -> None:
    costs = {"e1": 0.0, "e2": 0.001, "e3": 0.002}

    def price(table: Mapping[str, Tensor]) -> Drops:
        return lost(0.5 if "e2" in table else sum(costs[name] for name in table))

    decisions = choose(priced(costs), price, 0.005)
    assert [(d.block, d.frozen) for d in decisions] == [("e1", True), ("e2", False), ("e3", True)]


def test_a_budget_that_nothing_fits_freezes_nothing() -> None:
    decisions = choose(
        priced({"e1": 0.01, "e2": 0.02}), lambda table: lost(0.01 * len(table)), 0.005
    )
    assert not any(decision.frozen for decision in decisions)
