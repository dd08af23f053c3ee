"""What samplers are held against: exact chains of Gaussian priors, and distances from posteriors beside a floor."""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from scorefield.analytic.inverse import mode_error
from scorefield.belief import Moments
from scorefield.core import Rng
from scorefield.metrics.sliced import sliced_wasserstein
from scorefield.solvers import Exponential, tabulate


class Round:
    """The exact denoiser of unit Gaussians, without the rotations that a ``GaussianMixture`` allows for."""

    def __init__(self, law, process) -> None:
        self.law, self.process = law, process

    def __call__(self, x, t):
        alpha, sigma = self.process.scales(t, x)
        var, means = alpha**2 + sigma**2, self.law.means
        fit = (alpha * x @ means.mT - 0.5 * alpha**2 * means.square().sum(1)) / var
        base = (self.law.weights.log() + fit).softmax(-1) @ means
        return Moments(base + alpha / var * (x - alpha * base))


def log_evidence(bench) -> float:
    """log p(y) of a bench, in closed form."""
    A, prior = bench.operator.A, bench.prior
    S = A @ prior.covs @ A.mT + bench.std**2 * torch.eye(len(bench.y)).double()
    each = torch.distributions.MultivariateNormal(prior.means @ A.mT, S).log_prob(bench.y)
    return torch.logsumexp(prior.weights.log() + each, 0).item()


def chain_covariance(cov, process, times, order, until=None):
    """Cov of x at the end (or at times[until]) of the unguided sampler of N(0, cov): x is a linear map of independent
    noises, and so is every belief."""
    d, eye = len(cov), torch.eye(len(cov)).double()
    rows = tabulate(Exponential(order, eta=1.0), process, times).rows
    x = torch.zeros(d, d * (len(rows) + 1)).double()
    x[:, :d] = process.schedule(times[0]).sigma * eye
    past = []
    for i, (t, _) in enumerate(pairwise(times.unbind())):
        if i == until:
            break
        alpha, sigma = process.schedule(t)
        belief = alpha * cov @ torch.linalg.inv(alpha**2 * cov + sigma**2 * eye) @ x
        past = [belief, *past]
        x = rows[i].keep * x + sum(c * D for c, D in zip(rows[i].beliefs, past, strict=False))
        x[:, d * (i + 1) : d * (i + 2)] += rows[i].fresh * eye
    return x @ x.mT


def distances(x, posterior, seed: int = 0) -> tuple[float, float, float]:
    """(SW₂ to as many exact draws, SW₂ between two sets of exact draws, mode error). Both distances are means over
    four pairs, since those of far modes differ much from pair to pair."""
    sets = [posterior.sample(len(x), Rng(900 + 8 * seed + i)) for i in range(8)]
    pairs = [(x, some) for some in sets[:4]], list(zip(sets[:4], sets[4:], strict=True))
    far, floor = (average([[sliced_wasserstein(a, b, projections=64).value] for a, b in each])[0] for each in pairs)
    return far, floor, mode_error(x, posterior)


def average(rows) -> list[float]:
    """Column means."""
    return torch.tensor(rows).double().mean(0).tolist()


def z_of_evidence(log_evidence, exact: float) -> float:
    """By how many standard errors the mean of Ẑ/Z differs from 1, of independent Ẑ."""
    ratio = (log_evidence - exact).exp()
    return ((ratio.mean() - 1) / (ratio.std() / math.sqrt(len(ratio)))).item()
