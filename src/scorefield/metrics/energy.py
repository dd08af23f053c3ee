"""The energy distance: how much farther two samples are from each other than each is from itself."""

from __future__ import annotations

from torch import Tensor

from .resample import Estimate, as_pair, squared_distances


def energy_distance(fake: Tensor, real: Tensor) -> Estimate:
    """Zero for equal distributions and for no others, and without bias, so it needs no large sample to be read.

    E = 2 E|x − y| − E|x − x′| − E|y − y′| (Székely & Rizzo 2013), by the unbiased U-statistic, which may fall
    below zero by chance where the laws agree. (SciPy's ``energy_distance`` is the square root of this E.)

    fake (N, D), real (M, D) in any unit u; the value is in u. Time N · M, memory bounded. Standard error: the exact
    delete-one jackknife of each sample. Raises UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, real = as_pair(fake, real)
    n, m = len(fake), len(real)
    between_x, between_y = _distance_sums(fake, real)
    within_x, _ = _distance_sums(fake, fake)
    within_y, _ = _distance_sums(real, real)
    cross = 2 * between_x.sum() / (n * m)
    self_x, self_y = within_x.sum() / (n * (n - 1)), within_y.sum() / (m * (m - 1))
    variance = _jackknife(between_x, within_x, m) + _jackknife(between_y, within_y, n)
    return Estimate(float(cross - self_x - self_y), variance**0.5)


def _distance_sums(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j |x_i − y_j| and Σ_i |x_i − y_j|, (N,) and (M,)."""
    rows, columns = x.new_empty(len(x)), y.new_zeros(len(y))
    for block, squared in squared_distances(x, y):
        if x is y:  # a point is at no distance from itself; rounding would say 1e-8
            squared.diagonal(block.start).zero_()
        distance = squared.sqrt_()
        rows[block] = distance.sum(1)
        columns += distance.sum(0)
    return rows, columns


def _jackknife(between: Tensor, within: Tensor, others: int) -> float:
    """Variance of E due to one sample of n rows, from the value without each row (Efron & Stein 1981)."""
    n = len(between)
    without = 2 * (between.sum() - between) / ((n - 1) * others) - (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    return float(without.var(correction=0)) * (n - 1)
