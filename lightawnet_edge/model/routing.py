"""Routing measured over frames, frozen into a static twin, and widened back into experts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.traits import EXPERTS

RoutingTable = Mapping[str, Tensor]
"""Block name to frozen mixture weights of shape (K,); blocks that are not named stay dynamic."""

SPREAD = 0.5
"""How far the experts of a widened network lie from their mean, as a share of its deviation."""


@torch.no_grad()
def mean_routing(model: LightAWNet, inputs: Iterable[Tensor]) -> dict[str, Tensor]:
    """Mean mixture weights (K,) of each dynamic convolution over network inputs (N, C, H, W).

    Memory does not grow with the number of inputs.

    Raises:
        SpecError: There are no inputs.
    """
    totals: dict[str, Tensor] = {}
    images = 0

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _args: object, output: Tensor) -> None:
            routing = torch.sigmoid(output).flatten(1).double().sum(0)
            totals[name] = totals[name] + routing if name in totals else routing

        return hook

    handles = [
        conv.routing.register_forward_hook(keep(name))
        for name, conv in model.dynamic_convs().items()
        if conv.routing is not None
    ]
    try:
        for x in inputs:
            model(x)
            images += x.shape[0]
    finally:
        for handle in handles:
            handle.remove()
    if not images:
        raise SpecError("Static routing needs calibration frames, and there are none.")
    return {name: (total / images).float() for name, total in totals.items()}


@contextmanager
def frozen(model: LightAWNet, routing: RoutingTable) -> Iterator[None]:
    """Hold the routing of the named blocks at (K,) while the context lasts.

    Raises:
        SpecError: A name is not that of a block with a routing.
    """
    convs = {name: c for name, c in model.dynamic_convs().items() if c.routing is not None}
    check_blocks(routing, convs)

    def hold(values: Tensor) -> Callable[[nn.Module, object, Tensor], Tensor]:
        # The sigmoid comes after the hooked convolution.
        return lambda _module, _args, output: torch.logit(values)[None, :, None, None].expand_as(
            output
        )

    handles = []
    for name, values in routing.items():
        module = convs[name].routing
        assert module is not None
        handles.append(module.register_forward_hook(hold(values)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_blocks(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names of blocks that have no dynamic convolution."""
    known = list(known)
    if unknown := sorted(set(names) - set(known)):
        raise SpecError(
            f"No dynamic convolution in block '{unknown[0]}'. Known: {', '.join(known)}."
        )


@torch.no_grad()
def freeze(model: LightAWNet, routing: RoutingTable) -> LightAWNet:
    """Static twin whose kernels are the banks mixed by `routing`, which names every block."""
    twin = LightAWNet(model.in_channels, model.out_channels, experts=1)
    state = {name: t for name, t in model.state_dict().items() if "routing" not in name.split(".")}
    for name, conv in model.dynamic_convs().items():
        kernel = torch.einsum("k,koihw->oihw", routing[name], conv.bank)
        state[_bank(name)] = kernel[None]
    twin.load_state_dict(state)
    return twin.train(model.training)


@torch.no_grad()
def widen(twin: LightAWNet, experts: int = EXPERTS, seed: int = 0) -> LightAWNet:
    """Network with `experts` kernels a bank that computes what its static twin computes.

    Each routing starts at 1/2 for every frame, where the experts sum to the twin's kernel. They
    differ by noise that cancels in that sum, so that learning can tell them apart.
    """
    generator = torch.Generator().manual_seed(seed)
    model = LightAWNet(twin.in_channels, twin.out_channels, experts)
    state = twin.state_dict()
    for name, conv in model.dynamic_convs().items():
        kernel = state[_bank(name)]
        noise = torch.randn(conv.bank.shape, generator=generator) * kernel.std() * SPREAD
        share = 2 / experts
        state[_bank(name)] = share * (kernel + noise - noise.mean(0))
        assert conv.routing is not None
        nn.init.zeros_(conv.routing.weight)
        assert conv.routing.bias is not None
        nn.init.zeros_(conv.routing.bias)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("routing" in name for name in missing), missing
    return model.train(twin.training)


def _bank(name: str) -> str:
    """Name of a block's bank among the tensors of the network."""
    return f"{name}.bank" if name == "out" else f"{name}.dynamic.bank"
