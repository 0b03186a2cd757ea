"""Set-up of a run: learning rate over time, number format, device, and weights to start from."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from lightawnet_edge.errors import BackendUnavailableError, SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint, save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.specs import Size
from lightawnet_edge.training import require, setup
from lightawnet_edge.training.setup import (
    make_accelerator,
    make_network,
    make_optimizers,
    make_teacher,
    rate_factor,
    resolve_precision,
)
from tests.training.conftest import MakeConfig


def test_the_learning_rate_warms_up_then_falls_on_a_cosine(make_config: MakeConfig) -> None:
    config = make_config(epochs=10, warmup_epochs=1.5)
    rates = [rate_factor(config, step, 10) for step in range(100)]
    assert rates[:15] == pytest.approx([(i + 1) / 15 for i in range(15)])
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[15:]))
    assert rates[57] == pytest.approx((1 + 0.01) / 2, abs=0.01)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_no_warm_up_starts_at_the_peak(make_config: MakeConfig) -> None:
    assert rate_factor(make_config(warmup_epochs=0), 0, 10) == 1.0


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
    config = make_config(optimizer="adamw", weight_decay=0.1)
    (optimizer,) = make_optimizers(config, make_network(config, []))
    decayed, kept = optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert min(p.ndim for p in decayed["params"]) == 2
    assert max(p.ndim for p in kept["params"]) == 1


def test_muon_takes_the_kernels_that_mix_channels_and_each_parameter_is_taken_once(
    make_config: MakeConfig,
) -> None:
    network = make_network(make_config(), [])
    adamw, muon = make_optimizers(make_config(lr=0.5, muon_lr=0.25), network)
    names = {parameter: name for name, parameter in network.named_parameters()}
    kernels, rest = (
        [names[p] for group in optimizer.param_groups for p in group["params"]]
        for optimizer in (muon, adamw)
    )
    assert sorted(kernels + rest) == sorted(names.values())
    assert {"e1.expand.weight", "u4.dynamic.bank", "b5.weight", "u1.squeeze.weight"} <= {*kernels}
    assert {"e1.depthwise.weight", "e1.gate.weight", "out.bank", "b5.bias"} <= {*rest}
    assert {group["peak_lr"] for group in adamw.param_groups} == {0.5}
    assert muon.param_groups[0]["peak_lr"] == 0.25


def test_initial_weights_depend_on_the_seed_and_leave_the_global_generator_alone(
    make_config: MakeConfig,
) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = (make_network(make_config(seed=seed), []).out.bank for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_init_takes_the_weights_of_a_checkpoint(make_config: MakeConfig, checkpoint: Path) -> None:
    network = make_network(make_config(init=str(checkpoint)), [])
    assert network.attention.gamma.tolist() == [0.5]


def test_a_static_run_freezes_a_dynamic_checkpoint_and_a_dynamic_run_widens_a_static_one(
    make_config: MakeConfig, checkpoint: Path, tmp_path: Path
) -> None:
    x = torch.rand(1, 3, 32, 32)
    dynamic = load_checkpoint(checkpoint)
    static = make_network(make_config(init=str(checkpoint), experts=1), [x])
    assert static.experts == 1
    torch.testing.assert_close(static(x), dynamic(x), atol=1e-4, rtol=1e-4)
    meta = CheckpointMeta(in_channels=3, experts=1, size=Size(32, 32))
    save_checkpoint(tmp_path / "static.safetensors", static.state_dict(), meta)
    wide = make_network(make_config(init=str(tmp_path / "static.safetensors"), experts=4), [])
    assert wide.experts == 4
    torch.testing.assert_close(wide(x), static(x), atol=1e-4, rtol=1e-4)


def test_init_with_as_many_experts_as_cannot_be_made_is_refused(
    make_config: MakeConfig, checkpoint: Path
) -> None:
    with pytest.raises(SpecError, match=r"has 4 experts, this run 2\. Set experts = 4, or 1"):
        make_network(make_config(init=str(checkpoint), experts=2), [])


def test_init_with_other_channels_is_refused(make_config: MakeConfig, checkpoint: Path) -> None:
    with pytest.raises(SpecError, match=r"takes 3 channel\(s\), this run 1. Set --in-channels 3"):
        make_network(make_config(init=str(checkpoint), in_channels=1), [])


def test_a_teacher_is_never_trained_and_sees_the_same_inputs(
    make_config: MakeConfig, checkpoint: Path
) -> None:
    assert make_teacher(make_config()) is None
    teacher = make_teacher(make_config(teacher=str(checkpoint)))
    assert teacher is not None
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    with pytest.raises(SpecError, match="both must see the same inputs"):
        make_teacher(make_config(teacher=str(checkpoint), in_channels=1))


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require()
    monkeypatch.setattr("lightawnet_edge.training._NEEDED", ("torch", "no_such_package"))
    with pytest.raises(BackendUnavailableError, match=r"no_such_package not .*lightawnet-edge\[tr"):
        require()
