"""Muon: matrices take orthogonal steps, everything else AdamW's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from arcid.train.engine.muon import Muon, is_matrix, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (8, 40), (40, 8)])
def test_a_step_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    scales = torch.logspace(0, -1, shape[1])
    matrix = torch.randn(shape) * scales
    found = orthogonal(matrix)
    assert found.shape == matrix.shape
    values = torch.linalg.svdvals(found)
    assert float(values.min()) > 0.5 and float(values.max()) < 1.3
    torch.testing.assert_close(orthogonal(1000 * matrix), found, rtol=1e-3, atol=1e-4)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert float((found * (left @ right)).sum() / found.norm() / (left @ right).norm()) > 0.95


def test_what_counts_as_a_matrix() -> None:
    assert is_matrix(nn.Conv2d(8, 16, 1).weight)
    assert is_matrix(nn.Conv2d(3, 16, 3).weight)
    assert is_matrix(nn.Linear(4, 4).weight)
    for other in (nn.Conv2d(8, 8, 3, groups=8).weight, nn.Linear(4, 1).weight,
                  nn.Linear(4, 4).bias, nn.PReLU(3).weight):  # fmt: skip
        assert not is_matrix(other)


def fitted(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    """Losses of a regression whose inputs point hardly anywhere but a few ways."""
    rng = torch.Generator().manual_seed(1)
    scales = torch.logspace(0, -1.5, 16)
    wanted = torch.randn(16, 16, generator=rng)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=rng))[0]
    losses = []
    for _ in range(steps):
        drawn = torch.randn(64, 16, generator=rng)
        inputs = (drawn * scales) @ turn
        loss: Tensor = (network(inputs) - drawn @ wanted).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_directions_that_hardly_show_are_learned_too() -> None:
    torch.manual_seed(0)
    network = nn.Linear(16, 16)
    losses = fitted(network, Muon(network.parameters(), 1.0, weight_decay=0), 150)
    assert losses[-1] < 0.05 * losses[0]


def test_other_parameters_move_as_under_adamw() -> None:
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.PReLU(6), nn.BatchNorm2d(6)).double()
    two = copy.deepcopy(one)
    first = Muon(one.parameters(), 0.01, betas=(0.8, 0.99), weight_decay=0.1)
    second = torch.optim.AdamW(two.parameters(), 0.01, betas=(0.8, 0.99), weight_decay=0.1)
    for _ in range(5):
        inputs = torch.randn(4, 6, 8, 8, dtype=torch.float64)
        for network, optimizer in ((one, first), (two, second)):
            optimizer.zero_grad()
            torch.autograd.backward(network(inputs).square().mean())
            optimizer.step()
    for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
        assert mine.equal(theirs)


def test_a_stored_state_goes_on() -> None:
    torch.manual_seed(0)
    network = nn.Linear(16, 16)
    optimizer = Muon(network.parameters(), 0.01)
    fitted(network, optimizer, 3)
    twin = copy.deepcopy(network)
    other = Muon(twin.parameters(), 0.5)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert fitted(network, optimizer, 3) == fitted(twin, other, 3)
