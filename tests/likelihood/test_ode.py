"""Log-likelihood by the flow against densities in closed form; Hutchinson's estimator against its own theory."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Moments, Rng, UserError, masking
from scorefield.core import as_time
from scorefield.likelihood import Adams, decode, encode, interpolate, log_prob
from scorefield.likelihood.ode import slerp
from scorefield.noise import EDM, VE, VP, BetaTable, Flow
from tests.components import CONTINUOUS

F = torch.float64
COV = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=F)
GAUSS = GaussianMixture(torch.ones(1, dtype=F), torch.tensor([[1.0, -0.5]], dtype=F), COV[None])
MIXED = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.7]], dtype=F), 0.15)
SCHEDULES = [*CONTINUOUS, BetaTable()]


def last_law(law: GaussianMixture, schedule) -> GaussianMixture:
    """The law of data noised to t = 1, which the prior only comes near."""
    return law.noised(*schedule(as_time(1.0)))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("law", [GAUSS, MIXED], ids=["gauss", "mixture"])
def test_log_density_of_known_laws(law, schedule):
    """Within 1e-3 nats at the usual tolerance of 1e-5, where p₁ is the true one; and with the prior of the process the
    density is exactly that of its model: the truth and log π(x₁) − log p₁(x₁)."""
    x = law.sample(16, Rng(0))
    denoiser, noised = law.denoiser(Gaussian(schedule)), last_law(law, schedule)
    found = log_prob(denoiser, x, log_prior=noised.log_prob)
    assert (found.nats - law.log_prob(x)).abs().max() < 1e-3
    assert (found.error == 0).all() and found.evaluations.max() < 75
    model = log_prob(denoiser, x)
    sigma = schedule(as_time(1.0)).sigma
    prior = torch.distributions.Normal(0.0, sigma).log_prob(model.latent).sum(1)
    torch.testing.assert_close(model.nats - found.nats, prior - noised.log_prob(model.latent), rtol=0, atol=1e-5)


@pytest.mark.parametrize("schedule", [VP(beta_max=50.0), VE(sigma_max=1e5), EDM(1e5), Flow()], ids=repr)
def test_with_enough_noise_at_the_end_the_prior_is_that_of_the_process(schedule):
    x = MIXED.sample(8, Rng(1))
    assert (log_prob(MIXED.denoiser(Gaussian(schedule)), x).nats - MIXED.log_prob(x)).abs().max() < 1e-3


def test_the_error_follows_the_tolerance_and_the_clean_end():
    """At rtol 1e-8 what is left is the half step from σ/α = sigma_min to clean data: 1.5e-7 nats at 0.002."""
    x = MIXED.sample(16, Rng(0))
    denoiser, prior = MIXED.denoiser(Gaussian(VP())), last_law(MIXED, VP()).log_prob
    for rtol, bound in ((1e-4, 1e-2), (1e-6, 1e-4), (1e-8, 1e-6)):
        found = log_prob(denoiser, x, solver=Adams(rtol), log_prior=prior)
        assert (found.nats - MIXED.log_prob(x)).abs().max() < bound


def test_hutchinson_is_unbiased_with_the_variance_of_theory():
    """10,000 probes at one point of N(0, C). Relative to N(0, I) log p is a constant and vᵀA v, A = −½ log C:
    Rademacher probes have variance 2(‖A‖² − Σ a_ii²) and Gaussian ones 2‖A‖². The mean is within 4 standard errors of
    the exact one (false alarm 6e-5) and the variance within 15 %, 4 of its standard errors at the kurtosis 15 that a
    Gaussian form has at most; the seeds are fixed."""
    law = GaussianMixture(torch.ones(1, dtype=F), torch.zeros(1, 2, dtype=F), COV[None])
    denoiser, x = law.denoiser(Gaussian(EDM(50.0))), torch.tensor([[0.7, -0.4]], dtype=F)
    exact = log_prob(denoiser, x).nats
    values, axes = torch.linalg.eigh(COV)
    A = axes @ torch.diag(-0.5 * values.log()) @ axes.T
    norm2 = A.square().sum()
    for name, want in (("rademacher", 2 * (norm2 - A.diagonal().square().sum())), ("gaussian", 2 * norm2)):
        found = log_prob(denoiser, x.expand(10_000, 2), divergence=name, solver=Adams(1e-4)).nats
        assert (found.mean() - exact).abs() < 4 * found.std() / 100
        assert found.var() == pytest.approx(want.item(), rel=0.15)


def test_the_standard_error_of_probes_is_that_of_their_mean():
    """2,000 times 4 probes at one point of a mixture: the mean square of the error is the variance of the estimates,
    within 25 %, 4 deviations (kurtosis of a mean of four at most 3 + 12/4, so 5 % and 3 % relative). One probe has no
    error."""
    x, solver = MIXED.sample(1, Rng(3)).expand(2000, 2), Adams(1e-3)
    denoiser = MIXED.denoiser(Gaussian(VP()))
    found = log_prob(denoiser, x, divergence="gaussian", probes=4, solver=solver)
    assert found.error.square().mean() == pytest.approx(found.nats.var().item(), rel=0.25)
    assert log_prob(denoiser, x[:2], divergence="gaussian", solver=solver).error.isnan().all()


def test_no_example_depends_on_its_batch():
    x = MIXED.sample(5, Rng(0))
    x[2] *= 20
    denoiser, how = MIXED.denoiser(Gaussian(VP())), {"divergence": "rademacher", "probes": 2}
    together = log_prob(denoiser, x, **how)
    for i in (1, 2, 4):
        alone = log_prob(denoiser, x[i : i + 1], rng=Rng.each(0, [i]), **how)
        torch.testing.assert_close(alone.nats[0], together.nats[i], rtol=1e-9, atol=1e-9)
        assert alone.evaluations[0] == together.evaluations[i]


def test_gaussian_data_of_the_scale_stand_still():
    """N(0, c² I): u does not move and the divergence is 0, so steps double up to the longest, 0.5 in log σ/α."""
    law = GaussianMixture.isotropic(torch.zeros(1, 3, dtype=F), 0.5)
    x = law.sample(4, Rng(0))
    found = log_prob(law.denoiser(Gaussian(EDM(1e4))), x, scale=0.5)
    assert (found.nats - law.log_prob(x)).abs().max() < 1e-6
    assert (found.evaluations == 2 + 5 + 30).all()  # of log(1e4/0.002) = 15.4, five steps from 0.016 on cover 0.5


@pytest.mark.parametrize("schedule", CONTINUOUS, ids=repr)
def test_encoding_and_decoding(schedule):
    """On a Gaussian the latent is known: x₁ − α₁ m scales by √((α₁² S + σ₁²)/S) along each axis. Decoding goes back."""
    process = Gaussian(schedule)
    x, solver = GAUSS.sample(6, Rng(0)), Adams(1e-7)
    z = encode(GAUSS.denoiser(process), x, solver=solver)
    alpha, sigma = schedule(as_time(1.0))
    values, axes = torch.linalg.eigh(COV)
    grow = axes @ torch.diag(((alpha**2 * values + sigma**2) / values).sqrt()) @ axes.T
    torch.testing.assert_close(z, alpha * GAUSS.means + (x - GAUSS.means) @ grow, rtol=3e-5, atol=3e-5)
    torch.testing.assert_close(decode(GAUSS.denoiser(process), z, solver=solver), x, rtol=3e-5, atol=3e-5)


def test_interpolation_is_on_the_great_circle_between_latents():
    denoiser, solver = MIXED.denoiser(Gaussian(Flow())), Adams(1e-7)
    a, b = torch.tensor([[1.1, 0.1], [-0.9, 0.4]], dtype=F)
    path = interpolate(denoiser, a, b, [0.0, 0.5, 1.0], solver=solver)
    torch.testing.assert_close(path[[0, 2]], torch.stack([a, b]), rtol=0, atol=1e-4)
    ends, middle = encode(denoiser, torch.stack([a, b]), solver=solver), encode(denoiser, path[1:2], solver=solver)
    torch.testing.assert_close(middle[0], slerp(ends[0], ends[1], torch.tensor([0.5]))[0], rtol=0, atol=1e-4)
    turned = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([1 / 3]))
    torch.testing.assert_close(turned, torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]]))
    torch.testing.assert_close(slerp(a, a, torch.tensor([0.3], dtype=F))[0], a)


class Told:
    """Standard normal data around what each example is told."""

    process = Gaussian(Flow())

    def __call__(self, x, t, *, centre):
        alpha, sigma = self.process.scales(t, x)
        return Moments(centre + alpha / (alpha**2 + sigma**2) * (x - alpha * centre))


def test_conditions_go_with_their_examples_also_when_others_have_arrived():
    x = torch.tensor([[0.3, 0.1], [5.0, 4.0], [-2.0, 9.0]], dtype=F)
    centre = torch.tensor([[0.0, 0.0], [5.0, 4.0], [1.0, 8.0]], dtype=F)
    found = log_prob(Told(), x, centre=centre)
    want = torch.distributions.Normal(centre, 1.0).log_prob(x).sum(1)
    torch.testing.assert_close(found.nats, want, rtol=0, atol=1e-3)


def test_float32_comes_near_float64():
    x = MIXED.sample(6, Rng(0))
    small = GaussianMixture(*(part.float() for part in (MIXED.weights, MIXED.means, MIXED.covs)))
    found = log_prob(small.denoiser(Gaussian(Flow())), x.float(), solver=Adams(1e-4))
    assert found.latent.dtype == torch.float32 and found.nats.dtype == F
    assert (found.nats - MIXED.log_prob(x)).abs().max() < 2e-2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d, x: log_prob(d, x, divergence="hutchinson"), "no divergence is called 'hutchinson'"),
        (lambda d, x: log_prob(d, x, probes=0), "at least 1 probe, got 0"),
        (lambda d, x: log_prob(d, x, scale=0.0), "scale, .* must be above 0, got 0.0"),
        (lambda d, x: log_prob(d, x.long()), "real examples .* got torch.int64 of .*Encode the data first"),
        (lambda d, x: log_prob(d, x, solver=Adams(max_evaluations=20)), "within max_evaluations=20"),
        (lambda d, x: interpolate(d, x[0], x[0, :1], [0.5]), "two examples of one shape"),
        (lambda d, x: interpolate(d, x[0], x[1], []), "at least one weight"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(MIXED.denoiser(Gaussian(VP())), MIXED.sample(3, Rng(0)))


def test_tokens_have_no_flow():
    class Tokens:
        process = masking(3)

    with pytest.raises(UserError, match="A likelihood by the flow needs a process with schedule"):
        log_prob(Tokens(), torch.zeros(2, 2))
