"""Variational diffusion models: totals in closed form on Gaussian data, and what follows the bound and what its
variance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Gaussian, Moments, Preconditioned, Rng, UserError
from scorefield.likelihood import Real, Softmax
from scorefield.noise import VP, Learned
from scorefield.objectives import VDM

F = torch.float64
LOW, HIGH = -13.3, 5.0


class Exact:
    """E[x₀ | x_t] of N(0, S) data."""

    def __init__(self, process, square):
        self.process, self.square = process, square

    def under(self, process):
        return Exact(process, self.square)

    def __call__(self, x, t):
        alpha, sigma = self.process.scales(t, x)
        return Moments(alpha * self.square / (alpha**2 * self.square + sigma**2) * x)


def _terms(square, objective, n=4096, d=64):
    x = math.sqrt(square) * torch.randn(n, d, dtype=F, generator=torch.Generator().manual_seed(0))
    return x, objective.terms(Exact(Gaussian(Learned(LOW, HIGH)), square), x, Rng(0))


@pytest.mark.parametrize(("square", "rate"), [(1.0, 6.646643163), (0.25, 5.956014634)])
def test_continuous_terms_are_those_of_gaussian_data(square, rate):
    """Diffusion ½[Δγ − ln((S + e^γ₁)/(S + e^γ₀))], reconstruction ½(1 + ln 2π + γ₀) and, with the prior N(0, σ₁²), a
    total that is the entropy: reference values of exact sums. Each mean within 4.5 of its standard errors (false alarm
    1e-5 each); strata make those an upper estimate."""
    closed = 0.5 * (HIGH - LOW - math.log((square + math.exp(HIGH)) / (square + math.exp(LOW))))
    assert closed == pytest.approx(rate, abs=1e-8)
    _, (prior, diffusion, last) = _terms(square, VDM(decoder=Real()))
    last_mean = 0.5 * (1 + math.log(2 * math.pi) + LOW)
    assert last_mean == pytest.approx(-5.231061467, abs=1e-8)
    for found, wanted in ((diffusion, closed), (last, last_mean), (prior, 0.5 * math.exp(-HIGH) * square)):
        assert abs(found.mean() - wanted) < 4.5 * found.std() / math.sqrt(len(found))
    total, entropy = rate + last_mean + 0.5 * math.exp(-HIGH) * square, 0.5 * math.log(2 * math.pi * math.e * square)
    assert 0 < total - entropy < 3e-5


@pytest.mark.parametrize(("steps", "wanted"), [(10, 15.7276), (100, 6.48569), (1000, 6.00624)])
def test_discrete_terms_fall_as_one_over_their_number(steps, wanted):
    _, (_, diffusion, _) = _terms(0.25, VDM(steps=steps))
    assert abs(diffusion.mean() - wanted) < 4.5 * diffusion.std() / math.sqrt(len(diffusion)) + 1e-4


class Line(nn.Module):
    """A network of one weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3, dtype=F))

    def forward(self, x, level):
        return self.weight * x


def _gradients(loss_of, x):
    torch.manual_seed(0)
    denoiser = Preconditioned(Line(), Gaussian(Learned(-5.0, 3.0, 4)), "x0")
    loss_of(VDM(decoder=Softmax(5)), denoiser, x).backward()
    schedule = denoiser.schedule
    return {"net": denoiser.net.weight.grad, "ends": schedule.ends.grad, "inner": schedule.inner.grad}


class Unhooked(VDM):
    """The same loss, all of whose gradients are its own."""

    def _rate(self, denoiser, x0, u, rng, cond):
        from scorefield.objectives import vdm

        hooked, vdm._squared = vdm._squared, lambda part, seen: part
        try:
            return super()._rate(denoiser, x0, u, rng, cond)
        finally:
            vdm._squared = hooked


def test_ends_and_network_follow_the_bound_and_the_interior_its_square():
    """With the same draws: gradients of the loss reach the ends and the network as they are; what reaches the interior
    is the gradient of the squared diffusion term."""
    x = torch.linspace(-1, 1, 5, dtype=F)[torch.randint(0, 5, (64, 3), generator=torch.Generator().manual_seed(1))]
    found = _gradients(lambda vdm, denoiser, x: vdm(denoiser, x, Rng(0)).mean(), x)
    plain = _gradients(lambda vdm, denoiser, x: Unhooked(decoder=vdm.decoder)(denoiser, x, Rng(0)).mean(), x)
    squared = _gradients(
        lambda vdm, denoiser, x: Unhooked(decoder=vdm.decoder).terms(denoiser, x, Rng(0))[1].square().mean(), x
    )
    for name in ("net", "ends"):
        torch.testing.assert_close(found[name], plain[name])
    torch.testing.assert_close(found["inner"], squared["inner"])
    assert not torch.allclose(found["inner"], plain["inner"])


def test_learning_the_interior_makes_the_estimate_vary_less():
    """Of a belief that is wrong at one range of noise: after a hundred steps on the interior alone the standard
    deviation of the diffusion term is down by a tenth at least, and its mean stays (within 4.5 standard errors)."""

    class Wrong(Exact):
        def under(self, process):
            return Wrong(process, self.square)

        def __call__(self, x, t):
            bump = (-(self.process.log_ratio(t) - 1.0).square() * 2).exp().reshape(-1, 1)
            return Moments(super().__call__(x, t).mean * (1 - 0.6 * bump))

    schedule = Learned(-9.0, 5.0, 16, ends=False)
    denoiser, objective = Wrong(Gaussian(schedule), 1.0), VDM()
    x = torch.randn(512, 16, dtype=F, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam([schedule.inner, schedule.line], lr=0.02)
    before = objective.terms(denoiser, x, Rng(1))[1].detach()
    for step in range(100):
        optimizer.zero_grad()
        objective.terms(denoiser, x, Rng(2 + step))[1].mean().backward()
        optimizer.step()
    after = objective.terms(denoiser, x, Rng(1))[1].detach()
    assert after.std() < 0.9 * before.std()
    error = math.sqrt((before.var() + after.var()).item() / len(x))
    assert abs(after.mean() - before.mean()) < 4.5 * error


def test_bad_input():
    with pytest.raises(UserError, match="steps must be at least 1, got 0"):
        VDM(steps=0)
    with pytest.raises(UserError, match="The objective vdm needs a process with interior and held"):
        VDM()(Exact(Gaussian(VP()), 1.0), torch.zeros(2, 2, dtype=F), Rng(0))
