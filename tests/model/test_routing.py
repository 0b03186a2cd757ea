"""Routing is measured per image, freezes into a twin, and widens without changing the network."""

from __future__ import annotations

import pytest
import torch

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.routing import freeze, mean_routing, widen
from tests.conftest import random_network


@pytest.fixture(scope="module")
def network() -> LightAWNet:
    return random_network()


@torch.no_grad()
def test_mean_routing_weighs_every_image_alike(network: LightAWNet) -> None:
    images = torch.randn(3, 3, 32, 32)
    batched = mean_routing(network, [images[:2], images[2:]])
    single = mean_routing(network, [image[None] for image in images])
    assert set(batched) == {"e1", "e2", "e3", "a4", "a5", "u1", "u2", "u3", "u4", "out"}
    for name, routing in batched.items():
        assert routing.shape == (4,)
        torch.testing.assert_close(routing, single[name])
        module = network.dynamic_convs()[name].routing
        assert module is not None
        assert not module._forward_hooks


def test_static_routing_without_frames_is_refused(network: LightAWNet) -> None:
    with pytest.raises(SpecError, match="needs calibration frames, and there are none"):
        mean_routing(network, [])


@torch.no_grad()
def test_a_twin_frozen_on_one_image_agrees_on_that_image(network: LightAWNet) -> None:
    x = torch.rand(1, 3, 32, 48)
    twin = freeze(network, mean_routing(network, [x]))
    assert twin.experts == 1
    assert not twin.training
    torch.testing.assert_close(twin(x), network(x), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_widened_twin_computes_the_same_with_experts_that_differ() -> None:
    twin = LightAWNet(experts=1).eval()
    wide = widen(twin)
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(wide(x), twin(x), atol=1e-4, rtol=1e-4)
    assert wide.experts == 4
    for conv in wide.dynamic_convs().values():
        assert float((conv.bank[0] - conv.bank[1]).abs().mean()) > 0.01 * float(conv.bank.std())


def test_the_routing_of_a_widened_twin_learns() -> None:
    wide = widen(LightAWNet(experts=1))
    wide(torch.rand(2, 3, 32, 32)).square().mean().backward()
    for name, conv in wide.dynamic_convs().items():
        assert conv.routing is not None
        assert conv.routing.weight.grad is not None
        assert float(conv.routing.weight.grad.abs().max()) > 0, name


@torch.no_grad()
def test_the_routing_of_a_static_twin_is_one() -> None:
    conv = LightAWNet(experts=1).dynamic_convs()["a5"]
    assert conv.routing is None
    assert conv.route(torch.rand(2, 128, 4, 4)).tolist() == [[1.0], [1.0]]


def test_a_static_twin_has_the_parameters_of_one_kernel_a_bank() -> None:
    dynamic, twin = LightAWNet(), LightAWNet(experts=1)
    banks = sum(conv.bank.numel() for conv in dynamic.dynamic_convs().values())
    routing = sum(
        p.numel() for name, p in dynamic.named_parameters() if "routing" in name.split(".")
    )
    sizes = [sum(p.numel() for p in model.parameters()) for model in (dynamic, twin)]
    assert sizes[1] == sizes[0] - banks * 3 // 4 - routing
