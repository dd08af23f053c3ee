from __future__ import annotations

import math

import pytest
import torch

from scorefield import GaussianMixture, Moments, Rng, UserError, sample
from scorefield.analytic.inverse import b_gmm, responsibilities
from scorefield.core import as_time
from scorefield.guidance import Tilted
from scorefield.noise import EDM, Flow, Gaussian
from scorefield.operators import Function, GaussianNoise, Mask, Matrix, Measurement, PoissonNoise
from scorefield.posterior import (
    DPS,
    MMPS,
    SDA,
    TMPD,
    Convolved,
    OptimalCovariance,
    PiGDM,
    Published,
    ScoreALD,
    Spread,
    Steered,
    spread_of,
)
from scorefield.solvers import named
from scorefield.testing import check_denoiser
from tests.posterior.guided_laws import (
    DENOISERS,
    METHODS,
    PROCESS,
    correlated,
    masked,
    network,
    normal,
    random_measurement,
    walked,
)

TIMES = (0.02, 0.2, 0.5, 0.9)


def exact(law, measurement, process=PROCESS):
    """The denoiser of p(x₀ | y)."""
    return law.posterior(measurement.operator.A, measurement.y[0], measurement.noise.std).denoiser(process)


def assert_exact(guided, law, measurement, process=PROCESS, tolerance=1e-8):
    """The guided belief is E[x₀ | x_t, y] at every x_t: then every solver draws from the posterior as it would from the
    prior."""
    x, want = 2 * Rng(3).normal(torch.empty(5, 8).double()), exact(law, measurement, process)
    for t in TIMES:
        got = guided(x, as_time(t)).mean
        torch.testing.assert_close(got, want(x, as_time(t)).mean, rtol=0, atol=tolerance)


@pytest.mark.parametrize("std", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("process", [PROCESS, Gaussian(EDM()), Gaussian(Flow())], ids=str)
def test_moment_matching_is_exact_on_gaussian_priors(std, process):
    """Any covariance, any linear measurement, with noise and without; it needs as many directions as y has numbers.
    Without noise the solve leaves out 1e-7 of the covariance."""
    law, measurement = normal(correlated()), random_measurement(std)
    tolerance = 1e-5 if std == 0 else 1e-8
    for guided in (MMPS, lambda d, m: MMPS(d, m, 3)):
        assert_exact(guided(law.denoiser(process), measurement), law, measurement, process, tolerance)


def test_at_pure_noise_guidance_is_that_of_nearly_pure_noise():
    """Where α is 0 Tweedie's factor is infinite; what is computed at σ/α = 148 is off by about 1/148 of the data."""
    law, measurement = normal(correlated()), random_measurement(0.1)
    x = Rng(0).normal(torch.empty(4, 8).double())
    for process in (Gaussian(Flow()), PROCESS):
        guided = MMPS(law.denoiser(process), measurement)
        want = law.posterior(measurement.operator.A, measurement.y[0], 0.1).mean.expand(4, 8)
        torch.testing.assert_close(guided(x, as_time(1.0)).mean, want, rtol=0, atol=0.1)
        between = guided(x, as_time([1.0, 0.5, 1.0, 0.5])).mean
        torch.testing.assert_close(between[::2], guided(x[::2], as_time(1.0)).mean)


def test_an_operator_that_is_not_linear_is_linearised():
    """A linear one that says it is not gives the same through automatic differentiation, in full and by directions."""
    law, measurement = normal(correlated()), random_measurement(0.3)
    A = measurement.operator.A
    curved = Function(lambda x: x @ A.to(x).mT, (8,), linear=False)
    for iterations in (None, 3):
        other = Measurement(curved, measurement.y, measurement.noise)
        assert_exact(MMPS(law.denoiser(PROCESS), other, iterations), law, measurement)


@pytest.mark.parametrize("std", [0.0, 0.3])
def test_pigdm_is_exact_on_white_priors_and_optimal_covariances_on_uncorrelated_ones(std):
    measurement = random_measurement(std)
    white = normal(0.6 * torch.eye(8).double())
    assert_exact(PiGDM(white.denoiser(PROCESS), measurement, variance=0.6), white, measurement, tolerance=1e-6)
    uneven = normal(torch.linspace(0.1, 2, 8).double().diag())
    assert_exact(
        OptimalCovariance(uneven.denoiser(PROCESS, variance=True), measurement), uneven, measurement, PROCESS, 1e-5
    )


def test_the_spread_of_a_denoiser_is_measured():
    """N(0, 0.6 I): r² = 0.6 s²/(0.6 + s²). 4,000 draws of 8 coordinates: standard error 0.8 %, five of them allowed,
    and 1 % of interpolation; beyond the lowest level it falls with s²."""
    law = GaussianMixture.isotropic(torch.zeros(1, 8).double(), 0.6**0.5)
    spread = spread_of(law.denoiser(PROCESS), law.sample(4000, Rng(0)), Rng(1), levels=40)
    levels = torch.tensor([1e-4, 0.013, 0.3, 1.7, 40.0], dtype=torch.float64)
    torch.testing.assert_close(spread(levels), 0.6 * levels**2 / (0.6 + levels**2), rtol=0.05, atol=0)
    assert Spread((1.0,), (0.5,))(levels[3:4]).item() == 0.5


def test_the_convolved_likelihood_is_exact_on_flat_priors():
    law, measurement = normal(1e8 * torch.eye(8).double()), random_measurement(0.3)
    for t in (0.02, 0.2, 0.5):
        x = Rng(1).normal(torch.empty(5, 8).double())
        got = Convolved(law.denoiser(PROCESS), measurement)(x, as_time(t)).mean
        torch.testing.assert_close(got, exact(law, measurement)(x, as_time(t)).mean, rtol=1e-5, atol=1e-5)


def test_score_ald_is_the_convolved_likelihood_where_the_operator_is_a_part_of_a_rotation():
    law, measurement = normal(correlated()), masked((8,))
    x, t = Rng(1).normal(torch.empty(5, 8).double()), as_time(0.3)
    ald, convolved = (method(law.denoiser(PROCESS), measurement)(x, t).mean for method in (ScoreALD, Convolved))
    torch.testing.assert_close(ald, convolved)


def test_dps_and_sda_are_their_formulas_on_gaussian_priors():
    """x̂₀ + C Aᵀ r/(std² + γ s²), C = Cov[x₀ | x_t] in closed form; DPS is also the tilt by the likelihood of x̂₀."""
    law, measurement = normal(correlated()), random_measurement(0.5)
    inner, A, x = law.denoiser(PROCESS), measurement.operator.A, Rng(1).normal(torch.empty(5, 8).double())
    for t in map(as_time, TIMES):
        alpha, sigma = PROCESS.schedule(t)
        s2, mean = (sigma / alpha) ** 2, inner(x, t).mean
        cov = torch.linalg.inv(torch.linalg.inv(law.covs[0]) + torch.eye(8).double() / s2)
        pull = (measurement.y - mean @ A.mT) @ A @ cov
        dps, sda = DPS(inner, measurement, limit=math.inf), SDA(inner, measurement, 0.03, limit=math.inf)
        torch.testing.assert_close(dps(x, t).mean, mean + pull / 0.25)
        torch.testing.assert_close(sda(x, t).mean, mean + pull / (0.25 + 0.03 * s2))
        tilted = Tilted(inner, lambda x, t, belief: measurement.log_likelihood(belief.mean))
        torch.testing.assert_close(tilted(x, t).mean, dps(x, t).mean)


def test_the_limit_one_of_a_single_number_is_moment_matching():
    """u = 1/(1 + c): the implicit step, and on a Gaussian prior the exact one."""
    law = normal(correlated())
    measurement = Measurement(Matrix(torch.ones(1, 8).double()), torch.tensor([[2.0]]).double(), GaussianNoise(0.05))
    assert_exact(DPS(law.denoiser(PROCESS), measurement, limit=1.0), law, measurement)


def test_row_sums_never_step_beyond_y():
    """Where correlations are negative the row sums are far too small; ‖y − A x‖ still never grows."""
    cov = 0.2 * torch.eye(8).double() + 1.0
    cov[0, 1:] = cov[1:, 0] = -0.95
    law, measurement = normal(cov), masked((8,), std=1e-3)
    inner, x, t = law.denoiser(PROCESS), Rng(1).normal(torch.empty(50, 8).double()), as_time(0.6)
    before = measurement.residual(inner(x, t).mean).norm(dim=1)
    after = measurement.residual(TMPD(inner, measurement)(x, t).mean).norm(dim=1)
    assert (after <= before).all()


def test_a_tilt_by_the_true_class_gives_the_belief_of_that_class():
    """log p(k | x_t) in closed form, of a mixture: Bayes' rule exactly, and inner's belief where the interval ends."""
    law, k = b_gmm(0).prior, 2
    alone = GaussianMixture(torch.ones(1).double(), law.means[k : k + 1], law.covs[k : k + 1])

    def log_class(x, t, belief):
        return responsibilities(x, law.noised(*PROCESS.schedule(t)))[:, k].log()

    tilted, x = Tilted(law.denoiser(PROCESS), log_class), Rng(2).normal(torch.empty(6, 8).double())
    for t in map(as_time, (0.3, 0.6, 0.9)):
        torch.testing.assert_close(tilted(x, t).mean, alone.denoiser(PROCESS)(x, t).mean)
    off = Tilted(law.denoiser(PROCESS), log_class, interval=(5.0, 10.0))
    assert torch.equal(off(x, as_time(0.1)).mean, law.denoiser(PROCESS)(x, as_time(0.1)).mean)
    twice = Tilted(law.denoiser(PROCESS), log_class, scale=2.0)(x, as_time(0.6)).mean
    plain = law.denoiser(PROCESS)(x, as_time(0.6)).mean
    torch.testing.assert_close(twice - plain, 2 * (tilted(x, as_time(0.6)).mean - plain))


@pytest.mark.parametrize("name", DENOISERS)
def test_guided_denoisers_are_denoisers(name):
    """Also with a time and a row of y for each example: the kit compares examples alone with examples in a batch."""
    check_denoiser(DENOISERS[name](b_gmm(0).prior.denoiser(PROCESS), masked((8,))), (4, 8))


@pytest.mark.parametrize("name", METHODS)
def test_batching_changes_nothing(name):
    """Four examples with rows of y of their own: drawn together as drawn alone, to rounding."""
    law, rows = b_gmm(0).prior, masked((8,), rows=4)
    how = {"steps": 12, "dtype": torch.float64}

    def drawn(measurement, which):
        denoiser, solver = walked(name, law.denoiser(PROCESS), measurement)
        return sample(denoiser, (len(which), 8), solver=solver, rng=Rng.each(5, which), **how)

    together = drawn(rows, range(4))
    for i in range(4):
        torch.testing.assert_close(drawn(rows.rows(slice(i, i + 1)), [i]), together[i : i + 1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", METHODS)
def test_networks_on_images_are_guided_inside_sample_and_keep_no_graph(name):
    """float32, under no_grad and inference_mode; no gradient is left in the parameters."""
    net, event = network(), (1, 4, 4)
    denoiser, solver = walked(name, net, masked(event))
    x = sample(denoiser, (2, *event), steps=4, solver=solver, seed=1)
    assert x.shape == (2, *event) and x.dtype == torch.float32 and x.isfinite().all() and not x.requires_grad
    with torch.inference_mode():
        again = sample(denoiser, (2, *event), steps=4, solver=solver, seed=1)
    assert torch.equal(again, x)
    assert all(p.grad is None for p in net.parameters())
    if name in DENOISERS:
        belief = denoiser(x, as_time(0.5))
        assert not belief.mean.requires_grad and belief.mean.grad_fn is None


def test_variances_of_the_belief_stay():
    law = normal(correlated())
    x, inner = torch.zeros(2, 8).double(), law.denoiser(PROCESS, variance=True)
    belief = MMPS(inner, masked((8,)))(x, as_time(0.4))
    assert torch.equal(belief.var, inner(x, as_time(0.4)).var) and not belief.var.requires_grad


class Blind:
    """Beliefs without gradient."""

    process = PROCESS

    def __call__(self, x, t, **cond):
        return Moments(x.detach())


CURVED = Measurement(Function(torch.sin, (8,), linear=False), torch.zeros(1, 8), GaussianNoise(0.1))
FLAT = Measurement(
    Function(lambda x: x.round(), (8,), linear=False, differentiable=False), torch.zeros(1, 8), GaussianNoise(0.1)
)
COUNTS = Measurement(Mask(torch.ones(8, dtype=torch.bool)), torch.zeros(1, 8), PoissonNoise(10.0))
EXACT = masked((8,), std=0.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda d: DPS(d, EXACT), "DPS needs noise, and this measurement is exact"),
        (lambda d: DPS(d, FLAT), "DPS needs an operator that can be differentiated, and Function cannot"),
        (lambda d: PiGDM(d, CURVED), "PiGDM needs a linear operator, and Function is not"),
        (lambda d: MMPS(d, COUNTS), "MMPS needs Gaussian noise, and this measurement has PoissonNoise"),
        (lambda d: MMPS(d, EXACT, 0), "at least 1 iteration"),
        (lambda d: SDA(d, CURVED, gamma=0.0), "gamma > 0, got 0.0"),
        (lambda d: DPS(d, CURVED, limit=0.5), "limit must be at least 1"),
        (lambda d: PiGDM(d, EXACT, variance=-1.0), "variance, that of the data, must be above 0"),
        (lambda d: Steered(d, CURVED), "Steered needs a linear operator"),
        (lambda d: Published(FLAT), "can be differentiated"),
        (lambda d: walked("gradpaint", d, CURVED), "needs a Mask as operator, and Function is none"),
        (lambda d: OptimalCovariance(d, EXACT)(torch.zeros(2, 8).double(), as_time(0.5)), "gives no variance"),
        (lambda d: MMPS(Blind(), EXACT)(torch.zeros(2, 8), as_time(0.5)), "Blind gives beliefs that have none"),
        (
            lambda d: Tilted(d, lambda x, t, b: x)(torch.zeros(2, 8).double(), as_time(0.5)),
            r"one number an example, \(2,\)",
        ),
        (
            lambda d: Tilted(d, lambda x, t, b: torch.ones(2))(torch.zeros(2, 8).double(), as_time(0.5)),
            "does not depend on x_t",
        ),
        (
            lambda d: MMPS(d, masked((8,), rows=3))(torch.zeros(2, 8).double(), as_time(0.5)),
            "3 rows and there are 2 examples",
        ),
    ],
)
def test_what_cannot_be_guided_says_so(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make(b_gmm(0).prior.denoiser(PROCESS))


def test_likelihoods_of_any_noise_guide():
    """Poisson counts of all coordinates: guided samples come nearer to what was counted than the prior's."""
    law = normal(0.2 * torch.eye(8).double())
    truth = law.sample(1, Rng(0))
    measurement = Measurement.of(truth, Mask(torch.ones(8, dtype=torch.bool)), PoissonNoise(400.0, low=-4.0), Rng(1))
    how = {"steps": 60, "solver": named("ddpm"), "seed": 0, "dtype": torch.float64}
    guided, free = (sample(d, (50, 8), **how) for d in (DPS(law.denoiser(PROCESS), measurement), law.denoiser(PROCESS)))
    apart = [(x - truth).square().mean() for x in (guided, free)]
    assert apart[0] < 0.3 * apart[1]
