"""The first diffusion model (Sohl-Dickstein et al. 2015): its bound where it is known, and on its swiss roll."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Gaussian, Rng, UserError, sample
from scorefield.core import as_time
from scorefield.denoisers import Diagonal
from scorefield.likelihood import gaussian_elbo
from scorefield.nets import MLP
from scorefield.noise import VP, BetaTable, LearnedBetas
from scorefield.objectives import ChainBound
from scorefield.objectives.vlb import Vlb
from scorefield.solvers import Ancestral, Uniform
from scorefield.testing import check_denoiser, check_schedule
from tests.denoisers.test_preconditioned import lambda_net

F = torch.float64


class Corners:
    """Stands in for an ``Rng``: with x₀ = ±1 and ε = ±1 equally often, means of quadratic functions are those over data
    and noise of unit second moment, exactly."""

    def normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=F)

    def uniform(self, like: torch.Tensor) -> torch.Tensor:
        return torch.full_like(like, 0.5)


@pytest.mark.parametrize("schedule", [LearnedBetas(40), LearnedBetas(200, 1e-4, 0.06)], ids=repr)
def test_a_network_of_zeros_has_the_bound_of_a_gaussian(schedule):
    """The reverse steps are then the forward kernel, and every KL is what the entropy of N(0, 1) is made of: the bound
    on any law of mean square 1 exceeds ½ log 2πe by what p(x_T) = N(0, σ_T²) costs more than N(0, 1), 1e-12."""
    denoiser = Diagonal(MLP(1, width=8, depth=1, out_channels=2), Gaussian(schedule), 1.0, schedule.steps)
    x0 = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F)
    terms = gaussian_elbo(denoiser, x0, schedule.steps, Corners(), samples=None, variance="belief")
    alpha2, sigma2 = (part.square().item() for part in schedule(as_time(1.0)))
    more = 0.5 * alpha2 / sigma2 + 0.5 * math.log(sigma2)
    assert terms.bound.nats.mean().item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e) + more, abs=1e-12)


def test_learned_betas_are_a_schedule_and_begin_as_the_table_of_ddpm():
    check_schedule(LearnedBetas(40))
    ours, theirs, t = LearnedBetas(1000, 1e-4, 0.02), BetaTable(), torch.linspace(0, 1, 400, dtype=F)
    for a, b in zip(ours(t), theirs(t), strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=2e-6, atol=1e-9)  # the weights are float32
    assert ours.betas[0].item() == 1e-4


def test_the_gradient_of_the_bound_reaches_the_betas():
    """Through x_t with ε held still: against differences of the objective with the same draws."""
    torch.manual_seed(0)
    net = MLP(2, width=8, depth=1, out_channels=4).double()
    nn.init.normal_(net.head.weight, std=0.1)
    schedule = LearnedBetas(6).double()
    denoiser, x0 = Diagonal(net, Gaussian(schedule), 1.0, 6), Rng(0).normal(torch.empty(600, 2, dtype=F))

    def loss() -> torch.Tensor:
        return ChainBound(Vlb(6))(denoiser, x0, Rng(1)).mean()

    loss().backward()
    for i in range(5):
        with torch.no_grad():
            schedule.logits[i] += 1e-5
            more = loss()
            schedule.logits[i] -= 2e-5
            less = loss()
            schedule.logits[i] += 1e-5
        assert ((more - less) / 2e-5).item() == pytest.approx(schedule.logits.grad[i].item(), rel=1e-5, abs=1e-8)


def test_the_objective_is_the_bound():
    """Its mean over draws is ``gaussian_elbo`` without the first step: 4.5 standard errors."""
    torch.manual_seed(0)
    net = MLP(2, width=8, depth=1, out_channels=4).double()
    nn.init.normal_(net.head.weight, std=0.3)
    denoiser = Diagonal(net, Gaussian(LearnedBetas(10)), 1.0, 10)
    x0 = Rng(0).normal(torch.empty(20, 2, dtype=F))
    ours = ChainBound(Vlb(10))(denoiser, x0.repeat(2000, 1), Rng(1)).detach().view(2000, 20).mean(1)
    terms = gaussian_elbo(denoiser, x0.repeat(200, 1), 10, Rng(2), samples=None, variance="belief")
    theirs = (terms.prior + terms.middle).view(200, 20).mean(1) / 2
    error = math.hypot(ours.std().item() / 2000**0.5, theirs.std().item() / 200**0.5)
    assert abs(ours.mean() - theirs.mean()) < 4.5 * error


def test_it_is_a_sound_denoiser_and_its_last_step_is_not_learned():
    torch.manual_seed(0)
    net = lambda_net(nn.Bilinear(3, 1, 6))
    check_denoiser(Diagonal(net, Gaussian(VP()), 0.7), (4, 3))
    denoiser = Diagonal(net, Gaussian(LearnedBetas(10)), 1.0, 10)
    x = Rng(0).normal(torch.empty(4, 3))
    belief, alpha2 = denoiser(x, as_time(0.1)), 1 - 1e-3
    torch.testing.assert_close(belief.mean, alpha2**0.5 * x, rtol=1e-5, atol=1e-6)
    assert belief.var.flatten()[0].item() == pytest.approx(1e-3, rel=1e-3)
    assert (denoiser(x, as_time(0.2)).mean - x).abs().max() > 1e-2


def swiss_roll(n: int, seed: int) -> torch.Tensor:
    """scikit-learn's with noise 1, in two of its dimensions, standardised by the moments of the law."""
    angle = 1.5 * math.pi * (1 + 2 * Rng(seed).uniform(torch.empty(n, dtype=F)))
    clean = torch.stack([angle * angle.cos(), angle * angle.sin()], 1)
    grid = 1.5 * math.pi * (1 + 2 * (torch.arange(100_000, dtype=F) + 0.5) / 100_000)
    law = torch.stack([grid * grid.cos(), grid * grid.sin()], 1)
    return ((clean + Rng(seed + 1).normal(clean) - law.mean(0)) / (law.var(0) + 1).sqrt()).float()


@pytest.mark.slow
def test_the_swiss_roll_of_forty_steps():
    """The bound on fresh points is at most 2.30 nats, where a Gaussian has 2.84 and the law itself about 2.07; learned
    betas have moved; and the chain samples the roll: its mean squares are 1 and most points lie on it."""
    torch.manual_seed(0)
    schedule = LearnedBetas(40)
    denoiser = Diagonal(MLP(2, width=64, depth=3, out_channels=4), Gaussian(schedule), 1.0, 40)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 2500)
    for step in range(2500):
        loss = ChainBound(Vlb(40))(denoiser, swiss_roll(256, 10 * step), Rng(10 * step + 5)).mean()
        optimiser.zero_grad(), loss.backward()
        nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimiser.step(), decay.step()
    fresh = swiss_roll(4000, 10**6)
    found = gaussian_elbo(denoiser, fresh, 40, Rng(0), samples=None, variance="belief").bound.nats
    assert found.mean() < 2.30
    assert found.mean() > 2.05  # no chain can be better than the law
    assert (schedule.betas - LearnedBetas(40).betas).abs().max() > 0.01
    drawn = sample(denoiser, (2000, 2), steps=40, solver=Ancestral(), grid=Uniform(), rng=Rng(1))
    torch.testing.assert_close(drawn.square().mean(0), torch.ones(2), rtol=0.15, atol=0)
    near = torch.cdist(drawn, swiss_roll(20_000, 2)).min(1).values
    usual = torch.cdist(swiss_roll(2000, 5 * 10**6), swiss_roll(20_000, 2)).min(1).values
    assert near.median() < 2 * usual.median()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: LearnedBetas(1), "steps ≥ 2 and β between 0 and 1"),
        (lambda: LearnedBetas(10, 0.0), "β between 0 and 1"),
        (lambda: Diagonal(nn.Identity(), Gaussian(VP()), 0.0), "sigma_data must be greater than 0"),
        (lambda: Diagonal(nn.Identity(), Gaussian(VP()), steps=1), "at least 2 steps, got 1"),
        (
            lambda: Diagonal(lambda_net(nn.Bilinear(3, 1, 3)), Gaussian(VP()))(torch.zeros(2, 3), as_time(0.5)),
            "needs a network that answers 6, got 3. Build it with out_channels=6",
        ),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
