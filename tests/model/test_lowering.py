"""Each rewrite is exact on its own, and the whole is exact; only frozen routing approximates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.decoders import (
    InterpolatedUp,
    LoweredAttention,
    LoweredDecoder,
    TransposedUp,
)
from lightawnet_edge.model.encoders import CellEncoder, LoweredEncoder, RunEncoder, StackedEncoder
from lightawnet_edge.model.head import TiledHead
from lightawnet_edge.model.kernels import (
    TILE,
    folded,
    folded_bank,
    in_cells,
    plain,
    to_cells,
    to_pixels,
)
from lightawnet_edge.model.lowering import TiledConv, lower, lower_dynamic
from lightawnet_edge.model.network import (
    DecoderBlock,
    DynamicConv,
    EncoderBlock,
    LightAWNet,
    NonLocalAttention,
)
from lightawnet_edge.model.routing import mean_routing
from lightawnet_edge.rewrites import USUAL, Rewrites
from tests.conftest import random_network

# Float32 rounds each sum differently after a rewrite: about 1e-7 of the largest intermediate, which
# grows over the ten blocks. 1e-5 is 10x what is seen, and far under what a wrong rewrite gives.
TOLERANCE = 1e-5
# In float64 the same is 1e-15: nothing but rounding may be left.
EXACT = 1e-12
EVERY = {
    "usual": USUAL,
    "not stacked": Rewrites(stacked=False),
    "cells": Rewrites(cells=True),
    "wide cells": Rewrites(cells=True, wide_cells=True),
    "tiled head": Rewrites(cells=True, tiled_head=True),
    "transposed": Rewrites(transposed=True),
    "gate runs": Rewrites(gate_runs=True),
    "all": Rewrites(stacked=False, cells=True, tiled_head=True, transposed=True, gate_runs=True),
}

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
    assert found.dtype == expected.dtype
    tolerance = EXACT if expected.dtype == torch.float64 else TOLERANCE
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) <= tolerance * scale


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


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
        assert_same(lowered(block, block.dynamic)(x)[1], block(x))


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
@settings(deadline=None, max_examples=8)
@torch.no_grad()
def test_a_decoder_with_the_next_reduction_in_its_kernels_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    block, following = (
        randomize(DecoderBlock(count)).double() for count in (4 * channels, 2 * channels)
    )
    assert isinstance(block, DecoderBlock)
    assert isinstance(following, DecoderBlock)
    x = normal(1, 4 * channels, height, width)
    skip = normal(1, 2 * channels, 2 * height, 2 * width)
    first = folded(block.reduce, block.reduce_norm)
    after = folded(following.reduce, following.reduce_norm)
    expected = after(block(x, skip))
    for transposed in (False, True):
        lowered = LoweredDecoder(block, transposed=transposed).double()
        for routing in (None, block.dynamic.route(_mixed(block, x, skip))[0]):
            name = f"dynamic+{routing is None}"
            lowered.join(name, lower_dynamic(block.dynamic, routing, after))
            assert_same(lowered(first(x), skip), expected)


def _mixed(block: DecoderBlock, x: Tensor, skip: Tensor) -> Tensor:
    """What the dynamic convolution of a decoder reads."""
    read: list[Tensor] = []
    hook = block.dynamic.register_forward_pre_hook(lambda _m, args: read.append(args[0]))
    block(x, skip)
    hook.remove()
    return read[0]


@cases
@settings(deadline=None, max_examples=8)
@torch.no_grad()
def test_attention_with_the_reduction_in_its_value_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    attention = NonLocalAttention(channels).double()
    nn.init.constant_(attention.gamma, 0.7)
    after = plain(normal(channels // 2, channels, 1, 1), normal(channels // 2))
    x = normal(1, channels, height, width)
    lowered = LoweredAttention(attention, after, "u1/reduce")
    assert "value+u1/reduce" in dict(lowered.named_children())
    assert_same(after(x) + lowered(x), after(attention(x)))


@cases
@settings(deadline=None, max_examples=8)
@torch.no_grad()
def test_up_sampling_by_a_transposed_convolution_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    x = normal(1, channels, height, width)
    assert_same(TransposedUp(channels).double()(x), InterpolatedUp()(x))


@given(
    seed=st.integers(0, 2**16),
    channels=st.sampled_from([1, 3]),
    kernel=st.sampled_from([1, 3, 5, 7, 9, 11]),
    height=st.integers(1, 9),
    width=st.integers(1, 6).map(lambda n: 4 * n),
)
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_a_kernel_of_cells_computes_what_that_of_pixels_does(
    seed: int, channels: int, kernel: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    weight, x = normal(5, channels, 3, kernel), normal(1, channels, height, width)
    cells = in_cells(weight)
    found = plain(cells, None, padding=(1, cells.shape[3] // 2))(to_cells(x))
    assert_same(to_pixels(found), plain(weight, None, padding=(1, kernel // 2))(x))


@cases
@settings(deadline=None, max_examples=8)
@torch.no_grad()
def test_an_encoder_with_gates_in_runs_or_all_of_it_in_cells_computes_the_same(
    seed: int, channels: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    wide, thin = (
        randomize(EncoderBlock(count, 6, experts=1)).double() for count in (channels, channels // 8)
    )
    assert isinstance(wide, EncoderBlock)
    assert isinstance(thin, EncoderBlock)
    x = normal(1, channels, 4 * height, 4 * width)
    assert_same(RunEncoder(wide, wide.dynamic)(x)[1], wide(x))
    x = x[:, : channels // 8]
    assert_same(CellEncoder(thin, thin.dynamic)(x)[1], thin(x))
    constant = lower_dynamic(thin.dynamic)
    assert_same(CellEncoder(thin, constant, wide=True)(x)[1], thin(x))


@given(
    seed=st.integers(0, 2**16),
    channels=st.sampled_from([1, 3]),
    rows=st.integers(4, 9),
    columns=st.integers(4, 9),
)
@settings(deadline=None, max_examples=8)
def test_logits_in_tiles_are_those_of_the_layers_up_to_the_last_pixel(
    seed: int, channels: int, rows: int, columns: int
) -> None:
    torch.manual_seed(seed)
    first, last, out = (
        plain(normal(*shape, 3, 3), normal(shape[0]), padding=(1, 1))
        for shape in ((16, channels), (16, 16), (1, 16))
    )
    up = InterpolatedUp()

    def exact(z: Tensor, v: Tensor) -> Tensor:
        logits: Tensor = out(last(up(z) + first(v)))
        return logits

    height, width = TILE * rows, TILE * columns
    z, v = normal(1, 16, height // 2, width // 2), normal(1, channels, height, width)
    head = TiledHead(exact, z, v)
    with torch.no_grad():
        assert_same(head(z, to_cells(v)), exact(z, v))


@torch.no_grad()
def test_the_whole_network_computes_the_same(network: LightAWNet) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = torch.randn(1, 3, 48, 64)
    for rewrites in EVERY.values():
        assert_same(lower(network, rewrites=rewrites)(x), network(x))
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), (
        "lowering changed its input"
    )
    assert not [m for m in lower(network).modules() if isinstance(m, nn.BatchNorm2d | DynamicConv)]


@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rewrites", EVERY.values(), ids=EVERY)
@torch.no_grad()
def test_each_rewrite_leaves_the_network_exact(
    rewrites: Rewrites, channels: int, experts: int
) -> None:
    network = random_network(channels, experts=experts).double()
    for height, width in ((16, 16), (64, 16), (48, 80)):
        x = normal(1, channels, height, width)
        assert_same(lower(network, rewrites=rewrites)(x), network(x))


@pytest.mark.parametrize("experts", [1, 4])
@torch.no_grad()
def test_a_network_that_takes_bgr_computes_the_same(experts: int) -> None:
    network = random_network(experts=experts).double()
    x = normal(1, 3, 32, 48)
    for rewrites in (USUAL, EVERY["all"]):
        assert_same(lower(network, rewrites=rewrites, bgr=True)(x.flip(1)), network(x))


@torch.no_grad()
def test_logits_are_tiled_where_their_kernels_are_constant(network: LightAWNet) -> None:
    x, wanted = torch.randn(1, 3, 32, 48), EVERY["tiled head"]
    frozen = mean_routing(network, [x])
    assert lower(network, frozen, wanted).tiles_logits
    for block in ("e1", "u4", "out"):
        partly = lower(network, {name: frozen[name] for name in frozen if name != block}, wanted)
        assert not partly.tiles_logits
        assert_same(partly(x), network(x))
    assert lower(network, {name: frozen[name] for name in ("e1", "u4", "out")}, wanted).tiles_logits
    assert not lower(network, frozen, Rewrites(tiled_head=True)).tiles_logits
    many = randomize(LightAWNet(out_channels=2, experts=1))
    assert isinstance(many, LightAWNet)
    lowered = lower(many, rewrites=wanted)
    assert not lowered.tiles_logits
    assert_same(lowered(x), many(x))


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
