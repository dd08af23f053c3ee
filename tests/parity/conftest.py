"""What every parity test stands on: one exact denoiser, one walk of ours, and our noise in the peer's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import scorefield as sf

POINTS = 5


@pytest.fixture
def exact() -> Callable[[Any], Any]:
    """schedule ↦ the exact denoiser of a skewed mixture in two dimensions: nothing linear, nothing symmetric."""
    means = torch.tensor([[-1.0, 0.3], [0.8, 0.6], [0.2, -1.1]], dtype=torch.float64)
    covs = torch.stack([s**2 * torch.eye(2, dtype=torch.float64) for s in (0.2, 0.35, 0.5)])
    law = sf.GaussianMixture(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), means, covs)
    return lambda schedule: law.denoiser(sf.Gaussian(schedule))


@pytest.fixture
def noise() -> Tensor:
    """The standard normal start, (5, 2)."""
    return sf.Rng(7).normal(torch.empty(POINTS, 2, dtype=torch.float64))


@pytest.fixture
def draws() -> Callable[[Tensor], Callable[..., Tensor]]:
    """like ↦ a function of anything that returns, call by call, the draws that our walk makes."""

    def make(like: Tensor) -> Callable[..., Tensor]:
        rng = sf.Rng(11)
        return lambda *args, **how: rng.normal(like)

    return make


@pytest.fixture
def ours() -> Callable[..., Tensor]:
    """(denoiser, solver, x at times[0], times) ↦ x at times[-1], with the noise of ``draws``."""

    def walk(denoiser: Any, solver: Any, x: Tensor, times: Tensor) -> Tensor:
        solver = sf.solver(solver) if isinstance(solver, str) else solver
        return list(sf.trajectory(denoiser, x, times, solver=solver, rng=sf.Rng(11)))[-1].x

    return walk
