from __future__ import annotations

import torch

from scorefield import Gaussian, GaussianMixture, Moments, Rng
from scorefield.core import as_time
from scorefield.noise import VP, Flow


def test_reverse_is_the_ddpm_posterior():
    """η = 1 equals q(x_{n−1} | x_n, x₀) = N(c₁ x₀ + c₂ x_n, β̃) (Ho et al. 2020, eq. 6–7), with β from the schedule."""
    process, x0, x = Gaussian(VP()), torch.tensor([[0.3]]).double(), torch.tensor([[1.7]]).double()
    t, s = as_time(0.6), as_time(0.55)
    bar_t, bar_s = (process.schedule(u).alpha.square() for u in (t, s))
    beta = 1 - bar_t / bar_s
    mean = bar_s.sqrt() * beta / (1 - bar_t) * x0 + (1 - beta).sqrt() * (1 - bar_s) / (1 - bar_t) * x
    var = beta * (1 - bar_s) / (1 - bar_t)
    z = Rng(3).normal(x)
    torch.testing.assert_close(process.reverse(x, Moments(x0), t, s, Rng(3)), mean + var.sqrt() * z)


def test_score_tilt_and_velocity_agree_with_the_mixture():
    law = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]).double(), 0.4)
    process, t = Gaussian(VP()), as_time(0.4)
    x = law.noised(*process.schedule(t)).sample(64, Rng(0))
    belief = law.denoiser(process)(x, t)
    truth = law.noised(*process.schedule(t)).score(x)
    torch.testing.assert_close(process.score(x, belief, t), truth)
    # tilting the prior N(0, ∞) belief by the score itself gives back Tweedie's mean: x/α + σ²/α · score
    flat = Moments(x / process.schedule(t).alpha)
    torch.testing.assert_close(process.tilt(x, flat, truth, t).mean, belief.mean)
    # the flow carries density: d log p_t/dt along it is −div v, checked on the whole law by central differences
    h = 1e-5
    ahead = law.noised(*process.schedule(t + h)).log_prob(x + h * process.velocity(x, belief, t))
    behind = law.noised(*process.schedule(t - h)).log_prob(x - h * process.velocity(x, belief, t))
    field = lambda y: process.velocity(y, law.denoiser(process)(y, t), t)  # noqa: E731
    jacobian = torch.func.vmap(torch.func.jacfwd(lambda y: field(y[None])[0]))(x)
    divergence = jacobian.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close((ahead - behind) / (2 * h), -divergence, rtol=0, atol=1e-6)  # O(h²) + 1e-16/h


def test_prior_and_log_prior():
    process = Gaussian(Flow())
    x = process.prior(torch.empty(5, 3), Rng(0))
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(process.log_prior(x), normal.log_prob(x).sum(1))


def test_a_beliefs_variance_widens_the_step():
    """Total variance: with Var[x₀|x_t] the reverse step of a two-point law has the right second moment."""
    process, t, s = Gaussian(VP()), as_time(0.8), as_time(0.2)
    x, rng = torch.zeros(200_000, 1).double(), Rng(1)
    narrow = process.reverse(x, Moments(torch.zeros_like(x)), t, s, rng)
    wide = process.reverse(x, Moments(torch.zeros_like(x), torch.full_like(x, 4.0)), t, s, rng)
    (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
    aim = a_s - a_t**2 / a_s * s_s**2 / s_t**2  # coefficient of x₀ in the mean of q(x_s | x_t, x₀)
    # variance of a sample variance: 2σ⁴/n, so 5 sd is a relative 5 √(2/n) = 1.6 %; false alarm 6e-7
    assert abs((wide.var() - narrow.var()) / (4 * aim**2) - 1) < 0.032
