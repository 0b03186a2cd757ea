"""Set-up of a run: learning rate over time, number format, device, and weights to start from."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from lightawnet_edge.errors import BackendUnavailableError, SpecError
from lightawnet_edge.training import require, setup
from lightawnet_edge.training.setup import (
    learning_rate,
    make_accelerator,
    make_network,
    parameter_groups,
    resolve_precision,
)
from tests.training.conftest import MakeConfig


def test_the_learning_rate_warms_up_then_falls_on_a_cosine(make_config: MakeConfig) -> None:
    config = make_config(epochs=10, lr=1.0, warmup_epochs=1.5)
    rates = [learning_rate(config, step, 10) for step in range(100)]
    assert rates[:15] == pytest.approx([(i + 1) / 15 for i in range(15)])
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[15:]))
    assert rates[57] == pytest.approx((1 + 0.01) / 2, abs=0.01)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_no_warm_up_starts_at_the_peak(make_config: MakeConfig) -> None:
    assert learning_rate(make_config(lr=1.0, warmup_epochs=0), 0, 10) == 1.0


def test_auto_is_bf16_only_where_it_is_native(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for native, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(setup, "_cpu_has_bf16", lambda native=native: native)
        assert resolve_precision(make_config(precision="auto"), "cpu") == expected
    assert resolve_precision(make_config(precision="bf16"), "cpu") == "bf16"


def test_fp16_on_a_cpu_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(SpecError, match="fp16 needs a CUDA device"):
        resolve_precision(make_config(precision="fp16"), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(make_config: MakeConfig) -> None:
    with pytest.raises(BackendUnavailableError, match="torch sees no CUDA device"):
        make_accelerator(make_config(device="cuda"))


def test_decay_leaves_vectors_and_scalars_alone(make_config: MakeConfig) -> None:
    decayed, kept = parameter_groups(make_network(make_config()), 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert min(p.ndim for p in decayed["params"]) == 2
    assert max(p.ndim for p in kept["params"]) == 1


def test_initial_weights_depend_on_the_seed_and_leave_the_global_generator_alone(
    make_config: MakeConfig,
) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = (make_network(make_config(seed=seed)).out.bank for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_init_takes_the_weights_of_a_checkpoint(make_config: MakeConfig, checkpoint: Path) -> None:
    network = make_network(make_config(init=str(checkpoint)))
    assert network.attention.gamma.tolist() == [0.5]


def test_init_with_other_channels_is_refused(make_config: MakeConfig, checkpoint: Path) -> None:
    with pytest.raises(SpecError, match=r"takes 3 channel\(s\), this run 1. Set --in-channels 3"):
        make_network(make_config(init=str(checkpoint), in_channels=1))


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require()
    monkeypatch.setattr("lightawnet_edge.training._NEEDED", ("torch", "no_such_package"))
    with pytest.raises(BackendUnavailableError, match=r"no_such_package not .*lightawnet-edge\[tr"):
        require()
