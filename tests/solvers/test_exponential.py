from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, sample, tabulate, trajectory
from scorefield.belief import Moments
from scorefield.noise import EDM, VP, Cosine
from scorefield.solvers import Exponential, LogSNR, RungeKutta, SingleStep, named
from scorefield.solvers.weights import aim_weights, quadrature_weights

INTEGRALS = [  # of e^λ λᵏ
    lambda v: v.exp(),
    lambda v: v.exp() * (v - 1),
    lambda v: v.exp() * (v**2 - 2 * v + 2),
    lambda v: v.exp() * (v**3 - 3 * v**2 + 6 * v - 6),
]


class Power:
    """The belief λᵏ, whatever x: then x_s/σ_s = x_t/σ_t + ∫ e^λ λᵏ dλ exactly."""

    def __init__(self, power, process):
        self.power, self.process = power, process

    def __call__(self, x, t, **cond):
        return Moments(torch.full_like(x, self.process.log_ratio(t).item() ** self.power))


def defects(solver, power, process=Gaussian(VP()), steps=12):  # noqa: B008 (frozen)
    """By how much each step misses the exact one, in units of the exact step; falling t, even in λ from −2 to 2."""
    lam = torch.linspace(-2.0, 2.0, steps + 1, dtype=torch.float64)
    x = torch.ones(1, 1, dtype=torch.float64)
    states = [step.x.item() for step in trajectory(Power(power, process), x, process.time(lam), solver=solver)]
    scaled = torch.tensor(states, dtype=torch.float64) / process.schedule(process.time(lam)).sigma
    exact = INTEGRALS[power](lam).diff()
    return (scaled.diff() - exact).abs() / exact.abs().max()


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_belief_that_is_a_polynomial_in_lambda_is_followed_exactly(order):
    """By order k every polynomial of degree k − 1, once k beliefs are there; and degree k is not."""
    for process in (Gaussian(VP()), Gaussian(EDM()), Gaussian(Cosine())):
        for power in range(order):
            assert defects(Exponential(order), power, process)[order - 1 :].max() < 1e-11
    if order < 4:
        assert defects(Exponential(order), order)[order - 1 :].max() > 1e-4


def test_single_steps_follow_the_polynomials_of_their_order():
    assert defects(SingleStep(2), 1).max() < 1e-11 and defects(SingleStep(3), 1).max() < 1e-11
    assert defects(SingleStep(2, weights="bh2"), 1).max() > 1e-4


def test_published_third_order_misses_the_square_and_its_defect_is_of_third_power():
    """The second difference counts half: a defect ∝ h³ a step, which leaves order 2 (all public codes)."""
    coarse, fine = (defects(named("dpmpp3m-published"), 2, steps=n)[2:].max().item() for n in (20, 40))
    # In units of the step h³ is h², a factor 4 when the steps halve; 3.5 to 4.5 leaves room for the next power.
    assert 3.5 < coarse / fine < 4.5


def test_names_for_one_method_agree():
    """DDIM = DPM-Solver-1 = DPM-Solver++(1) = Euler in σ/α; SA-Solver at τ = 1 without corrector = SDE-DPM-Solver++."""
    process = Gaussian(VP())
    times = LogSNR()(process, 7)
    first = tabulate(Exponential(1), process, times)
    for solver in (
        SingleStep(1, "eps"),
        SingleStep(1),
        RungeKutta("euler", clock="sigma"),
        Exponential(1, space="eps"),
    ):
        other = tabulate(solver, process, times)
        for a, b in zip(first.rows, other.rows, strict=True):
            assert (a.keep, *a.beliefs) == pytest.approx((b.keep, *b.beliefs), abs=1e-12)
    sde, sa = (tabulate(s, process, times) for s in (Exponential(2, eta=1.0), Exponential(2, tau=1.0)))
    for a, b in zip(sde.rows, sa.rows, strict=True):
        assert (a.keep, a.fresh, *a.beliefs) == pytest.approx((b.keep, b.fresh, *b.beliefs), abs=1e-12)
    one, two = (tabulate(named(n), process, times) for n in ("unipc3", "unipc3-bh1"))
    assert one.rows[-2].beliefs == pytest.approx(
        two.rows[-2].beliefs, abs=1e-12
    )  # B(h) cancels where all is solved for


def test_the_noise_of_eta_and_of_tau_keeps_the_marginal_law():
    """On N(0, S) with the exact belief and small steps every η and τ ends with the same deviation, to first order."""
    law = GaussianMixture.isotropic(torch.zeros(1, 1, dtype=torch.float64), 0.5)
    process = Gaussian(VP())
    for solver in (Exponential(2, eta=0.3), Exponential(2, tau=0.5), Exponential(2, tau=1.5), Exponential(1, eta=0.7)):
        table = tabulate(solver, process, LogSNR()(process, 300))
        x = process.prior(torch.empty(4_000, 1, dtype=torch.float64), Rng(5))
        got = table.run(law.denoiser(process), x, Rng(6))
        assert (
            abs(got.std().item() / 0.5 - 1) < 5 / 8_000**0.5 + 0.01
        )  # 5 standard errors (6e-7), and first order in 1/300


def test_noise_only_where_it_was_asked_for():
    process = Gaussian(EDM())
    table = tabulate(Exponential(2, tau=1.0, tau_span=(0.05, 1.0)), process, LogSNR()(process, 20))
    noisy = [row.fresh > 0 for row in table.rows]
    inside = [0.05 <= level <= 1.0 for level in table.levels]
    assert noisy == inside and any(noisy) and not all(noisy)


def test_lower_final_uses_no_more_beliefs_than_steps_are_left():
    process, times = Gaussian(VP()), torch.linspace(1, 0.1, 7, dtype=torch.float64)
    table = tabulate(Exponential(3, lower_final=True), process, times)
    assert [len(row.beliefs) for row in table.rows] == [1, 2, 3, 3, 2, 1]


def test_quadrature_agrees_with_the_closed_form():
    """The same integral by 64 Gauss–Legendre points: to rounding, for steps of up to e^12 of the kernel."""
    nodes = [torch.tensor(v, dtype=torch.float64) for v in (-1.3, -0.4, 0.1)]
    for end in (0.3, 1.5, 6.0):
        s = torch.tensor(end, dtype=torch.float64)
        for rate in (1.0, 2.0, -1.0):
            by_points = quadrature_weights(nodes, lambda v: v, lambda v, r=rate: (r * v).exp(), nodes[-1], s)
            torch.testing.assert_close(by_points, aim_weights(nodes, nodes[-1], s, rate), rtol=1e-10, atol=1e-10)


def test_a_walk_from_no_signal_at_all_begins_at_first_order():
    """α = 0 at t = 1: a belief there is no node. Every multistep method takes the bridge, then starts its history."""
    process = Gaussian(Cosine())
    denoiser = GaussianMixture.isotropic(torch.tensor([[1.0], [-1.0]]).double(), 0.3).denoiser(process)
    for name in ("dpmpp3m", "unipc3", "deis3", "sa-solver", "er-sde"):
        assert sample(denoiser, (4, 1), steps=6, solver=named(name), dtype=torch.float64).isfinite().all()
        table = tabulate(named(name), process, LogSNR()(process, 6))
        assert len(table.rows[0].beliefs) == 1
