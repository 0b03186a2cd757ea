"""Muon: steps of known size in directions that are orthogonal."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lightawnet_edge.training.muon import Muon, matrices, orthogonalize


@pytest.mark.parametrize("shape", [(3, 8, 40), (1, 40, 8), (2, 16, 16)])
def test_singular_values_come_close_to_one(shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(x))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


def test_singular_vectors_stay() -> None:
    x = torch.randn(1, 6, 20, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    core = u.mT @ orthogonalize(x) @ vh.mT
    off = core - torch.diag_embed(torch.diagonal(core, dim1=-2, dim2=-1))
    assert float(off.abs().max()) < 1e-4


def test_each_expert_of_a_bank_is_a_matrix_of_its_own() -> None:
    bank = torch.randn(4, 8, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    assert matrices(bank).shape == (4, 8, 54)
    assert matrices(bank[0]).shape == (1, 8, 54)
    torch.testing.assert_close(
        orthogonalize(matrices(bank))[2:3], orthogonalize(matrices(bank[2])), atol=1e-5, rtol=1e-5
    )


def test_the_size_of_a_step_is_the_learning_rate_whatever_the_gradient() -> None:
    for scale in (1e-4, 1.0, 1e4):
        weight = nn.Parameter(torch.zeros(4, 4, 3, 3))
        weight.grad = scale * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        Muon([weight], lr=0.1).step()
        values = torch.linalg.svdvals(matrices(weight.detach()))
        assert values.tolist()[0] == pytest.approx([0.1] * 4, rel=0.4)


def test_decay_is_decoupled_from_the_gradient() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.zeros(2, 2)
    Muon([weight], lr=0.5, weight_decay=0.1).step()
    assert torch.allclose(weight.detach(), torch.full((2, 2), 0.95))


def test_a_parameter_without_gradient_stays() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    Muon([weight], lr=0.5, weight_decay=0.1).step()
    assert torch.equal(weight.detach(), torch.ones(2, 2))
