"""Each rewrite is exact on its own, and the whole is exact; only frozen routing approximates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.lowering import (
    LoweredDecoder,
    LoweredEncoder,
    StackedEncoder,
    TiledConv,
    folded_bank,
    lower,
    lower_dynamic,
)
from lightawnet_edge.model.network import DecoderBlock, DynamicConv, EncoderBlock, LightAWNet
from lightawnet_edge.model.routing import mean_routing

# Float32 rounds each sum differently after a rewrite: about 1e-7 of the largest intermediate, which
# grows over the ten blocks. 1e-5 is 10x what is seen, and far under what a wrong rewrite gives.
TOLERANCE = 1e-5

cases = given(
    seed=st.integers(0, 2**16),
    channels=st.sampled_from([8, 16, 24]),
    height=st.integers(1, 6).map(lambda n: 2 * n),
    width=st.integers(1, 6).map(lambda n: 2 * n),
)


def randomize(module: nn.Module) -> nn.Module:
    """Give every batch norm statistics and factors that a wrong fold would miss."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.2, 3.0)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module.eval()


def assert_same(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) <= TOLERANCE * scale


@cases
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_a_dynamic_convolution_with_folded_norm_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    conv = randomize(DynamicConv(channels, 5))
    assert isinstance(conv, DynamicConv)
    x = torch.randn(1, channels, height, width)
    assert_same(lower_dynamic(conv)(x), conv(x))


@cases
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_an_encoder_with_its_gate_behind_the_projection_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    block = randomize(EncoderBlock(channels, 6))
    assert isinstance(block, EncoderBlock)
    x = torch.randn(1, channels, height, width)
    for lowered in (LoweredEncoder, StackedEncoder):
        assert_same(lowered(block, block.dynamic)(x), block(x))


@cases
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_a_convolution_to_one_channel_computes_the_same_in_tiles(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    conv = randomize(DynamicConv(channels, 1))
    assert isinstance(conv, DynamicConv)
    x = torch.randn(1, channels, 4 * height, 4 * width)
    assert_same(lower_dynamic(conv)(x), conv(x))
    constant = lower_dynamic(conv, conv.route(x)[0])
    assert isinstance(constant, TiledConv)
    assert_same(constant(x), conv(x))


@cases
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_a_decoder_with_attention_before_up_sampling_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    block = randomize(DecoderBlock(2 * channels))
    assert isinstance(block, DecoderBlock)
    x = torch.randn(1, 2 * channels, height, width)
    skip = torch.randn(1, channels, 2 * height, 2 * width)
    assert_same(LoweredDecoder(block, block.dynamic)(x, skip), block(x, skip))


@torch.no_grad()
def test_the_whole_network_computes_the_same(network: LightAWNet) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = torch.randn(1, 3, 48, 64)
    for stacked in (True, False):
        assert_same(lower(network, stacked=stacked)(x), network(x))
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), (
        "lowering changed its input"
    )
    assert not [m for m in lower(network).modules() if isinstance(m, nn.BatchNorm2d | DynamicConv)]


@torch.no_grad()
def test_routing_frozen_to_the_frame_s_own_is_exact_for_that_frame(network: LightAWNet) -> None:
    x, other = torch.randn(2, 1, 3, 32, 32)
    frozen = mean_routing(network, [x])
    assert_same(lower(network, frozen)(x), network(x))
    assert (lower(network, frozen)(3 * other) - network(3 * other)).abs().max() > 1e-3


@torch.no_grad()
def test_some_layers_can_be_frozen_and_others_left_dynamic(network: LightAWNet) -> None:
    x = torch.randn(1, 3, 32, 32)
    frozen = mean_routing(network, [x])
    partly = lower(network, {name: frozen[name] for name in ("e1", "u4", "out")})
    assert isinstance(partly.out, nn.Conv2d)
    assert not isinstance(partly.get_submodule("e2.dynamic"), nn.Conv2d)
    assert_same(partly(x), network(x))


def test_the_fold_leaves_the_bank_linear_in_the_routing() -> None:
    conv = randomize(DynamicConv(4, 3))
    assert isinstance(conv, DynamicConv)
    bank, bias = folded_bank(conv)
    assert bank.shape == (4, 3, 4, 3, 3)
    assert bias.shape == (3,)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(SpecError, match=r"eval mode can be lowered: call model\.eval"):
        lower(LightAWNet(1))


def test_an_unknown_layer_is_refused_with_the_known_ones(network: LightAWNet) -> None:
    with pytest.raises(SpecError, match=r"No dynamic convolution in block 'b4'\. Known: e1, e2"):
        lower(network, {"b4": torch.ones(4)})


def test_routing_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(SpecError, match=r"Routing of shape \(3,\) does not fit 4 experts"):
        lower_dynamic(DynamicConv(4, 3), torch.ones(3))


@torch.no_grad()
def test_a_static_twin_lowers_to_plain_convolutions_exactly() -> None:
    network = randomize(LightAWNet(experts=1)).eval()
    assert isinstance(network, LightAWNet)
    lowered = lower(network)
    assert isinstance(lowered.out, nn.Conv2d)
    x = torch.rand(1, 3, 32, 48)
    assert_same(lowered(x), network(x))
