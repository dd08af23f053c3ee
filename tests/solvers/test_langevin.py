from __future__ import annotations

from itertools import islice

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError, sample, trajectory
from scorefield.noise import EDM, VE, VP, Cosine
from scorefield.solvers import Karras
from scorefield.solvers.langevin import Langevin, Level, Link, PredictorCorrector, chain
from scorefield.solvers.sde import EulerMaruyama, ReverseDiffusion
from scorefield.testing import check_solver
from tests.components import PROCESSES
from tests.solvers.laws import Pulses, normal_law, response

UNIT = Gaussian(EDM(1.0))  # its time is σ


@pytest.mark.parametrize(("size", "variance"), [(0.1, 1.052632), (0.5, 4 / 3), (1.0, 2.0)])
def test_unadjusted_chains_have_the_known_stationary_variance(size, variance):
    """S/(1 − ε/2S) at S = 1 = 0.75 + 0.5², by exact propagation of 200 moves (0.9⁴⁰⁰ of the start is left)."""
    denoiser = normal_law(0.0, 0.75).denoiser(UNIT)
    x = torch.ones(202, 1, dtype=torch.float64)
    rng = Pulses()
    *_, last = islice(chain(denoiser, x, 0.5, Langevin(size, "fixed"), rng), 200)  # type: ignore[arg-type]
    assert rng.draws == 200
    assert (last.x - last.x[0]).square().sum().item() == pytest.approx(variance, abs=5e-7)


def test_adjusted_chains_reach_the_law_exactly():
    """MALA from a point, 60 moves at ε = 0.5 where ULA's variance is 4/3: mean and variance of 4,000 chains at five
    standard errors each, a false alarm in 9·10⁵ seeds; ULA would be off by 15 standard errors."""
    denoiser, n = normal_law(0.0, 0.75).denoiser(UNIT), 4000
    corrector = Langevin(0.5, "fixed", metropolis=True)
    *_, last = islice(chain(denoiser, torch.zeros(n, 1).double(), 0.5, corrector, Rng(0)), 60)
    assert last.accepted is not None and 0.7 < last.accepted.double().mean() < 0.99
    assert abs(last.x.mean().item()) < 5 / n**0.5
    assert abs(last.x.var().item() - 1) < 5 * (2 / n) ** 0.5


LAW = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64), 0.2)


def test_adjusted_chains_leave_a_mixture_as_it_is():
    """4,000 exact draws of the noised mixture stay so: the mass of the modes and the second moments after 10 moves that
    accept less than 9 in 10, at five standard errors, four tests, a false alarm in 4·10⁵ seeds. The acceptances by
    the line integral of the score (four inner nodes) are those of the density itself."""
    sigma, n = 0.3, 4000
    noised = LAW.noised(1.0, sigma)
    x = noised.sample(n, Rng(1))
    exact = Langevin(0.15, "fixed", metropolis=True, log_prob=lambda y, t: noised.log_prob(y))
    by_score = Langevin(0.15, "fixed", metropolis=True, nodes=4)
    denoiser = LAW.denoiser(UNIT)
    first, second = (list(islice(chain(denoiser, x, sigma, c, Rng(2)), 10)) for c in (exact, by_score))
    assert first[0].accepted.double().mean() < 0.9
    assert (first[0].accepted != second[0].accepted).sum() <= 2  # uniform draws within 10⁻⁴ of the bound
    end = second[-1].x
    for value, truth in (
        ((end[:, 0] > 0).double(), 0.5),
        (end[:, 0], 0.0),
        (end[:, 0].square(), noised.cov[0, 0].item()),
        (end[:, 1].square(), noised.cov[1, 1].item() + 0.0625),
    ):
        assert abs(value.mean().item() - truth) < 5 * value.std().item() / n**0.5


def test_line_integrals_converge_to_the_density():
    """Gauss–Lobatto with n inner nodes, over the length of a move: exact for Gaussians from 0, and for the mixture an
    error that falls geometrically."""
    noised, generator = LAW.noised(1.0, 0.3), torch.Generator().manual_seed(0)
    x, way = (torch.randn(50, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    y = x + 0.5 * way
    t = torch.tensor(0.3, dtype=torch.float64)
    truth, errors = noised.log_prob(y) - noised.log_prob(x), []
    level = Level(noised.score, t, t, torch.ones_like(t))
    for nodes in (0, 2, 4, 8):
        gain = Langevin(0.1, "fixed", nodes=nodes)._gain(level, x, noised.score(x), y, noised.score(y))
        errors.append((gain - truth).abs().max().item())
    assert errors[1] < 0.2 * errors[0] and errors[2] < 0.1 * errors[1] and errors[3] < 0.1 * errors[2]
    one = normal_law(0.2, 0.7)
    gain = Langevin(0.1, "fixed")._gain(level, x[:, :1], one.score(x[:, :1]), y[:, :1], one.score(y[:, :1]))
    torch.testing.assert_close(gain, one.log_prob(y[:, :1]) - one.log_prob(x[:, :1]), rtol=1e-12, atol=1e-12)


def test_step_sizes_are_score_sdes_but_of_each_example():
    """ε = 2a (r ‖z‖/‖s‖)² with the norms of one example (theirs: means over the batch), and 2a (r σ)²."""
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = Rng.each(0, range(3)).normal(x)
    a, sigma = torch.tensor(0.9, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    level = Level(lambda y: -3 * y, sigma, sigma, a)
    norm = 2 * a * (0.16 * z.norm(dim=1) / (3 * x.norm(dim=1))) ** 2
    noise = (2 * a * (0.16 * 0.5) ** 2).expand(3)
    for rule, size in (("norm", norm), ("noise", noise)):
        got = Langevin(0.16, rule).move(level, Link(x), Rng.each(0, range(3))).x
        torch.testing.assert_close(got, x - 3 * size[:, None] * x + (2 * size[:, None]).sqrt() * z)


CORRECTORS = [Langevin(), Langevin(0.16, "noise"), Langevin(0.3, "noise", metropolis=True, nodes=1)]


@pytest.mark.parametrize("corrector", CORRECTORS, ids=lambda c: f"{c.rule}{'+mala' * c.metropolis}")
def test_predictor_corrector_obeys_the_laws_of_solvers(corrector):
    for process in PROCESSES[::3]:  # sub-VP too, where Score SDE's own corrector stops with an AttributeError
        check_solver(PredictorCorrector(corrector=corrector), process)
        check_solver(PredictorCorrector(EulerMaruyama(), corrector, steps=2), process)


@pytest.mark.parametrize("schedule", [VP(), VE(), EDM()], ids=repr)
def test_predictor_corrector_variance_in_closed_form(schedule):
    """Corrector first, v ← (1 − ε/V)² v + 2ε twice, then v ← ((2 − a) − G²/V)² v + G², and the belief, without noise,
    at the end; V = α²S + σ², ε = 2a² (r σ)²."""
    process, var, r = Gaussian(schedule), 0.4, 0.16
    times = Karras()(process, 12)
    alpha, sigma = (c.tolist() for c in process.schedule(times))
    v = sigma[0] ** 2
    for i in range(12):
        a = alpha[i] / alpha[i + 1]
        marginal = alpha[i] ** 2 * var + sigma[i] ** 2
        g2 = sigma[i] ** 2 - (a * sigma[i + 1]) ** 2
        epsilon = 2 * a**2 * (r * sigma[i]) ** 2
        for _ in range(2):
            v = (1 - epsilon / marginal) ** 2 * v + 2 * epsilon
        v = ((2 - a) - g2 / marginal) ** 2 * v + g2 if i < 11 else (alpha[i] * var / marginal) ** 2 * v
    solver = PredictorCorrector(ReverseDiffusion(), Langevin(r, "noise"), steps=2)
    got = response(solver, process, times, 0.0, var)
    assert got.var(sigma[0] ** 2) == pytest.approx(v, rel=1e-11)
    assert got.nfe == 36


def test_a_corrector_mends_its_predictor():
    """Twenty steps of reverse diffusion on VE leave N(0, ¼) too wide; moves between them bring it closer."""
    process = Gaussian(VE())
    times = Karras()(process, 20)
    start = process.schedule(times[0]).sigma.item() ** 2
    plain = response(ReverseDiffusion(), process, times, 0.0, 0.25).var(start) ** 0.5
    solver = PredictorCorrector(ReverseDiffusion(), Langevin(0.3, "noise"), steps=4)
    mended = response(solver, process, times, 0.0, 0.25).var(start) ** 0.5
    assert plain > 0.6 and abs(mended - 0.5) < 0.5 * (plain - 0.5)


def test_nothing_is_corrected_where_there_is_no_signal():
    process = Gaussian(Cosine())
    denoiser = normal_law(0.3, 0.4).denoiser(process)
    x = torch.zeros(1, 1, dtype=torch.float64)
    *_, last = trajectory(denoiser, x, Karras()(process, 5), solver=PredictorCorrector())
    assert last.nfe == 2 * 5 - 1


def test_tables_hold_what_is_affine_and_only_that():
    assert PredictorCorrector(corrector=Langevin(0.1, "noise")).tabulates
    assert not PredictorCorrector().tabulates
    assert not PredictorCorrector(corrector=Langevin(0.1, "noise", metropolis=True)).tabulates
    process, solver = Gaussian(VP()), PredictorCorrector(corrector=Langevin(0.1, "noise"))
    denoiser, times = normal_law(0.3, 0.4).denoiser(process), Karras()(process, 7)
    table = sample(denoiser, (3, 1), times=times, solver=solver, rng=Rng.each(3, range(3)), dtype=torch.float64)
    rng = Rng.each(3, range(3))
    x = process.prior(torch.empty(3, 1, dtype=torch.float64), rng)
    *_, step = trajectory(denoiser, x, times, solver=solver, rng=rng)
    torch.testing.assert_close(table, step.x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: Langevin(0.1, "snr"), "no rule is called 'snr'"),
        (lambda d: Langevin(0.0, "fixed"), "by the rule fixed must be above 0, got 0.0"),
        (lambda d: Langevin(1.0), "by the rule norm must be between 0 and 1"),
        (lambda d: Langevin(0.1, metropolis=True), "metropolis needs a step that depends on the noise level alone"),
        (lambda d: Langevin(0.1, nodes=99), "nodes must be between 0"),
        (lambda d: PredictorCorrector(steps=0), "at least 1, got 0. Use the predictor alone"),
        (lambda d: next(chain(d, torch.zeros(1, 1), 0.0, Langevin(0.1, "fixed"), Rng(0))), "needs noise: at t = 0"),
        (
            lambda d: PredictorCorrector().init(object(), torch.ones(2)),
            "PredictorCorrector needs a process with scales",
        ),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(normal_law(0.0, 1.0).denoiser(UNIT))
