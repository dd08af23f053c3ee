from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError
from scorefield.core import as_time
from scorefield.noise import VP, Cosine
from scorefield.testing import check_denoiser


@pytest.fixture
def law() -> GaussianMixture:
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5]]).double()
    covs = torch.tensor([[[0.1, 0.0], [0.0, 0.1]], [[0.3, 0.1], [0.1, 0.2]]]).double()
    return GaussianMixture(torch.tensor([0.3, 0.7]).double(), means, covs)


def test_density_is_torch_distributions(law):
    x = Rng(0).normal(torch.empty(50, 2).double())
    parts = torch.distributions.MultivariateNormal(law.means, law.covs)
    oracle = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(law.weights), parts)
    torch.testing.assert_close(law.log_prob(x), oracle.log_prob(x))
    score = torch.func.vmap(torch.func.grad(lambda y: oracle.log_prob(y)))(x)
    torch.testing.assert_close(law.score(x), score)


def test_denoiser_is_bayes_by_quadrature(law):
    """E and Var of x₀ | x_t by the trapezoid rule on a 401² grid over ±6: errors far below 1e-6."""
    process, t = Gaussian(VP()), as_time(0.35)
    alpha, sigma = process.schedule(t)
    axis = torch.linspace(-6, 6, 401).double()
    grid = torch.cartesian_prod(axis, axis)
    x = torch.tensor([[0.4, -0.2], [-1.5, 1.0]]).double()
    log_w = law.log_prob(grid) - 0.5 * ((x[:, None] - alpha * grid) / sigma).square().sum(-1)
    w = log_w.softmax(-1)
    mean = w @ grid
    var = (w[..., None] * (grid - mean[:, None]).square()).sum(1)
    belief = law.denoiser(process, variance=True)(x, t)
    torch.testing.assert_close(belief.mean, mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(belief.var, var, rtol=0, atol=1e-6)
    check_denoiser(law.denoiser(process, variance=True), (4, 2))
    check_denoiser(law.denoiser(Gaussian(Cosine())), (4, 2))


def test_posterior_is_bayes_by_reweighting(law):
    A, y, std = torch.tensor([[1.0, 0.5]]).double(), torch.tensor([0.4]).double(), 0.3
    post = law.posterior(A, y, std)
    x = Rng(1).normal(torch.empty(50, 2).double())
    joint = law.log_prob(x) - 0.5 * ((y - x @ A.mT) / std).square().sum(-1)
    offset = joint - post.log_prob(x)  # the log evidence, the same at every x
    torch.testing.assert_close(offset, offset.mean().expand(50), rtol=0, atol=1e-10)


def test_samples_have_the_moments_of_the_law(law):
    """n = 200,000: each mean has sd ≤ 0.003, each covariance sd ≤ √(kurtosis/n) ≤ 0.005; false alarm 1e-5."""
    x = law.sample(200_000, Rng(0))
    torch.testing.assert_close(x.mean(0), law.mean, rtol=0, atol=0.015)
    torch.testing.assert_close(x.T.cov(), law.cov, rtol=0, atol=0.025)
    fresh = law.noised(0.5, 2.0)
    torch.testing.assert_close(fresh.cov, 0.25 * law.cov + 4 * torch.eye(2).double())


def test_a_law_that_is_none_says_so(law):
    with pytest.raises(UserError, match=r"weights \(K,\), means \(K, D\) and covs \(K, D, D\), got"):
        GaussianMixture(law.weights, law.means[0], law.covs)
    with pytest.raises(UserError, match="sum to 1, got"):
        GaussianMixture(2 * law.weights, law.means, law.covs)
