"""Hints: a frozen encoder's maps pull on the student, and leave nothing behind in it."""

from __future__ import annotations

import pytest
import torch

from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.specs import Normalization
from lightawnet_edge.training.hints import TAPS, Encoder, Student
from lightawnet_edge.training.trainer import train
from tests.training.conftest import MakeConfig


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


def test_the_encoder_knows_imagenet_and_gives_one_map_a_stride(encoder: Encoder) -> None:
    frames = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    maps = encoder(frames)
    assert [(stride, m.shape[1]) for stride, m in maps.items()] == [
        (2, 16), (4, 24), (8, 40), (16, 112), (32, 320),
    ]  # fmt: skip
    assert [tuple(m.shape[2:]) for m in maps.values()][-1] == (2, 3)
    # Measured with the packaged weights; an encoder without them gives other numbers.
    assert float(maps[32].abs().mean()) == pytest.approx(1.4315, rel=1e-3)
    assert [*encoder(torch.rand(1, 3, 16, 112))] == [2, 4, 8, 16, 32]


@pytest.mark.parametrize("channels", [1, 3])
def test_hints_reach_every_block_up_to_the_last_tap(channels: int, encoder: Encoder) -> None:
    student = Student(LightAWNet(channels, experts=1), Normalization(), encoder).train()
    _, error = student(torch.rand(2, channels, 32, 48))
    error.backward()
    got = {
        name
        for name, parameter in student.network.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.any())
    }
    assert {"e1.depthwise.weight", "a5.dynamic.bank", "u1.dynamic.bank"} <= got
    assert not any(name.startswith(("u2", "u3", "u4", "out")) for name in got)


def test_learning_lowers_the_error_of_the_hints(encoder: Encoder) -> None:
    torch.manual_seed(0)
    student = Student(LightAWNet(experts=1), Normalization(), encoder).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    frames = torch.rand(2, 3, 32, 32)
    errors = []
    for _ in range(12):
        error = student(frames)[1]
        error.backward()
        optimizer.step()
        optimizer.zero_grad()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.8 * errors[0]


def test_without_an_encoder_there_are_no_hints_and_no_heads() -> None:
    student = Student(LightAWNet(experts=1), Normalization(), None)
    logits, error = student(torch.rand(1, 3, 32, 32))
    assert logits.shape == (1, 1, 32, 32)
    assert float(error) == 0
    assert not list(student.heads.parameters())


def test_the_encoder_is_not_saved_with_the_student(encoder: Encoder) -> None:
    student = Student(LightAWNet(experts=1), Normalization(), encoder)
    names = {name.split(".")[0] for name in student.state_dict()}
    assert names == {"network", "heads"}
    assert set(student.heads) == set(TAPS)


def test_a_run_with_hints_resumes_with_its_heads(make_config: MakeConfig) -> None:
    config = make_config(epochs=1, hints=0.5)
    train(config)
    state = torch.load(config.out / "state.pt", weights_only=True)
    assert any(name.startswith("heads.") for name in state["model"])
    assert train(config, resume=True).epochs == 1
