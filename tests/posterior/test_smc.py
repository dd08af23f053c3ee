"""Particles are right for any number of them: the evidence is unbiased, and many particles are the posterior."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError
from scorefield.analytic.inverse import b_gauss, b_gmm, b_inpaint, b_mcgd, mode_error
from scorefield.belief import Moments
from scorefield.noise import EDM, VP, Cosine
from scorefield.operators import Function, GaussianNoise, LaplaceNoise, Mask, Matrix, Measurement, PoissonNoise
from scorefield.posterior.mcgdiff import MCGDiff
from scorefield.posterior.resampling import RULES, ancestors, effective
from scorefield.posterior.smc import TWISTS, smc
from scorefield.posterior.twists import LikelihoodTwist
from scorefield.solvers import Listed, LogSNR
from tests.posterior.laws import Round, average, chain_covariance, distances, log_evidence, z_of_evidence

VPSDE = Gaussian(VP())


def gaussian_bench(std=0.3):
    """A prior N(0, C) in two dimensions, of which one combination is measured."""
    cov = torch.tensor([[1.0, 0.6], [0.6, 0.8]]).double()
    prior = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), cov[None])
    measurement = Measurement(
        Matrix(torch.tensor([[0.8, -0.5]]).double()), torch.tensor([[0.7]]).double(), GaussianNoise(std)
    )
    return cov, prior.denoiser(VPSDE), measurement


@pytest.mark.parametrize("rule", RULES)
def test_resampling_is_unbiased_and_systematic_is_nearly_deterministic(rule):
    weights = torch.tensor([0.5, 0.21, 0.2, 0.09, 0.0], dtype=torch.float64)
    place = ancestors(weights.log().expand(4000, -1), Rng(0), rule)
    counts = torch.stack([(place == k).sum(1) for k in range(5)], 1).double()
    error = counts.mean(0) - 5 * weights
    assert (error.abs() <= 4.5 * (counts.std(0) / 4000**0.5 + 1e-12)).all()  # 4 false alarms in 100,000
    assert counts[:, 4].sum() == 0
    if rule == "systematic":
        assert ((counts - 5 * weights).abs() < 1).all()


def test_effective_size_is_k_for_even_weights_and_1_for_a_single_one():
    log_weights = torch.stack([torch.zeros(7), torch.full((7,), -1e3).index_fill(0, torch.tensor(2), 0.0)])
    assert effective(log_weights).tolist() == pytest.approx([7, 1])


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("twist", ["mmps", "pigdm", "likelihood"])
def test_evidence_is_unbiased_for_eight_particles_and_eight_steps(twist, order):
    """Against p(y) of the sampler's own law, which is exact however coarse: 1,500 populations. 4 standard errors: 6
    false alarms in 100,000, were their mean Gaussian."""
    cov, denoiser, measurement = gaussian_bench()
    grid = LogSNR(0.1, 3.0)
    cloud = smc(denoiser, measurement, 8, steps=8, replicates=1500, twist=twist, order=order, grid=grid, ess=0.8)
    end = chain_covariance(cov, VPSDE, grid(VPSDE, 8), order)
    var = (measurement.operator.A @ end @ measurement.operator.A.mT).item() + 0.3**2
    exact = -0.5 * (0.49 / var + math.log(2 * math.pi * var))
    assert abs(z_of_evidence(cloud.log_evidence, exact)) < 4
    assert (cloud.ess[:-1] < 0.8 * 8).any()  # somebody was resampled


@pytest.mark.parametrize("variance", [1.0, math.inf])
def test_evidence_of_mcgdiff_is_that_of_its_own_law(variance):
    """There y is x_τ on the measured axis, and τ is a time of the grid here, where x of the unguided sampler is
    Gaussian. 4 standard errors, as above."""
    cov, denoiser, _ = gaussian_bench()
    sigma = torch.logspace(1.5, -2, 8).double()
    times = torch.cat([torch.ones(1).double(), VPSDE.time(-sigma.log()), torch.zeros(1).double()])
    n = sigma[4].item()
    operator = Matrix(2 * torch.eye(2).double()[:1])
    measurement = Measurement(operator, torch.tensor([[0.9]]).double(), GaussianNoise(2 * n))
    twist = MCGDiff(measurement, variance)
    cloud = smc(denoiser, measurement, 8, steps=9, replicates=1500, grid=Listed(tuple(times.tolist())), twist=twist)
    law = chain_covariance(cov, VPSDE, times, 2, until=5)
    var = (law[0, 0] / VPSDE.schedule(times[5]).alpha ** 2).item()  # of ȳ
    exact = -0.5 * (0.45**2 / var + math.log(2 * math.pi * var)) - math.log(2.0)
    assert abs(z_of_evidence(cloud.log_evidence, exact)) < 4


def test_evidence_of_a_mixture_is_exact_with_fine_steps():
    """Six modes, 12 populations of 60: within 3 standard errors of log p(y) in closed form (0.3 % of false alarms), and
    these are small: a third of p(y) would be seen."""
    bench = b_gmm(1)
    cloud = smc(bench.prior.denoiser(VPSDE), bench.measurement, 60, replicates=12)
    ratio = (cloud.log_evidence - log_evidence(bench)).exp()
    assert abs(z_of_evidence(cloud.log_evidence, log_evidence(bench))) < 3
    assert ratio.std() / len(ratio) ** 0.5 < 0.13


BENCHES = {"gauss": b_gauss, "gmm": b_gmm, "inpaint": b_inpaint}


def reached(make, twist, seeds, process=VPSDE, populations=1, **how) -> list[float]:
    """Averages over problems, of 500 draws: SW₂, its floor, mode error of all particles."""
    rows = []
    for seed in seeds:
        bench = make(seed)
        denoiser = bench.prior.denoiser(process)
        cloud = smc(denoiser, bench.measurement, 500, twist=twist, replicates=populations, **how)
        far, floor, _ = distances(cloud.resampled(500), bench.posterior, seed)
        rows.append((far, floor, mode_error(cloud.x.flatten(0, 1), bench.posterior, cloud.joint.flatten())))
    return average(rows)


def test_500_particles_are_the_posterior_of_six_modes():
    far, floor, error = reached(b_gmm, "mmps", [1])
    assert far <= 1.5 * floor and error <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("twist", "populations"), [("mmps", 1), ("pigdm", 4), ("likelihood", 4)])
@pytest.mark.parametrize("name", BENCHES)
def test_500_particles_are_at_the_floor(name, twist, populations):
    """On average over four problems. That of 500 independent draws has a mode error of 0.01 itself. A round prior leads
    less well than the model's own covariance, so that four populations are taken (``draw``: two of 1,024)."""
    far, floor, error = reached(BENCHES[name], twist, range(4), populations=populations)
    assert far <= 1.5 * floor and error <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("dim", [8, 80])
def test_25_modes_are_found_with_their_masses(dim):
    """MCGDiff's bench, unscaled: modes 8 apart in every other coordinate, so that noise begins at σ/α = 500. Four
    populations of 500: of 500 independent draws the mode error would be 0.03 itself."""
    process, grid, bench = Gaussian(EDM(500.0)), LogSNR(0.03, 500.0), b_mcgd(dim)
    x, t = 30 * Rng(0).normal(torch.empty(4, dim).double()), process.time(torch.tensor(-1.5).double())
    exact = bench.prior.denoiser(process)(x, t).mean
    assert torch.allclose(Round(bench.prior, process)(x, t).mean, exact, atol=1e-9)
    rows = []
    for seed in range(3):
        bench = b_mcgd(dim, seed)
        cloud = smc(Round(bench.prior, process), bench.measurement, 500, replicates=4, grid=grid, steps=150)
        error = mode_error(cloud.x.flatten(0, 1), bench.posterior, cloud.joint.flatten())
        rows.append((*distances(cloud.resampled(500), bench.posterior, seed)[:2], error))
    far, floor, error = average(rows)
    assert far <= 1.5 * floor and error <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHES)
def test_mcgdiff_needs_no_gradients_and_finds_the_same(name):
    """Its weights are less even: eight populations of 500 do what one does with the twist 'mmps' (``draw``: four of
    2,048)."""
    with torch.inference_mode():
        far, floor, error = reached(BENCHES[name], "mcgdiff", range(3), populations=8)
    assert far <= 1.5 * floor and error <= 0.03


def test_mcgdiff_takes_measurements_without_noise():
    """The posterior of y with the noise that stands for none, of which it has 0.001: A x = y to five of these, weights
    that are worth a tenth of the particles, and the evidence of that noise to a factor of two."""
    bench = b_gmm(1)
    exact = Measurement(bench.operator, bench.y[None], GaussianNoise(0.0))
    cloud = smc(bench.prior.denoiser(VPSDE), exact, 200, steps=60, twist="mcgdiff", replicates=2)
    assert (bench.operator(cloud.resampled(50)) - bench.y).abs().max() < 5e-3
    assert cloud.ess.min() > 20
    assert (cloud.log_evidence - log_evidence(bench._replace(std=1e-3))).abs().max() < math.log(2)


def test_a_population_depends_on_its_seed_alone():
    """Neither on other populations nor on how many particles go through the model at once."""
    bench = b_gmm(0)
    denoiser, how = bench.prior.denoiser(VPSDE), {"steps": 12, "seed": 5}
    for twist in ("mmps", "mcgdiff"):
        one = smc(denoiser, bench.measurement, 32, twist=twist, **how)
        three = smc(denoiser, bench.measurement, 32, twist=twist, replicates=3, batch=7, **how)
        assert torch.allclose(one.x[0], three.x[0], atol=1e-9) and torch.equal(one.roots[0], three.roots[0])
        assert (one.log_evidence[0] - three.log_evidence[0]).abs() < 1e-9


def test_each_population_may_have_its_own_measurement():
    bench = b_gmm(0)
    y = torch.stack([bench.y, bench.y + 0.3])
    denoiser, noise = bench.prior.denoiser(VPSDE), GaussianNoise(bench.std)
    for twist in TWISTS:
        both = smc(denoiser, Measurement(bench.operator, y, noise), 16, steps=8, replicates=2, twist=twist)
        alone = smc(denoiser, Measurement(bench.operator, y[:1], noise), 16, steps=8, twist=twist)
        assert torch.allclose(both.x[0], alone.x[0], atol=1e-9)
        assert torch.allclose(both.log_evidence[0], alone.log_evidence[0], atol=1e-9)


class Classes:
    """A mixture whose modes are its classes, seen through noise: log p(class | x_t) in closed form."""

    def __init__(self, law, process, classes):
        self.law, self.process, self.classes = law, process, classes

    def __call__(self, x, t, belief):
        alpha, sigma = self.process.scales(t, x)
        parts = self.law.noised(alpha, sigma)._log_parts(x, x.new_ones(()), x.new_zeros(()))[0]
        return parts.log_softmax(-1)[:, self.classes].logsumexp(-1)


def test_class_twists_give_the_class_its_share_and_its_probability():
    """The exact classifier: the evidence is the prior mass of the classes, and weights are even but for the steps."""
    means = torch.tensor([[-3.0, 0.0], [0.0, 3.0], [3.0, 0.0]]).double()
    law = GaussianMixture.isotropic(means, 0.5, torch.tensor([0.5, 0.3, 0.2]).double())
    twist = LikelihoodTwist(Classes(law, VPSDE, [1, 2]))
    like = torch.empty(1, 2).double()
    cloud = smc(law.denoiser(VPSDE), None, 300, replicates=4, steps=50, twist=twist, like=like)
    assert abs(z_of_evidence(cloud.log_evidence, math.log(0.5))) < 4  # 6 false alarms in 100,000
    x = cloud.resampled(2000)
    share = (x[:, 0] > 1.5).double().mean().item()  # the mode at (3, 0), 0.4 of what is left
    assert abs(share - 0.4) < 0.05 and (x[:, 0] < -1.5).double().mean() < 0.002
    assert cloud.ess.min() > 150


def test_any_likelihood_is_a_twist_too():
    """Counts, outliers and a square: 300 particles, to the posterior on a fine grid of one dimension. Bounds are 4
    standard errors at an effective size of 150."""
    law = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    square = Function(lambda x: x.square(), (1,))
    same = Function(lambda x: x, (1,))
    grid = torch.linspace(-5, 5, 4001).double()[:, None]
    for operator, noise, y in (
        (same, PoissonNoise(3.0, low=-2.0), 0.6),
        (same, LaplaceNoise(0.2), 0.8),
        (square, GaussianNoise(0.3), 1.2),
    ):
        measurement = Measurement(operator, torch.tensor([[y]]).double(), noise)
        density = (measurement.log_likelihood(grid) + law.log_prob(grid)).softmax(0)
        want, spread = (density @ grid.square()).item(), (density @ grid.pow(4)).item()
        twist = "likelihood" if noise.std is None else "mmps"
        cloud = smc(law.denoiser(VPSDE), measurement, 300, steps=40, twist=twist)
        got = (cloud.log_weights[0].exp() @ cloud.x[0, :, 0].square()).item()
        assert abs(got - want) < 4 * ((spread - want**2) / 150) ** 0.5


class Seen:
    """Keeps what a progress bar would be told."""

    def __init__(self):
        self.calls = []

    def add(self, done, steps):
        self.calls.append((done, steps))


class Smooth:
    """Stands for a network on pictures: float32 inside, symmetric in nothing."""

    process = Gaussian(Cosine())

    def __call__(self, x, t, label=None):
        assert x.dtype == torch.float32 and (label is None or len(label) == len(x))
        return Moments(torch.tanh(x + 0.1 * x.flip(-1)))


def test_pictures_in_single_precision_on_a_schedule_without_signal_at_the_end():
    operator = Mask.half((1, 4, 4))
    measurement = Measurement(operator, torch.zeros(1, 8), GaussianNoise(0.1))
    for twist in TWISTS:
        label, seen = torch.tensor([1, 2]), Seen()
        cloud = smc(
            Smooth(), measurement, 6, steps=5, replicates=2, twist=twist, batch=5, label=label,
            progress=seen.add,
        )  # fmt: skip
        assert cloud.x.shape == (2, 6, 1, 4, 4) and cloud.x.dtype == torch.float32 and cloud.x.isfinite().all()
        assert cloud.resampled(3).shape == (3, 1, 4, 4) and cloud.one_each().shape == (2, 1, 4, 4)
        assert cloud.ess.shape == (5, 2) and cloud.nfe == 5 and seen.calls[-1] == (5, 5)
        assert torch.allclose(cloud.log_weights.exp().sum(1), torch.ones(2).double())


class Untouched:
    """A denoiser that must not be asked."""

    process = VPSDE

    def __call__(self, x, t, **cond):
        raise AssertionError("an evaluation was made")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"particles": 1}, "at least 2 particles"),
        ({"ess": 1.5}, "share of the particles"),
        ({"resample": "systematc"}, "Did you mean 'systematic'"),
        ({"twist": "mmp"}, "Did you mean 'mmps'"),
        ({"steps": 0}, "at least 1"),
        ({"noise": 0.0}, "exact"),
        ({"twist": "pigdm", "square": True}, "not linear"),
        ({"y": torch.zeros(3, 4)}, "3 rows for 1 populations"),
        ({"label": torch.zeros(3)}, "label has 3 rows"),
        ({"measurement": None}, "like="),
        ({"noise": PoissonNoise(3.0)}, "one standard deviation"),
    ],
)
def test_bad_input_is_one_sentence_before_any_evaluation(change, words):
    change = dict(change)
    particles, noise, square = change.pop("particles", 8), change.pop("noise", 0.1), change.pop("square", False)
    operator = Function(lambda x: x.square(), (4,)) if square else Matrix(torch.eye(4))
    noise = GaussianNoise(noise) if isinstance(noise, float) else noise
    measurement = change.pop("measurement", Measurement(operator, change.pop("y", torch.zeros(1, 4)), noise))
    with pytest.raises(UserError, match=words):
        smc(Untouched(), measurement, particles, **{"steps": 4, **change})


def test_a_likelihood_of_zero_for_all_is_a_sentence():
    nowhere = LikelihoodTwist(lambda x, t, belief: (belief.mean - x).flatten(1).sum(1) * 0 - math.inf)
    with pytest.raises(UserError, match="no particle explains y"):
        smc(Smooth(), None, 4, steps=3, twist=nowhere, like=torch.empty(1, 1, 4, 4))


def test_a_denoiser_without_gradients_says_so():
    class Frozen(Smooth):
        def __call__(self, x, t, label=None):
            return Moments(torch.tanh(x).detach())

    measurement = Measurement(Mask.half((1, 4, 4)), torch.zeros(1, 8), GaussianNoise(0.1))
    with pytest.raises(UserError, match="mcgdiff"):
        smc(Frozen(), measurement, 4, steps=3)
