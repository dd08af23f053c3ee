"""Adams' method with steps of every example's own: one evaluation a step, for slopes that cost much."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import like
from ..errors import UserError

ORDER = 5  # slopes behind that a step looks at: with more, the last is too old where the slope turns
SMALLEST = 1e-9  # step in log σ/α: below it, rounding or chance is all that is seen


@dataclass(frozen=True)
class Adams:
    """How closely a likelihood follows the flow.

    ``tol`` bounds what every step of each example adds to the error of log p, in nats a dimension. By the state: its
    error as a root mean square, times the steepness of log p there (at least 1/noise), is at most tol √D, for signs are
    random. By the divergence 3 tol, or 10 tol where probes estimate it; steps are of a higher order than the estimates
    of their errors. On the way to data tol bounds the root mean square of the error in units of their deviation.
    ``sigma_min`` is the noise σ/α of the clean end. Raises UserError for a tol outside (0, 1), a sigma_min that is not
    above 0 and max_evaluations < 1; during the walk, when one example needs more, or no step is small enough.
    """

    tol: float = 1e-5
    sigma_min: float = 0.002
    max_evaluations: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.tol < 1:
            raise UserError(f"tol, the error that a step may make, must be between 0 and 1, got {self.tol}.")
        if not 0 < self.sigma_min < math.inf:
            raise UserError(f"sigma_min, the noise σ/α of the clean end, must be above 0, got {self.sigma_min}.")
        if self.max_evaluations < 1:
            raise UserError(f"max_evaluations must be at least 1, got {self.max_evaluations}.")


class Walk(NamedTuple):
    """Where each example is on its own clock: y (B, W); the slopes there and at earlier steps (B, K, W) and their
    positions ``at`` (B, K), the last first; how many of them there are yet (B,); the size to try next (B,)."""

    y: Tensor
    slopes: Tensor
    at: Tensor
    known: Tensor
    size: Tensor

    def of(self, rows: Tensor) -> Walk:
        """These examples alone."""
        here = rows.to(self.y.device)
        return Walk(self.y[here], self.slopes[here], self.at[rows], self.known[rows], self.size[rows])


def start(y: Tensor, slope: Tensor, at: Tensor, size: float) -> Walk:
    """A walk that begins with steps of ``size`` at y (B, W) with its slope, at positions (B,)."""
    slopes, places = slope[:, None].repeat(1, ORDER, 1), at[:, None].repeat(1, ORDER)
    return Walk(y, slopes, places, torch.ones(len(y), dtype=torch.long), torch.full_like(at, size))


def advance(
    field: Callable[[Tensor, Tensor], Tensor],
    walk: Walk,
    end: Tensor,
    norm: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    longest: float,
) -> tuple[Walk, bool]:
    """Every example tries a step of at most ``longest`` toward ``end`` (B,), and takes it where ``norm(error, y there,
    slope there, position)`` (B,) is at most 1; and whether one of them finds no step small enough. Clocks rise.

    The step is predicted by the polynomial through the slopes behind, y + ∫ p (Adams–Bashforth), its slope evaluated
    there, and corrected by the polynomial through that one as well (Adams–Moulton); the error is what the correction
    moves when it leaves out the slope furthest behind (Hairer et al. 1993, III.5).
    """
    y, slopes, at, known, size = walk
    now, size = at[:, 0], size.clamp_max(longest)
    left = end - now
    there = torch.where(size >= left, end, now + torch.where(2 * size > left, left / 2, size))
    h = there - now
    guess = y + _sum(integrals(at, known, now, there), slopes)
    slope = field(guess, there)
    slopes, at = torch.cat([slope[:, None], slopes], 1), torch.cat([there[:, None], at], 1)
    weights = integrals(at, known + 1, now, there)
    error = _sum(weights - integrals(at, known, now, there), slopes)
    off = norm(error, guess, slope, there)
    taken = off <= 1
    size = h * (0.9 * off.clamp_min(1e-10) ** (-1 / (known + 1))).clamp(0.2, 2)
    move = like(taken, slopes).bool()
    return Walk(
        torch.where(move[:, 0], y + _sum(weights, slopes), y),
        torch.where(move, slopes[:, :-1], slopes[:, 1:]),
        torch.where(taken[:, None], at[:, :-1], at[:, 1:]),
        torch.where(taken, known + 1, known).clamp_max(ORDER),
        size,
    ), bool((~taken & (size < SMALLEST)).any())


def integrals(nodes: Tensor, known: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Weights w (B, K) with Σ w_j p(nodes_j) = ∫_a^b p for every polynomial p of degree < known, on the first ``known``
    (B,) of the nodes (B, K); 0 on the others. By the moments of powers, on a clock that is 0 at a and 1 at b."""
    power = torch.arange(nodes.shape[1])
    used, z = power < known[:, None], (nodes - a[:, None]) / (b - a)[:, None]
    powers = torch.where(used[:, None], z[:, None] ** power[:, None], 0.0)
    rows = torch.where(used[:, :, None], powers, torch.eye(len(power), dtype=z.dtype))
    return torch.linalg.solve(rows, used / (power + 1).to(z.dtype)) * (b - a)[:, None]


def _sum(weights: Tensor, slopes: Tensor) -> Tensor:
    return torch.einsum("bk,bkw->bw", weights.to(slopes.device, slopes.dtype), slopes)
