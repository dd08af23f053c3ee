from __future__ import annotations

import pytest
import torch

from scorefield import Denoising, Gaussian, GaussianMixture, Moments, Rng, UserError
from scorefield.core import as_time
from scorefield.noise import VP, Cosine, Flow, SubVP
from scorefield.objectives import (
    P2,
    EDMWeight,
    FlowWeight,
    Importance,
    Likelihood,
    LogitNormal,
    LogNormal,
    MinSNR,
    Sigmoid,
    Simple,
    Stratified,
    Uniform,
)

U = torch.linspace(0, 1, 4001, dtype=torch.float64)[1:-1]


@pytest.mark.parametrize(
    ("weight", "formula"),  # in terms of SNR, from the papers
    [
        (Simple(), lambda snr: snr),
        (EDMWeight(0.5), lambda snr: (1 / snr + 0.25) / (1 / snr * 0.25)),  # (σ² + σ_d²)/(σ σ_d)² at α = 1
        (FlowWeight(), lambda snr: (1 + snr.sqrt()) ** 2),
        (MinSNR(5.0), lambda snr: snr.clamp_max(5)),
        (P2(1.0, 0.5), lambda snr: snr / (1 + snr).sqrt()),
        (Sigmoid(2.0), lambda snr: snr / (1 + snr * torch.e**-2)),
    ],
    ids=["simple", "edm", "flow", "min-snr", "p2", "sigmoid"],
)
@pytest.mark.parametrize("schedule", [VP(), Flow(), Cosine()], ids=repr)
def test_weights_are_their_formulas(weight, formula, schedule):
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    torch.testing.assert_close(weight(Gaussian(schedule), t), formula(schedule(t).snr), rtol=1e-9, atol=0)


def test_likelihood_weight_is_the_slope_of_the_snr():
    """∫ w dt = ½ (SNR(a) − SNR(b)), by Simpson's rule on 2,000 intervals: relative error below 1e-6."""
    t = torch.linspace(0.2, 0.9, 2001, dtype=torch.float64)
    w = Likelihood()(Gaussian(VP()), t)
    simpson = (w[0] + w[-1] + 4 * w[1:-1:2].sum() + 2 * w[2:-1:2].sum()) * (0.7 / 2000) / 3
    snr = VP()(t).snr
    assert simpson.item() == pytest.approx(0.5 * (snr[0] - snr[-1]).item(), rel=1e-6)


def test_log_normal_and_logit_normal_have_their_quantiles():
    process = Gaussian(VP())
    level = -process.log_ratio(LogNormal(-1.2, 1.2)(U, process).t)
    inner = level > -process.log_ratio(as_time(1e-9))
    torch.testing.assert_close(level[inner], (-1.2 + 1.2 * torch.special.ndtri(U))[inner], rtol=0, atol=1e-6)
    t = LogitNormal(0.5, 2.0)(U, process).t
    torch.testing.assert_close(t.logit(), 0.5 + 2 * torch.special.ndtri(U))


@pytest.mark.parametrize("schedule", [VP(), SubVP(), Flow(), Cosine()], ids=repr)
def test_importance_changes_the_variance_and_not_the_expectation(schedule):
    """E_p[f/p] = E_U[f] for a smooth f, by quadrature over the quantiles (midpoint rule, 4,000 nodes: error < 1e-4)."""
    process = Gaussian(schedule)
    f = lambda t: (3 * t).sin() + t**2  # noqa: E731
    u = (torch.arange(40_000, dtype=torch.float64) + 0.5) / 40_000
    draw = Importance(0.05)(u, process)
    low = max(0.05, draw.t.min().item())
    uniform = Uniform(0.05)(u, process).t
    want = (f(uniform) * (uniform <= draw.t.max())).mean()  # at zero terminal SNR the range ends at log α/σ = −10
    assert (f(draw.t) * draw.correction).mean().item() == pytest.approx(want.item(), abs=2e-4)
    weighted = Likelihood()(process, draw.t) * draw.correction / schedule(draw.t).snr
    assert weighted.std() < 1e-6 * weighted.mean(), "the likelihood weight on ε must be constant under this law"
    assert low >= 0.05 - 1e-9


def test_stratified_draws_one_time_in_each_slice():
    u = torch.rand(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = Stratified(Uniform(1e-9))(u, Gaussian(VP())).t
    assert (t * 64).floor().tolist() == list(range(64))


def test_the_exact_denoiser_beats_every_perturbation_of_it():
    """The minimiser of denoising score matching is E[x₀ | x_t] (Vincent 2011): any affine change raises the loss."""
    law = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]).double(), 0.3)
    process, x0 = Gaussian(VP()), law.sample(20_000, Rng(0))
    exact = law.denoiser(process)
    objective = Denoising(Stratified(Uniform()), MinSNR(), 0.0)

    def loss(scale, shift):
        class Bent:
            process = exact.process

            def __call__(self, x, t):
                return Moments(scale * exact(x, t).mean + shift)

        return objective(Bent(), x0, Rng(1)).mean().item()  # the same times and noise for all: a paired comparison

    best = loss(1.0, 0.0)
    assert all(loss(*bent) > best for bent in [(1.05, 0.0), (0.95, 0.0), (1.0, 0.05), (1.0, -0.05)])


def test_label_dropout_is_a_fraction_and_spares_the_callers_labels():
    seen = []

    class Spy:
        process = Gaussian(VP())

        def __call__(self, x, t, label):
            seen.append(label)
            return Moments(x)

    labels = torch.arange(10_000) % 10
    Denoising(label_dropout=0.2)(Spy(), torch.zeros(10_000, 1), Rng(0), label=labels)
    dropped = (seen[0] == -1).double().mean().item()
    assert abs(dropped - 0.2) < 5 * (0.2 * 0.8 / 10_000) ** 0.5  # 5 sd of a binomial: false alarm 6e-7
    assert (labels >= 0).all()
    assert torch.equal(seen[0][seen[0] >= 0], labels[seen[0] >= 0])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Denoising(label_dropout=1.5), "label_dropout must be between 0 and 1, got 1.5"),
        (lambda: LogNormal(std=0), "times.std must be greater than 0, got 0"),
        (lambda: Uniform(low=0), "times.low must be between 0 and 1, got 0"),
    ],
)
def test_impossible_arguments_say_so(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
