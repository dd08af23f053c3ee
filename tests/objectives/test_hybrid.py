"""The bound's part of the hybrid loss is least at the exact variance, and leaves the mean alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from scorefield import Gaussian, GaussianMixture, Moments, Rng, UserError
from scorefield.denoisers import LearnedVariance
from scorefield.likelihood import gaussian_elbo
from scorefield.noise import BetaTable
from scorefield.objectives import Hybrid

F = torch.float64
LAW = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=F), 0.3)
PROCESS = Gaussian(BetaTable("cosine", 50))


class Spread:
    """The exact belief with its variance multiplied."""

    process = PROCESS

    def __init__(self, factor):
        self.exact, self.factor = LAW.denoiser(PROCESS, variance=True), factor

    def __call__(self, x, t):
        belief = self.exact(x, t)
        return replace(belief, var=self.factor * belief.var)


def test_the_bound_is_least_at_the_exact_variance_and_is_that_of_the_elbo():
    """The same draws for three variances; and T times its mean over two dimensions is the middle term of the bound in
    steps: within 4.5 standard errors of the difference."""
    x, hybrid = LAW.sample(4000, Rng(0)), Hybrid(steps=50)
    found = {factor: hybrid.terms(Spread(factor), x, Rng(1))[1] for factor in (0.5, 1.0, 2.0)}
    assert found[1.0].mean() < found[0.5].mean() and found[1.0].mean() < found[2.0].mean()
    middle = gaussian_elbo(Spread(1.0), x, 50, Rng(2), variance="belief").middle
    mine = 50 * 2 * found[1.0]
    error = (mine.var() / 4000 + middle.var() / 4000).sqrt()
    assert abs(mine.mean() - middle.mean()) < 4.5 * error


def test_the_bound_moves_the_variance_only():
    """Of a network with a learned variance: no gradient reaches what makes the mean, and denoising alone would give the
    variance none."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.share = nn.Parameter(torch.zeros(1, 2, dtype=F)), nn.Parameter(torch.zeros(1, 2, dtype=F))

        def forward(self, x, level):
            return torch.cat([self.mean.expand_as(x), self.share.expand_as(x)], 1)

    net = Two()
    denoiser, x = LearnedVariance(net, PROCESS, steps=50, predict="x0"), LAW.sample(64, Rng(0))
    Hybrid(steps=50).terms(denoiser, x, Rng(1))[1].mean().backward()
    assert net.mean.grad is None or not net.mean.grad.any()
    assert net.share.grad.abs().min() > 0
    Hybrid(steps=50, vlb=0.0)(denoiser, x, Rng(1)).mean().backward()
    assert net.mean.grad.abs().min() > 0


def test_bad_input():
    class Bare:
        process = PROCESS

        def __call__(self, x, t):
            return Moments(x)

    with pytest.raises(UserError, match="needs beliefs with a variance"):
        Hybrid(steps=50)(Bare(), LAW.sample(3, Rng(0)), Rng(0))
    with pytest.raises(UserError, match="at least 2 steps, got 1"):
        Hybrid(steps=1)
    with pytest.raises(UserError, match="at least 0, got -1"):
        Hybrid(vlb=-1.0)
