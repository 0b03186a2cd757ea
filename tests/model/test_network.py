from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.author_checkpoint import our_name
from lightawnet_edge.model.network import DynamicConv, LightAWNet
from lightawnet_edge.specs import STRIDE

DATA = Path(__file__).parents[0] / "data"
TOLERANCE = 1e-5
"""Float32 sums in another order differ by some 1e-6 over the whole network."""
STAGES = {
    "layer1": "e1", "layer2": "e2", "layer3": "e3", "mul4": "a4", "mul5": "a5",
    "attention": "attention", "De1": "u1", "De2": "u2", "De3": "u3", "De4": "u4", "output": "out",
}  # fmt: skip
"""Stage names of the golden numbers, and of the modules here."""


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "colour"])
def golden_network(
    request: pytest.FixtureRequest, author_state: Callable[[int], dict[str, Tensor]]
) -> LightAWNet:
    model = LightAWNet(in_channels=request.param)
    model.load_state_dict({our_name(n): t for n, t in author_state(request.param).items()})
    return model.eval()


def small(channels: int = 3) -> LightAWNet:
    torch.manual_seed(0)
    return LightAWNet(in_channels=channels).eval()


@pytest.mark.parametrize(("channels", "count"), [(1, 2_838_179), (3, 2_839_569)])
def test_parameters_are_counted_to_the_last(channels: int, count: int) -> None:
    assert sum(p.numel() for p in LightAWNet(channels).parameters()) == count


def test_parameters_of_each_part_are_those_of_the_paper() -> None:
    expected = {
        "e1": 696, "e2": 22_709, "e3": 88_421, "a4": 348_869, "b4": 8_320, "a5": 1_385_861,
        "b5": 33_024, "attention": 82_241, "s4": 32_896, "u1": 627_844, "u2": 157_252,
        "u3": 39_460, "u4": 9_940, "out": 646,
    }  # fmt: skip
    parts = LightAWNet(in_channels=1).named_children()
    assert {name: sum(p.numel() for p in m.parameters()) for name, m in parts} == expected


@pytest.mark.parametrize("case", [0, 1])
def test_output_and_every_stage_agree_with_the_golden_numbers(
    golden_network: LightAWNet, case: int
) -> None:
    golden = np.load(DATA / f"golden_{golden_network.in_channels}ch.npz")
    means: dict[str, Tensor] = {}

    def keep(stage: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: means.update({stage: output.mean((2, 3))})

    hooks = [
        golden_network.get_submodule(name).register_forward_hook(keep(stage))
        for stage, name in STAGES.items()
    ]
    with torch.inference_mode():
        output = golden_network.probability(torch.from_numpy(golden[f"case{case}_input"]))
    for hook in hooks:
        hook.remove()

    np.testing.assert_allclose(output, golden[f"case{case}_output"], rtol=0, atol=TOLERANCE)
    for stage in STAGES:
        wanted = golden[f"case{case}_stage_{stage}_mean"]
        np.testing.assert_allclose(means[stage], wanted, rtol=0, atol=TOLERANCE, err_msg=stage)


def test_golden_numbers_cover_every_stage() -> None:
    golden = np.load(DATA / "golden_1ch.npz")
    stages = {key.split("_")[2] for key in golden.files if "_stage_" in key}
    assert stages == set(STAGES)


def test_forward_gives_logits_and_probability_their_sigmoid() -> None:
    model = small()
    x = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        logits, probability = model(x), model.probability(x)
    assert logits.shape == probability.shape == (1, 1, 32, 48)
    assert logits.min() < 0
    torch.testing.assert_close(probability, torch.sigmoid(logits))


def test_images_of_a_batch_do_not_see_each_other(golden_network: LightAWNet) -> None:
    torch.manual_seed(1)
    x = torch.rand(3, golden_network.in_channels, 32, 48)
    with torch.inference_mode():
        batch = golden_network(x)
        single = torch.cat([golden_network(image[None]) for image in x])
    # Grouped and plain convolutions sum in another order.
    torch.testing.assert_close(batch, single, rtol=0, atol=TOLERANCE)


def test_output_channels_are_free() -> None:
    assert LightAWNet(1, out_channels=4).eval()(torch.zeros(1, 1, 16, 16)).shape == (1, 4, 16, 16)


@pytest.mark.parametrize(
    ("height", "width", "below", "above"),
    [(30, 48, "16x48", "32x48"), (64, 65, "64x64", "64x80"), (352, 350, "352x336", "352x352")],
)
def test_sizes_that_do_not_fit_are_refused_with_the_nearest(
    height: int, width: int, below: str, above: str
) -> None:
    model = small()
    message = f"{height}x{width} does not fit: .* multiples of 16.* nearest .* {below} and {above}"
    with pytest.raises(SpecError, match=message):
        model(torch.zeros(1, 3, height, width))


def test_the_smallest_side_is_one_stride() -> None:
    with pytest.raises(SpecError, match="nearest that fit are 16x16 and 16x16"):
        small()(torch.zeros(1, 3, 8, 8))
    assert small()(torch.zeros(1, 3, STRIDE, STRIDE)).shape == (1, 1, STRIDE, STRIDE)


def test_the_stride_is_that_of_the_deepest_stage() -> None:
    model = small()
    sizes: list[torch.Size] = []
    model.a5.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape))
    model(torch.zeros(1, 3, 2 * STRIDE, 3 * STRIDE))
    assert [size[2:] for size in sizes] == [(2, 3)]


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (3, 32, 32), (1, 4, 32, 32)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=r"does not fit: expected \(N, 3, H, W\)"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_networks_take_one_or_three_channels(channels: int) -> None:
    with pytest.raises(SpecError, match=f"in_channels={channels}: .* 1 \\(gray\\) or 3"):
        LightAWNet(in_channels=channels)


def test_networks_have_at_least_one_output() -> None:
    with pytest.raises(SpecError, match="out_channels=0 must be at least 1"):
        LightAWNet(out_channels=0)


def test_fresh_kernel_banks_keep_the_variance_of_their_input() -> None:
    torch.manual_seed(2)
    layer = DynamicConv(64, 64).eval()
    assert layer.bank.std().item() == pytest.approx((64 * 9) ** -0.5, rel=0.02)
    x = torch.randn(2, 64, 32, 32)
    with torch.inference_mode():
        inner = layer(x)[:, :, 1:-1, 1:-1]
    # Routing is near 1/2 in a fresh layer, not exactly there.
    assert inner.var().item() == pytest.approx(1, rel=0.25)


def test_every_image_gets_the_kernel_of_its_own_routing() -> None:
    torch.manual_seed(3)
    layer = DynamicConv(4, 5).eval()
    x = torch.randn(2, 4, 8, 8) + torch.tensor([-1.0, 1.0])[:, None, None, None]
    with torch.inference_mode():
        routing = layer.route(x)
        kernels = [torch.einsum("k,koihw->oihw", r, layer.bank) for r in routing]
        wanted = [
            nn.functional.conv2d(image[None], kernel, padding=1)
            for image, kernel in zip(x, kernels, strict=True)
        ]
        found = layer(x)
    assert routing.shape == (2, 4)
    assert not torch.allclose(routing[0], routing[1])
    torch.testing.assert_close(found, layer.norm(torch.cat(wanted)))


def test_dynamic_convolutions_are_listed_by_block_in_the_order_of_the_wiring() -> None:
    layers = small().dynamic_convs()
    assert list(layers) == ["e1", "e2", "e3", "a4", "a5", "u1", "u2", "u3", "u4", "out"]
    assert all(isinstance(layer, DynamicConv) for layer in layers.values())


def test_training_reaches_every_parameter() -> None:
    model = small().train()
    nn.init.constant_(model.attention.gamma, 0.1)
    model(torch.rand(2, 3, 32, 32)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
