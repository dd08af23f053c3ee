"""Laws of solvers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..analytic import GaussianMixture
from ..belief import Moments
from ..core import Rng, Solver
from ..noise import Gaussian
from ..sampling import sample, trajectory
from ..solvers.grids import Karras
from .linear import fitted_order


def convergence_order(solver: Solver, process: Gaussian, steps: tuple[int, ...] = (60, 120, 240)) -> float:
    """The measured order on the exact probability flow of 3-D Gaussian data, from t = 0.9 to t = 0.1 (float64).

    The steps begin short, as the square of their number, so that a multistep method does not pay for having no past.

    Fitted slope of log error against log steps. The flow map per principal axis is
    α_s m + √((α_s² S + σ_s²)/(α_t² S + σ_t²)) (x − α_t m).
    """
    variances = torch.tensor([0.05, 0.3, 1.5], dtype=torch.float64)  # where one error changes its sign, others do not
    law = GaussianMixture(variances.new_ones(1), variances.new_full((1, 3), 0.7), variances.diag()[None])
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None].expand(9, 3)
    times = torch.tensor([0.9, 0.1], dtype=torch.float64)
    (a_t, a_s), (s_t, s_s) = process.schedule(times)
    gain = ((a_s**2 * variances + s_s**2) / (a_t**2 * variances + s_t**2)).sqrt()
    exact = a_s * 0.7 + gain * (x - a_t * 0.7)
    errors = []
    for n in steps:
        share = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        grid = 0.9 - 0.8 * share.square() * (2 - share)
        *_, last = trajectory(law.denoiser(process), x, grid, solver=solver)
        errors.append((last.x - exact).abs().max().item())
    return fitted_order(steps, errors)


def check_solver(solver: Solver, process: Gaussian, order: float | None = None) -> None:
    """A constant belief is reproduced from any start; a one-step grid works; example i does not depend on its batch;
    and, where ``order`` is claimed (deterministic solvers), the measured order reaches ``order − 0.4``."""
    constant = torch.tensor([[0.3, -0.8], [0.1, 0.5]], dtype=torch.float64)
    for steps in (1, 2, 7):
        x = sample(Constant(constant, process), (2, 2), steps=steps, solver=solver, dtype=torch.float64)
        bound = 1e-9 * process.schedule(torch.tensor(1.0, dtype=torch.float64)).sigma.item() + 1e-9
        assert (x - constant).abs().max() < bound, f"{solver} on {process}, {steps} steps: a constant belief is lost"
    law = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64), 0.3)
    denoiser, times = law.denoiser(process), Karras()(process, 6)
    whole, part = (_run(solver, denoiser, times, Rng.each(5, rows), len(rows)) for rows in (range(4), range(2, 4)))
    torch.testing.assert_close(whole[2:], part, rtol=0, atol=1e-10, msg=lambda m: f"{solver}: batching matters. {m}")
    if order is not None:
        measured = convergence_order(solver, process)
        assert measured >= order - 0.4, f"{solver} on {process}: order {measured:.2f}, claimed {order}"


def _run(solver: Solver, denoiser: Any, times: Tensor, rng: Rng, n: int) -> Tensor:
    return sample(denoiser, (n, 2), times=times, solver=solver, rng=rng, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Constant:
    """The denoiser that believes ``value`` (B, *D) whatever it sees."""

    value: Tensor
    process: Gaussian

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        return Moments(self.value)
