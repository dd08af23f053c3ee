"""Variational dequantisation: q is a density, uniform at first, and makes the bound no looser; the law of importance
sampling has its closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Gaussian, Rng, UserError
from scorefield.core import as_time
from scorefield.denoisers import Dequantised as Spread
from scorefield.nets import Couplings
from scorefield.noise import VP, SubVP
from scorefield.objectives import Dequantised, Importance

F = torch.float64


def _flow(count: int = 4, seed: int = 1) -> Couplings:
    """One that is far from the identity."""
    torch.manual_seed(seed)
    flow = Couplings(1, 8, count).to(F)
    with torch.no_grad():
        for coupling in flow.couplings:
            coupling.layers[-1].weight.normal_(0, 0.3)
            coupling.layers[-1].bias.normal_(0, 0.3)
    return flow


def test_log_q_is_that_of_the_jacobian_and_every_u_lies_in_its_bin():
    flow, x = _flow(), torch.linspace(-1, 1, 4, dtype=F).view(1, 1, 2, 2)
    w = torch.tensor([[[[0.2, 0.7], [0.5, 0.05]]]], dtype=F)
    u, log_q = flow(x, w)
    assert ((u > 0) & (u < 1)).all()
    jacobian = torch.autograd.functional.jacobian(lambda w: flow(x, w)[0].flatten(), w).view(4, 4)
    assert log_q.item() == pytest.approx(-torch.linalg.slogdet(jacobian)[1].item(), abs=1e-9)
    other = flow(x + 0.3, w)[0]
    assert not torch.allclose(u, other)  # it depends on the levels


def test_it_is_uniform_at_first_and_costs_nothing():
    """So the variational bound begins where uniform dequantisation is, and learning can only lower its mean."""
    process = Gaussian(VP())
    torch.manual_seed(0)
    denoiser = Spread(Zero(), process, levels=5, dequantiser=Couplings(1).to(F))
    plain = Spread(Zero(), process, levels=5)
    x = torch.linspace(-1, 1, 5, dtype=F)[torch.randint(0, 5, (16, 1, 4, 4))]
    (learned, log_q), (even, log_even) = denoiser.dequantise(x, Rng(0)), plain.dequantise(x, Rng(0))
    torch.testing.assert_close(learned, even, atol=1e-9, rtol=0)
    torch.testing.assert_close(log_q, log_even, atol=1e-6, rtol=0)
    assert log_even[0].item() == pytest.approx(16 * math.log(4 / 2))  # a density of ½ (L − 1) in bins that wide
    assert ((learned - x).abs() <= 0.25).all()


class Zero(nn.Module):
    """The mean of all data, 0."""

    def forward(self, x, level):
        return torch.zeros_like(x)


def test_learning_q_lowers_the_bound():
    """With an exact denoiser for N(0, 0.3²): on levels ± ½ (three of spacing ½ … 1) the best u leans to the middle. The
    loss after 80 steps on q alone is below that of uniform u by more than 4.5 standard errors of the difference."""
    process, square = Gaussian(VP()), 0.09

    class Net(nn.Module):
        def forward(self, x, level):  # x_t/√(α² S + σ²) ↦ E[x₀ | x_t], level = log σ/α
            ratio = (2 * level).exp().reshape(-1, 1, 1, 1)
            return square * x / (square + ratio).sqrt()

    torch.manual_seed(0)
    denoiser = Spread(Net(), process, "x0", math.sqrt(square), levels=5, dequantiser=Couplings(1, 8, 2).to(F))
    levels = torch.tensor([-0.5, 0.0, 0.5], dtype=F)
    x = levels[torch.randint(0, 3, (256, 1, 2, 2))]
    objective = Dequantised(label_dropout=0.0)
    before = objective(denoiser, x, Rng(1)).detach()
    optimizer = torch.optim.Adam(denoiser.dequantiser.parameters(), lr=0.01)
    for step in range(80):
        optimizer.zero_grad()
        objective(denoiser, x, Rng(2 + step)).mean().backward()
        optimizer.step()
    gain = before - objective(denoiser, x, Rng(1)).detach()
    assert gain.mean() > 4.5 * gain.std() / math.sqrt(len(gain))


@pytest.mark.parametrize(
    ("schedule", "low", "wanted"),
    [
        (VP(), 1e-5, 23.864472), (VP(), 1e-3, 19.165387), (VP(), 1e-2, 16.266070),
        (SubVP(), 1e-5, 37.678946), (SubVP(), 1e-3, 28.280883), (SubVP(), 1e-2, 22.484136),
    ],
)  # fmt: skip
def test_importance_sampling_has_the_normaliser_of_scoreflow(schedule, low, wanted):
    """Z = ∫ g²/σ² dt from low to 1 is the range of the log-SNR, in closed form for VP and sub-VP (reference values);
    and every time has the correction Z/((1 − low) g²/σ²)."""
    process, u = Gaussian(schedule), torch.linspace(0, 1, 9, dtype=F)[:-1]
    t, correction = Importance(low)(u, process)
    beta = schedule.beta_min + (schedule.beta_max - schedule.beta_min) * t
    integral = schedule.beta_min * t + 0.5 * (schedule.beta_max - schedule.beta_min) * t**2
    sub = schedule == SubVP()
    square = beta * (-torch.expm1(-2 * integral) if sub else 1)  # g²
    noise = process.schedule(t).sigma.square()
    torch.testing.assert_close(correction * square / noise * (1 - low), torch.full_like(t, wanted), rtol=1e-6, atol=0)
    total = 2 * (process.log_ratio(as_time(low)) - process.log_ratio(as_time(1.0)))
    assert total.item() == pytest.approx(wanted, abs=1e-5)


def test_the_inverse_of_vp_is_closed():
    """B = ln(1 + e^v), v uniform (for g²/σ² the distribution function is log(e^B − 1)), then t from a quadratic."""
    process, low = Gaussian(VP()), 1e-5
    u = torch.rand(50, dtype=F, generator=torch.Generator().manual_seed(0))
    t = Importance(low)(u, process).t
    ends = [math.log(math.expm1(0.1 * s + 9.95 * s * s)) for s in (low, 1.0)]
    integral = torch.log1p((ends[0] + (ends[1] - ends[0]) * u).exp())
    expected = (-0.1 + (0.01 + 4 * 9.95 * integral).sqrt()) / (2 * 9.95)
    torch.testing.assert_close(t, expected, rtol=1e-6, atol=0)


def test_bad_input():
    with pytest.raises(UserError, match="a width and a count of at least 1, got 0 and 4"):
        Couplings(1, 0)
    with pytest.raises(UserError, match="at least 2 of them, got 1"):
        Spread(Zero(), Gaussian(VP()), levels=1)
