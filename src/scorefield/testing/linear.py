"""A sampler on Gaussian data is an affine map of its noise: so its endpoint law is read off without sampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Solver, as_time
from ..noise import Gaussian
from ..solvers.table import Table
from ..solvers.tabulate import tabulate


class Endpoint(NamedTuple):
    """Exact mean and standard deviation of a sampler's result on N(mean, var) data, and its evaluations."""

    mean: float
    std: float
    nfe: int


class AffineLaw(NamedTuple):
    """x at the end of a table on Gaussian data: shift + gain · x_start + N(0, var)."""

    shift: float
    gain: float
    var: float


def table_law(table: Table, mean: float, var: float) -> AffineLaw:
    """What ``table`` does with N(mean, var) data and the exact belief m + g (x − α m), g = α S/(α² S + σ²), in closed
    form: the coefficients of x over (1, x_start, draws) are carried through the rows. var ≥ 0."""
    alpha, sigma = as_time(table.alphas), as_time(table.sigmas)
    start = _unit(table.nfe + 2, 1)
    x, beliefs = start, []
    for i, row in enumerate(table.rows):
        gain = alpha[i] * var / (alpha[i] ** 2 * var + sigma[i] ** 2)
        beliefs.insert(0, gain * x + (1 - gain * alpha[i]) * mean * _unit(len(x), 0))
        x = row.keep * x + row.start * start + row.fresh * _unit(len(x), 2 + i)
        x = sum((c * belief for c, belief in zip(row.beliefs, beliefs, strict=False)), x)
    return AffineLaw(x[0].item(), x[1].item(), x[2:].square().sum().item())


def _unit(size: int, i: int) -> Tensor:
    unit = torch.zeros(size, dtype=torch.float64)
    unit[i] = 1
    return unit


def weak_order(solver: Solver, process: Gaussian, steps: tuple[int, ...] = (40, 80, 160)) -> float:
    """The measured order in which mean and variance come near those of Gaussian data, from t = 0.9 to 0.1: the fitted
    slope of ``moment_error``."""
    return fitted_order(steps, [moment_error(solver, process, n) for n in steps])


def moment_error(solver: Solver, process: Gaussian, steps: int, start: float = 0.9) -> float:
    """By how much the mean or the variance of Gaussian data is missed at t = 0.1, from its exact law at ``start``.

    Exact laws in, exact laws out, so no sampling noise; the worst over variances 0.05, 0.3 and 1.5. The grid is uniform
    in log α/σ with steps that begin short, so that multistep methods do not pay for having no past.
    """
    ends = process.log_ratio(as_time([start, 0.1]))
    (a_t, a_s), (s_t, s_s) = (part.tolist() for part in process.schedule(as_time([start, 0.1])))
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    table = tabulate(solver, process, process.time(ends[0] + share.square() * (2 - share) * (ends[1] - ends[0])))
    worst = 0.0
    for var in (0.05, 0.3, 1.5):
        law = table_law(table, 0.7, var)
        mean, spread = law.shift + law.gain * a_t * 0.7, law.gain**2 * (a_t**2 * var + s_t**2) + law.var
        worst = max(worst, abs(mean - a_s * 0.7), abs(spread - (a_s**2 * var + s_s**2)))
    return worst


def fitted_order(steps: tuple[int, ...], errors: list[float]) -> float:
    """The slope of −log error against log steps."""
    logs = as_time([math.log(n) for n in steps])
    centred = logs - logs.mean()
    return -(centred @ as_time([math.log(e) for e in errors]) / centred.square().sum()).item()


def gaussian_endpoint(solver: Solver, process: Gaussian, times: Tensor, mean: float, var: float) -> Endpoint:
    """The law that ``solver`` on ``times`` (falling, from 1) makes of N(mean, var) data with the exact belief, from the
    prior N(0, σ₁²): exact to rounding, for deterministic and stochastic solvers alike. var ≥ 0. Raises UserError for a
    solver that has no table."""
    table = tabulate(solver, process, times)
    law = table_law(table, mean, var)
    return Endpoint(law.shift, math.sqrt((law.gain * table.sigmas[0]) ** 2 + law.var), table.nfe)
