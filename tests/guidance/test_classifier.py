"""Classifier guidance is Bayes' rule: with the exact class posterior of a mixture it is the class's own denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from scorefield import Gaussian, GaussianMixture, Rng, sample, solver
from scorefield.belief import Logits, Moments
from scorefield.errors import UserError
from scorefield.guidance import Classifier
from scorefield.noise import VP, Cosine, Flow

CLASSES = torch.tensor([0, 0, 1, 2])  # of the components
MEANS = torch.tensor([[-2.0, 0.0], [0.5, 1.5], [2.0, 0.0], [0.0, -2.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.1, 0.3, 0.4, 0.2], dtype=torch.float64)
MIXTURE = GaussianMixture.isotropic(MEANS, 0.4, WEIGHTS)


@dataclass(frozen=True)
class Exact:
    """p(class | x_t) of the mixture, in closed form."""

    process: Gaussian

    def __call__(self, x: Tensor, t: Tensor) -> Logits:
        alpha, sigma = self.process.schedule(t)
        variance = (alpha**2 * 0.4**2 + sigma**2).reshape(-1, 1)
        away = (x[:, None] - alpha.reshape(-1, 1, 1) * MEANS).square().sum(-1)
        parts = WEIGHTS.log() - 0.5 * away / variance
        of = [parts[:, k == CLASSES].logsumexp(1) for k in range(3)]
        return Logits(torch.stack(of, 1))


def of_class(k: int) -> GaussianMixture:
    own = k == CLASSES
    return GaussianMixture.isotropic(MEANS[own], 0.4, WEIGHTS[own] / WEIGHTS[own].sum())


@pytest.mark.parametrize("schedule", [VP(), Cosine(), Flow()], ids=repr)
def test_with_the_exact_posterior_it_is_the_denoiser_of_the_class(schedule: Any):
    """To rounding, at one time for all and at one each, at every noise level, and with gradients switched off."""
    process = Gaussian(schedule)
    guided = Classifier(MIXTURE.denoiser(process), Exact(process))
    x = Rng(0).normal(torch.empty(9, 2, dtype=torch.float64))
    for t in (torch.tensor(0.02).double(), torch.tensor(0.6).double(), torch.linspace(0.05, 0.99, 9).double()):
        for k in range(3):
            label = torch.full((9,), k)
            with torch.no_grad():
                ours = guided(x, t, label=label)
            torch.testing.assert_close(ours.mean, of_class(k).denoiser(process)(x, t).mean, rtol=1e-9, atol=1e-9)
            assert not ours.mean.requires_grad


def test_no_label_no_scale_and_other_levels_are_not_guided():
    process = Gaussian(VP())
    inner = MIXTURE.denoiser(process)
    x, t = Rng(1).normal(torch.empty(4, 2, dtype=torch.float64)), torch.tensor(0.5).double()
    plain, label = inner(x, t).mean, torch.tensor([1, -1, 2, -1])
    guided = Classifier(inner, Exact(process))(x, t, label=label).mean
    assert torch.equal(guided[label < 0], plain[label < 0]) and not torch.equal(guided[0], plain[0])
    low = Classifier(inner, Exact(process), interval=(0.0, 0.1))
    for unguided in (Classifier(inner, Exact(process), 0.0), low, Classifier(inner, Exact(process), lambda level: 0.0)):
        assert torch.equal(unguided(x, t, label=label.clamp_min(0)).mean, plain)
    assert torch.equal(Classifier(inner, Exact(process))(x, t).mean, plain)


def test_where_nothing_of_the_data_is_left_nothing_is_added():
    """α = 0 at t = 1 of Flow: σ²/α is infinite and the gradient nothing."""
    process = Gaussian(Flow())
    guided = Classifier(MIXTURE.denoiser(process), Exact(process), 2.0)
    x, label = Rng(2).normal(torch.empty(3, 2, dtype=torch.float64)), torch.tensor([0, 1, 2])
    one = torch.tensor(1.0).double()
    assert torch.equal(guided(x, one, label=label).mean, guided.inner(x, one).mean)
    mixed = guided(x, torch.tensor([1.0, 0.5, 1.0]).double(), label=label).mean
    assert mixed.isfinite().all() and torch.equal(mixed[0], guided.inner(x, one).mean[0])


def test_samples_are_those_of_the_class():
    """The mean and the spread of 4,000 samples of class 0, within 4.5 standard errors: false alarms 3e-5."""
    process = Gaussian(VP())
    guided = Classifier(MIXTURE.denoiser(process), Exact(process))
    n, law = 4000, of_class(0)
    x = sample(guided, (n, 2), steps=40, solver=solver("heun"), dtype=torch.float64, label=torch.zeros(n).long())
    assert ((x.mean(0) - law.mean).abs() < 4.5 * (law.cov.diagonal() / n).sqrt()).all()
    left = (x[:, 0] < -0.75).double().mean()  # the component of weight ¼, 3.1 standard deviations away on either side
    assert abs(left - 0.25) < 4.5 * (0.25 * 0.75 / n) ** 0.5 + 0.002


def test_what_is_told_and_what_is_refused():
    process = Gaussian(VP())

    class Told:
        """A denoiser that believes the label that it is told."""

        process = Gaussian(VP())

        def __call__(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Moments:
            return Moments(torch.zeros_like(x) if label is None else torch.zeros_like(x) + label[:, None])

    x, t, label = torch.zeros(2, 2).double(), torch.tensor(0.5).double(), torch.tensor([1, 2])
    apart = [Classifier(Told(), Exact(process), 1.0, told=told)(x, t, label=label).mean for told in (True, False)]
    torch.testing.assert_close(apart[0] - apart[1], label[:, None].expand(2, 2).double())
    with pytest.raises(UserError, match="0 ≤ low < high"):
        Classifier(Told(), Exact(process), interval=(2.0, 1.0))
    with pytest.raises(UserError, match="a label for each of 2 examples, got 3"):
        Classifier(Told(), Exact(process))(x, t, label=torch.tensor([0, 1, 2]))
