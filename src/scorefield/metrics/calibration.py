"""Is a sampler of posteriors calibrated? Simulation-based calibration: draws must hide the truth among themselves.

Draw x from the prior, y from the measurement of x, and L draws of p(x | y): then x and the draws are exchangeable, so
the rank of any number f(x, y) among f(draws, y) is uniform on 0 … L (Cook et al. 2006; Talts et al. 2018). Ranks that
are not say how a sampler is wrong: too few in the middle, draws too narrow; too many, too wide; a slope, off to a side.
A number that reads y, such as the likelihood, sees faults that numbers of x alone miss (Modrák et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError

CREDIBLE = (0.5, 0.8, 0.95)  # of the central intervals that are counted
FALSE_ALARM = 0.01  # of the verdict: how often an exact sampler is told off
LEAST = 8.0  # simulations a bin, so that χ² has its law


@dataclass(frozen=True)
class Coverage:
    """How often the central credible interval of ``level`` held the truth, with the binomial standard error. ``level``
    is what L draws can say exactly: 1 − 2e/(L + 1)."""

    level: float
    value: float
    se: float


@dataclass(frozen=True)
class Quantity:
    """What the ranks of one number say. ``p`` is the p-value of χ² against uniform ``counts``; ``shift`` and ``width``
    are standard deviations of the mean rank and of how far ranks lie from the middle: + where draws lie above the
    truth, + where they are too narrow."""

    name: str
    counts: tuple[int, ...]
    chi2: float
    p: float
    shift: float
    width: float
    coverage: tuple[Coverage, ...]

    @property
    def worst(self) -> float:
        """The smallest p-value of the three tests, times three."""
        return min(1.0, 3 * min(self.p, _two_sided(self.shift), _two_sided(self.width)))

    @property
    def reading(self) -> str:
        """What is wrong, in words."""
        if self.worst > FALSE_ALARM:
            return "no fault seen"
        if 3 * _two_sided(max(abs(self.width), abs(self.shift))) > FALSE_ALARM:
            return "ranks are not uniform"
        if abs(self.width) > abs(self.shift):
            return "draws too narrow: surer than they may be" if self.width > 0 else "draws too wide"
        return "draws lie above the truth" if self.shift > 0 else "draws lie below the truth"


@dataclass(frozen=True)
class Calibration:
    """Ranks of several numbers over ``n`` simulations with ``draws`` draws each. ``chi2`` is the mean of the residuals'
    χ²/M over simulations with its standard error ``chi2_se``, 1 where draws explain y as the truth does, and
    ``chi2_p`` the p-value of that; None where there is no noise to compare with. Print it, or iterate its
    quantities."""

    quantities: tuple[Quantity, ...]
    n: int
    draws: int
    chi2: float | None = None
    chi2_se: float = 0.0
    chi2_p: float = 1.0

    @property
    def p(self) -> float:
        """The smallest of all p-values, times their number (Bonferroni): an exact sampler is below p with probability
        at most p."""
        return min(1.0, self._tests * min(self.chi2_p, *(quantity.worst for quantity in self.quantities)))

    @property
    def _tests(self) -> int:
        return len(self.quantities) + (self.chi2 is not None)

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the sampler: an exact one fails with probability 0.01."""
        return self.p > FALSE_ALARM

    @property
    def verdict(self) -> str:
        """In a sentence."""
        if self.passed:
            return f"no fault was seen in {self.n} simulations (p = {self.p:.2g})"
        told = f"{self.p:.1g}" if self.p > 0 else "0 to rounding"
        worst = min(self.quantities, key=lambda quantity: quantity.worst)
        faults = [(worst.worst, f"of {worst.name}, {worst.reading}")]
        if self.chi2 is not None:
            side = "lie too far from y" if self.chi2 > 1 else "fit the noise of y"
            faults.append((self.chi2_p, f"draws {side}, χ²/M = {self.chi2:.2f} ± {self.chi2_se:.2f}"))
        found = [words for p, words in sorted(faults) if self._tests * p <= FALSE_ALARM]
        return f"not calibrated (p = {told}): {'; '.join(found)}"

    def __iter__(self) -> Any:
        return iter(self.quantities)

    def __str__(self) -> str:
        """A line for each quantity."""
        return "\n".join([self.verdict, *("  ".join(row) for row in self.rows())])

    def rows(self) -> list[tuple[str, ...]]:
        """(name, p, coverage at each level, reading) for a table."""
        return [
            (q.name, f"{q.worst:.2g}", *(f"{c.value:.2f} ± {c.se:.2f}" for c in q.coverage), q.reading)
            for q in self.quantities
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "n": self.n,
            "draws": self.draws,
            "p": self.p,
            "verdict": self.verdict,
            "chi2": self.chi2,
            "chi2_se": self.chi2_se,
            "chi2_p": self.chi2_p,
            "quantities": [
                {
                    **{name: getattr(q, name) for name in ("name", "p", "chi2", "shift", "width", "reading")},
                    "counts": list(q.counts),
                    "coverage": [vars(c) for c in q.coverage],
                }
                for q in self.quantities
            ],
        }


def calibration(
    truth: Tensor, draws: Tensor, names: Sequence[str] = (), *, chi2: Tensor | None = None, seed: int = 0
) -> Calibration:
    """What simulations say of a sampler: truth (N, F), the numbers of each simulation's x; draws (N, L, F), those of
    its draws. ``chi2`` (N,) is the mean over draws of χ²/M of the residuals. Ties are broken at random by ``seed``, so
    numbers that are the same for all draws do no harm. Raises UserError for shapes that do not fit, fewer than 16
    simulations, fewer than 3 draws, and numbers that are not finite.
    """
    n, f = truth.shape if truth.ndim == 2 else (0, 0)
    if draws.ndim != 3 or draws.shape[::2] != (n, f):
        raise UserError(f"calibration needs truth (N, F) and draws (N, L, F), got {_by(truth)} and {_by(draws)}.")
    if n < 2 * LEAST or draws.shape[1] < 3:
        raise UserError(f"calibration needs at least 16 simulations of 3 draws, got {n} of {draws.shape[1]}.")
    if not (truth.isfinite().all() and draws.isfinite().all()):
        raise UserError("calibration needs finite numbers: a draw or its number is NaN or infinite.")
    found, count = ranks(truth, draws, seed), draws.shape[1]
    labels = tuple(names) or tuple(f"f{i + 1}" for i in range(f))
    quantities = tuple(quantity(name, found[:, i], count) for i, name in enumerate(labels))
    if chi2 is None:
        return Calibration(quantities, n, count)
    se = float(chi2.double().std() / math.sqrt(n))
    return Calibration(quantities, n, count, float(chi2.double().mean()), se, _mean_is_one(chi2.double()))


def ranks(truth: Tensor, draws: Tensor, seed: int = 0) -> Tensor:
    """How many of the draws (N, L, F) lie below the truth (N, F), a draw that is equal counting at random: int64 (N, F)
    in 0 … L."""
    less = (draws < truth[:, None]).sum(1)
    same = (draws == truth[:, None]).sum(1)
    u = Rng(seed).uniform(torch.empty(truth.shape, dtype=torch.float64))
    return less + (u * (same + 1)).floor().long()


def quantity(name: str, found: Tensor, draws: int) -> Quantity:
    """What ranks (N,) in 0 … ``draws`` say."""
    n, values = len(found), draws + 1
    bins = _bins(n, values)
    counts = torch.bincount(found * bins // values, minlength=bins)
    expected = n / values * torch.bincount(torch.arange(values) * bins // values, minlength=bins).double()
    chi2 = float(((counts - expected).square() / expected).sum())
    u = (torch.arange(values, dtype=torch.float64) + 0.5) / values - 0.5
    shift, width = (_standing(g, found) for g in (u, u.square()))
    return Quantity(
        name=name,
        counts=tuple(counts.tolist()),
        chi2=chi2,
        p=_chi2_tail(chi2, bins - 1),
        shift=-shift,
        width=width,
        coverage=tuple(_coverage(left_out, found, draws) for left_out in _left_out(draws)),
    )


def _bins(n: int, values: int) -> int:
    """As many bins of (nearly) equally many ranks as leave ``LEAST`` simulations in each, at most 20."""
    return int(max(2, min(values, n // LEAST, 20)))


def _standing(g: Tensor, found: Tensor) -> float:
    """Standard deviations that the mean of g(rank) lies above that of uniform ranks."""
    spread = g.square().mean() - g.mean().square()
    return float((g[found].mean() - g.mean()) / (spread / len(found)).sqrt())


def _left_out(draws: int) -> list[int]:
    """How many of the extreme ranks on either side the central intervals leave out."""
    wanted = [round((1 - level) / 2 * (draws + 1)) for level in CREDIBLE]
    return list(dict.fromkeys(min(max(1, e), draws // 2) for e in wanted))


def _coverage(left_out: int, found: Tensor, draws: int) -> Coverage:
    exact = 1 - 2 * left_out / (draws + 1)
    inside = ((found >= left_out) & (found <= draws - left_out)).double().mean()
    return Coverage(exact, float(inside), math.sqrt(max(exact * (1 - exact), 0.25 / len(found)) / len(found)))


def _chi2_tail(x: float, dof: int) -> float:
    """P(χ²_dof > x)."""
    return float(torch.special.gammaincc(torch.tensor(dof / 2).double(), torch.tensor(x / 2).double()))


def _mean_is_one(values: Tensor) -> float:
    """The p-value of a mean of 1, of few values (N,) of a skewed law: Student's t, with Hall's (1992) correction for
    the skewness and Wallace's (1959) normal for t. A z-test of 16 χ² raises ten times as many alarms."""
    n, std = len(values), values.std()
    if not std > 0:
        return 1.0
    skew = ((values - values.mean()) / std).pow(3).mean()
    s = (values.mean() - 1) / std
    t2 = float(n * (s + skew * s**2 / 3 + skew**2 * s**3 / 27 + skew / (6 * n)).square())
    return _two_sided((8 * n - 7) / (8 * n - 5) * math.sqrt((n - 1) * math.log1p(t2 / (n - 1))))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def _by(x: Tensor) -> str:
    return "×".join(map(str, x.shape))
