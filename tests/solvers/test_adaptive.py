from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from scorefield import Gaussian, GaussianMixture, Moments, Rng, UserError, sample, trajectory
from scorefield.noise import EDM, VP, Cosine, Flow
from scorefield.solvers.adaptive import PAIRS, Adaptive, pair_step, scaled_norm
from scorefield.testing import check_solver
from tests.components import CONTINUOUS, PROCESSES
from tests.solvers.laws import normal_law

LAW = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.7]], dtype=torch.float64), 0.15)


@pytest.mark.parametrize("method", PAIRS)
def test_adaptive_obeys_the_laws_of_solvers(method):
    for process in PROCESSES[:: 3 if method == "dopri5" else 8]:
        check_solver(Adaptive(method), process)


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_have_their_orders(name):
    """On y' = −y + cos λ, solved by ½(cos λ + sin λ) + C e^{−λ}, from λ = 0.4: the step errs by
    O(h^{order + 1}), its estimate is O(h^order)."""
    pair = PAIRS[name]
    assert sum(pair.error) == pytest.approx(0, abs=1e-15) and sum(pair.rows[-1]) == pytest.approx(1)
    y, errors = torch.full((1, 1), 2.0, dtype=torch.float64), []
    lam = torch.full((1,), 0.4, dtype=torch.float64)

    def field(z, at):
        return at.cos()[:, None] - z

    def particular(at):
        return 0.5 * (math.cos(at) + math.sin(at))

    for h in (0.2, 0.1):
        end, _, estimate = pair_step(field, y, field(y, lam), lam, torch.full_like(lam, h), pair)
        exact = particular(0.4 + h) + (2 - particular(0.4)) * math.exp(-h)
        errors.append((abs(end.item() - exact), abs(estimate.item())))
    (coarse, guess), (fine, finer_guess) = errors
    assert math.log2(coarse / fine) == pytest.approx(pair.order + 1, abs=0.25)
    assert math.log2(guess / finer_guess) == pytest.approx(pair.order, abs=0.25)


@pytest.mark.parametrize("schedule", CONTINUOUS, ids=repr)
@pytest.mark.parametrize(
    ("method", "rtols", "bound"),
    [("dopri5", (1e-2, 1e-3, 1e-5, 1e-7, 1e-9), 1), ("bosh3", (1e-2, 1e-3, 1e-5), 20), ("heun-euler", (1e-2, 1e-3), 1)],
)
def test_the_error_follows_the_tolerance(method, rtols, bound, schedule):
    """On the exact flow of N(0.7, 0.3) from t = 0.9 to 0.1: at most bound · rtol (|y| + 1), in units of data, and
    more evaluations for less. Local errors of rtol add up, for the flow hardly contracts; 1 is what was seen at most.
    Except bosh3: on y' = −y its estimate is h³/48 where the error is h⁴/24, up to 15 rtol at steps of 1 and more."""
    process = Gaussian(schedule)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    (a_t, a_s), (s_t, s_s) = process.schedule(torch.tensor([0.9, 0.1], dtype=torch.float64))
    x = x * s_t
    exact = a_s * 0.7 + ((a_s**2 * 0.3 + s_s**2) / (a_t**2 * 0.3 + s_t**2)).sqrt() * (x - a_t * 0.7)
    calls = []
    for rtol in rtols:
        solver = Adaptive(method, rtol, rtol)
        *_, last = trajectory(normal_law(0.7, 0.3).denoiser(process), x, [0.9, 0.1], solver=solver)
        assert ((last.x - exact).abs() / (exact.abs() + a_s)).max() < bound * rtol
        calls.append(last.nfe)
    assert calls == sorted(calls)


def test_it_agrees_with_scipy_at_as_many_evaluations():
    """Ours over each of four examples against RK45 and DOP853 of scipy on the same equation, σ/α 80 → 0.002, and the
    belief there. scipy's RK45 is the same pair, and the longest of its four runs is what a batch
    costs, up to the controllers."""
    process = Gaussian(EDM())
    denoiser = LAW.denoiser(process)
    x = 80 * torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    runs = list(trajectory(denoiser, x, [1.0, 0.0], solver=Adaptive(rtol=1e-6, atol=1e-6)))
    theirs = 0
    for row, start in enumerate(x):

        def slope(lam, y):
            t = process.time(torch.tensor(lam, dtype=torch.float64))
            return (denoiser(torch.from_numpy(y)[None], t).mean[0] - torch.from_numpy(y)).numpy()

        span = (-math.log(80), -math.log(0.002))
        exact = torch.from_numpy(solve_ivp(slope, span, start.numpy(), "DOP853", rtol=1e-11, atol=1e-11).y[:, -1])
        want = denoiser(exact[None], process.time(torch.tensor(span[1], dtype=torch.float64))).mean[0]
        assert (runs[-1].x[row] - want).abs().max() < 1e-5
        theirs = max(theirs, solve_ivp(slope, span, start.numpy(), "RK45", rtol=1e-6, atol=1e-6).nfev)
    assert runs[-1].nfe < 1.2 * theirs


def test_no_example_depends_on_its_batch():
    """A stiff companion costs evaluations, and changes no number of the others."""
    for schedule in (VP(), Flow()):
        denoiser = LAW.denoiser(Gaussian(schedule))
        x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        times, solver = [1.0, 0.5, 0.2, 0.0], Adaptive(rtol=1e-4)
        x[3] *= 30
        together = [step.x for step in trajectory(denoiser, x, times, solver=solver)]
        for row in range(4):
            alone = [step.x for step in trajectory(denoiser, x[row : row + 1], times, solver=solver)]
            for a, b in zip(alone, together, strict=True):
                torch.testing.assert_close(a[0], b[row], rtol=1e-11, atol=1e-11)


def test_no_signal_at_the_start_and_float32():
    """From α = 0 the first belief is the mean of the data up to σ/α = 1000, and float32 ends where float64 does."""
    process = Gaussian(Cosine())
    x = torch.tensor([[-1.0], [0.5]], dtype=torch.float64)
    want = 0.7 + 0.3**0.5 * x
    for dtype, bound in ((torch.float64, 5e-5), (torch.float32, 2e-4)):
        solver = Adaptive(rtol=1e-5, atol=1e-5)
        law = normal_law(0.7, 0.3)
        law = GaussianMixture(law.weights.to(dtype), law.means.to(dtype), law.covs.to(dtype))
        *_, last = trajectory(law.denoiser(process), x.to(dtype), [1.0, 0.0], solver=solver)
        # σ_min²/2S = 7e-6 relative from the last belief, and 1/(2·1000²) from the first
        assert (last.x - want).abs().max() < bound and last.x.dtype == dtype


def test_norms_are_of_one_example_and_not_a_number_is_refused():
    error = torch.tensor([[3.0, 4.0], [float("nan"), 0.0]])
    got = scaled_norm(error, torch.ones(2, 2), -2 * torch.ones(2, 2), rtol=1.0, atol=3.0)
    assert got[0].item() == pytest.approx((25 / 2) ** 0.5 / 5) and got[1] == math.inf


class Broken:
    """A denoiser whose beliefs are not finite below t = 0.5."""

    process = Gaussian(VP())

    def __call__(self, x, t):
        return Moments(torch.where((t < 0.5).reshape(-1, 1), math.nan, x))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: Adaptive("rk45"), "no embedded method is called 'rk45'"),
        (lambda d: Adaptive(rtol=0.0), "0 < rtol < 1 and atol ≥ 0, got rtol=0.0"),
        (lambda d: Adaptive(atol=-1.0), "got rtol=0.001, atol=-1.0"),
        (lambda d: Adaptive(sigma_min=0.0), "sigma_min, .*, must be above 0"),
        (lambda d: Adaptive(max_evaluations=0), "max_evaluations must be at least 1"),
        (lambda d: Adaptive().init(object(), torch.ones(2)), "Adaptive needs a process with bridge"),
        (
            lambda d: sample(d, (2, 2), times=[1.0, 0.0], solver=Adaptive(rtol=1e-8, max_evaluations=30), rng=Rng(0)),
            "has not come further than t = .* within max_evaluations=30. Raise rtol and atol, or max_evaluations",
        ),
        (
            lambda d: sample(Broken(), (2, 2), times=[1.0, 0.0], solver=Adaptive()),
            "finds no step small enough at t = 0.5",
        ),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(LAW.denoiser(Gaussian(VP())))
