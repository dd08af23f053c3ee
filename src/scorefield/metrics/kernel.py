"""The kernel distance: moments up to the third, compared without bias and with an exact variance."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .resample import Estimate, as_pair

_CHUNK = 4_000_000  # kernel values at once: 32 MB


def kernel_distance(fake: Tensor, real: Tensor) -> Estimate:
    """The Fréchet distance's question without its bias: the same value is expected whatever the number of rows.

    MMD² = E k(x, x′) + E k(y, y′) − 2 E k(x, y) with k(a, b) = (a·b / D + 1)³, by the unbiased U-statistic over all
    rows (Bińkowski et al. 2018, "KID", Eq. 4; theirs averages it over subsets, which only adds noise). Zero where the
    first three moments agree; it may fall below zero by chance.

    fake (N, D), real (M, D) in the units of Inception features or near 1: k is not scale-free. Time N · M, memory
    bounded. Standard error: the exact variance of the U-statistic (``variance``), also where the two laws agree.
    Raises UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, real = as_pair(fake, real)
    sums = _Sums.of(fake, real)
    return Estimate(sums.value, max(sum(max(term, 0.0) for term in sums.variance()), 0.0) ** 0.5)


def _kernel(x: Tensor, y: Tensor, offset: float) -> Tensor:
    return (x @ y.T / x.shape[1] + 1).pow_(3).sub_(offset)


class _Within(NamedTuple):
    """Sums of k(x_i, x_j) over j ≠ i: of each row, and of the squares in all."""

    rows: Tensor
    squares: float

    @classmethod
    def of(cls, x: Tensor, offset: float) -> _Within:
        rows, squares = x.new_empty(len(x)), 0.0
        step = max(1, _CHUNK // len(x))
        for start in range(0, len(x), step):
            block = _kernel(x[start : start + step], x, offset)
            block.diagonal(start).zero_()
            rows[start : start + step] = block.sum(1)
            squares += float(block.square_().sum())
        return cls(rows, squares)

    def mean(self) -> float:
        """E k(x, x′)."""
        return float(self.rows.sum()) / _falling(len(self.rows), 2)

    def square_mean(self) -> float:
        """E k(x, x′)²."""
        return self.squares / _falling(len(self.rows), 2)

    def shared_mean(self) -> float:
        """E k(x, x′) k(x, x″)."""
        return (float(self.rows.square().sum()) - self.squares) / _falling(len(self.rows), 3)

    def product_mean(self) -> float:
        """(E k(x, x′))², over four different rows."""
        pairs = float(self.rows.sum()) ** 2 - 4 * float(self.rows.square().sum()) + 2 * self.squares
        return pairs / _falling(len(self.rows), 4)


class _Sums(NamedTuple):
    """Everything that the distance and its variance need of the three kernel matrices."""

    xx: _Within
    yy: _Within
    x: Tensor  # Σ_j k(x_i, y_j), (N,)
    y: Tensor  # Σ_i k(x_i, y_j), (M,)
    squares: float  # Σ k(x_i, y_j)²

    @classmethod
    def of(cls, fake: Tensor, real: Tensor) -> _Sums:
        centre = float(_kernel(fake.mean(0)[None], real.mean(0)[None], 0.0))  # a constant in k changes nothing but
        rows, columns, squares = fake.new_empty(len(fake)), real.new_zeros(len(real)), 0.0  # digits
        step = max(1, _CHUNK // len(real))
        for start in range(0, len(fake), step):
            block = _kernel(fake[start : start + step], real, centre)
            rows[start : start + step] = block.sum(1)
            columns += block.sum(0)
            squares += float(block.square_().sum())
        return cls(_Within.of(fake, centre), _Within.of(real, centre), rows, columns, squares)

    @property
    def value(self) -> float:
        """The unbiased MMD²."""
        cross = float(self.x.sum()) / (len(self.x) * len(self.y))
        return self.xx.mean() + self.yy.mean() - 2 * cross

    def variance(self) -> tuple[float, ...]:
        """The five terms of Var MMD², each without bias, so that single ones may be below zero by chance.

        Hoeffding's decomposition of the two-sample U-statistic (cf. Sutherland & Deka 2019): 4 ζ_x / N + 4 ζ_y / M for
        what one row does, and 2 ζ_xx / N(N−1) + 2 ζ_yy / M(M−1) + 4 ζ_xy / NM for what pairs do, with ζ_x the variance
        of E[k(x, x′) − k(x, y) | x] and ζ_xx, ζ_yy, ζ_xy those of the doubly centred kernels. Where the laws agree the
        first two vanish and the pairs are all there is.
        """
        n, m = len(self.x), len(self.y)
        total, x_squares, y_squares = (float(of) for of in (self.x.sum(), self.x.square().sum(), self.y.square().sum()))
        shared_x = (x_squares - self.squares) / (n * _falling(m, 2))  # E k(x, y) k(x, y′)
        shared_y = (y_squares - self.squares) / (m * _falling(n, 2))
        product = (total**2 - x_squares - y_squares + self.squares) / (_falling(n, 2) * _falling(m, 2))
        one_x = self._of_one(self.xx, self.x, m) + shared_x - product
        one_y = self._of_one(self.yy, self.y, n) + shared_y - product
        pair = self.squares / (n * m) - shared_x - shared_y + product
        pair_x, pair_y = (it.square_mean() - 2 * it.shared_mean() + it.product_mean() for it in (self.xx, self.yy))
        of_pairs = 2 * pair_x / _falling(n, 2), 2 * pair_y / _falling(m, 2), 4 * pair / (n * m)
        return 4 * one_x / n, 4 * one_y / m, *of_pairs

    def _of_one(self, within: _Within, across: Tensor, others: int) -> float:
        """Var g − 2 Cov(g, c) for g(x) = E k(x, x′) and c(x) = E k(x, y)."""
        n, mixed = len(across), float((within.rows * across).sum())
        apart = (float(within.rows.sum()) * float(across.sum()) - 2 * mixed) / (_falling(n, 3) * others)
        variance = within.shared_mean() - within.product_mean()
        return variance - 2 * (mixed / (_falling(n, 2) * others) - apart)


def _falling(n: int, count: int) -> float:
    """n (n − 1) … (n − count + 1): ordered choices of ``count`` different rows."""
    return float(torch.arange(n - count + 1, n + 1, dtype=torch.float64).prod())
