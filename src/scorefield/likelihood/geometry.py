"""What the score says about the shape of data: its Jacobian, how many dimensions data have near a point, and a metric
in which paths keep to where data are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, need
from ..errors import UserError
from .divergence import divergence_of

Score = Callable[[Tensor], Tensor]  # (B, *D) ↦ (B, *D), no example of which depends on another


def score_of(denoiser: Denoiser, sigma: float, **cond: Any) -> Score:
    """The score at one level of noise, s(y) = ∇ log p_σ(y) = (E[x₀ | y] − y)/σ² for y = x₀ + σ ε, as a function
    (B, *D) → (B, *D) in units of data: whatever the schedule, ``sigma`` is its σ/α. By Tweedie's formula (Efron 2011).

    Raises UserError for a process without a noise-to-signal ratio, and a sigma that it does not have."""
    t, alpha, s = _level(denoiser, sigma)
    return lambda y: (denoiser((alpha * y).to(y), t, **cond).mean - y) / s**2


def jacobian(score: Score, x: Tensor) -> Tensor:
    """∂s_i/∂x_j at x (B, *D), flattened: (B, D, D), by a pass backward for each row. Of a true score, and of one that
    is a gradient, it is symmetric; of a free network only nearly: J − Jᵀ says how far that is from any density."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        s = score(at).flatten(1)
        rows = [
            torch.autograd.grad(s[:, i].sum(), at, retain_graph=i + 1 < s.shape[1], materialize_grads=True)[0]
            for i in range(s.shape[1])
        ]
    return torch.stack([row.flatten(1) for row in rows], 1)


def vjp(score: Score, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """s (B, *D) and Jᵀv (B, *D) at x, for v (B, *D): one pass backward."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        s = score(at)
        (back,) = torch.autograd.grad(s, at, v.to(s), materialize_grads=True)
    return s.detach(), back


def jvp(score: Score, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """s (B, *D) and J v (B, *D) at x, for v (B, *D): forward mode. Equal to ``vjp`` where J is symmetric, and there
    that one is to be preferred: some kernels have no forward mode (fused attention on a CPU)."""
    s, along = torch.func.jvp(score, (x.detach(),), (v.to(x),), has_aux=False)[:2]
    return s, along


class LocalDimension(NamedTuple):
    """Dimensions of data near each example and their standard error from the probes, (B,) float64; 0 where exact."""

    dimension: Tensor
    error: Tensor


@torch.no_grad()
def local_dimension(
    denoiser: Denoiser,
    x0: Tensor,
    sigma: float,
    *,
    divergence: str = "auto",
    probes: int = 1,
    rng: Rng | None = None,
    **cond: Any,
) -> LocalDimension:
    """How many dimensions data have around x0 (B, *D) at the scale ``sigma``, in units of data: FLIPD,
    D + σ² (tr ∇s + ‖s‖²) for σ → 0 (Kamkari et al. 2024), here as tr ∂x̂₀/∂y + ‖x̂₀ − y‖²/σ² at y = x₀,
    which cancels nothing.

    Directions in which data are wider than σ count as 1, narrower ones as 0. On k-dimensional data the mean is k to
    O(σ²); below the detail that a network has learned the figure means nothing. ``divergence``, ``probes`` and ``rng``
    as in ``log_prob``. Raises UserError for a sigma that the process does not have, and as ``log_prob`` does."""
    t, alpha, s = _level(denoiser, sigma)
    by = divergence_of(divergence, probes, x0, rng)
    y = x0.detach()
    mean, traces = by(lambda y: denoiser((alpha * y).to(y), t, **cond).mean, y, torch.arange(len(y), device=y.device))
    off = (mean - y).flatten(1).double().square().sum(1) / s**2
    found = traces.double() + off[:, None]
    return LocalDimension(found.mean(1), by.error(found))


class Geodesic(NamedTuple):
    """A path (N, *D) float64 with its length and energy, and how many times the scores along it were asked for."""

    path: Tensor
    length: float
    energy: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class ScoreMetric:
    """G(x) = I + λ s sᵀ with λ = ``weight`` ≥ 0: moves that change log p count for more than they are long (Azeglio and
    Di Bernardo 2025). It is the metric of the graph (x, √λ log p(x)), so that a shortest path is one on the
    surface of log p.

    ``score`` is any (B, *D) → (B, *D), such as ``score_of(denoiser, sigma)``. Near data of few dimensions it is of size
    1/σ: choose σ as the scale that matters, and λ ‖s‖² ≫ 1 for paths that keep to levels of p. Raises UserError for a
    weight that is not ≥ 0."""

    score: Score
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise UserError(f"the weight λ of a score metric must be at least 0, got {self.weight}.")

    def matrix(self, x: Tensor) -> Tensor:
        """G (B, D, D) at x (B, *D)."""
        s = self.score(x).flatten(1)
        return torch.eye(s.shape[1]).to(s) + self.weight * s[:, :, None] * s[:, None, :]

    def inverse(self, x: Tensor) -> Tensor:
        """G⁻¹ = I − λ s sᵀ/(1 + λ‖s‖²) (B, D, D) at x (B, *D) (Sherman and Morrison 1950)."""
        s = self.score(x).flatten(1)
        shrink = self.weight / (1 + self.weight * s.square().sum(1))
        return torch.eye(s.shape[1]).to(s) - shrink[:, None, None] * s[:, :, None] * s[:, None, :]

    def det(self, x: Tensor) -> Tensor:
        """det G = 1 + λ‖s‖² (B,) at x (B, *D): the square of how much volume the surface has above a unit of space."""
        return 1 + self.weight * self.score(x).flatten(1).square().sum(1)

    def norm2(self, x: Tensor, v: Tensor) -> Tensor:
        """vᵀ G v = ‖v‖² + λ (s · v)² (B,) of moves v (B, *D) at x (B, *D). No matrix is made."""
        along = (self.score(x) * v).flatten(1).sum(1)
        return v.flatten(1).square().sum(1) + self.weight * along.square()

    def energy(self, path: Tensor) -> Tensor:
        """½ ∫ ẋᵀ G ẋ dt () of a path (N, *D) that takes equal times from point to point, 1 in all, by the midpoint
        rule: at least half of the square of its length, and just that at constant speed. Raises UserError for one
        point."""
        return 0.5 * (len(path) - 1) * self._pieces(path).sum()

    def length(self, path: Tensor) -> Tensor:
        """∫ √(ẋᵀ G ẋ) dt () of a path (N, *D), by the midpoint rule. Raises UserError for one point."""
        return self._pieces(path).sqrt().sum()

    def geodesic(
        self, a: Tensor, b: Tensor, points: int = 33, *, start: Tensor | None = None, iterations: int = 200
    ) -> Geodesic:
        """A path of least energy from a to b, both (*D), through ``points`` points, at constant speed: its ends are
        held and all others moved by L-BFGS, in float64 (the score is asked in the dtype of a). From ``start``
        (points, *D), otherwise the straight line: a path finds the nearest minimum, and a symmetric start may stay on a
        saddle.

        Raises UserError for shapes that differ, points < 3, or a start that does not fit."""
        if a.shape != b.shape or points < 3:
            raise UserError(
                f"a geodesic needs two ends of one shape and 3 or more points, got {tuple(a.shape)}, {tuple(b.shape)} "
                f"and points={points}."
            )
        if start is not None and start.shape != (points, *a.shape):
            raise UserError(f"start must be {(points, *a.shape)}, points by the shape of an end, got {start.shape}.")
        w = torch.linspace(0, 1, points, dtype=torch.float64, device=a.device).reshape(-1, *[1] * a.ndim)
        line = (1 - w) * a.double() + w * b.double() if start is None else start.double()
        inner = line[1:-1].clone().requires_grad_()
        ends = a.double()[None], b.double()[None]
        asked = ScoreMetric(lambda x: self.score(x.to(a.dtype)).double(), self.weight)
        method = torch.optim.LBFGS(
            [inner], max_iter=iterations, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
        )
        calls = 0

        def energy() -> Tensor:
            nonlocal calls
            calls += 1
            value = asked.energy(torch.cat([ends[0], inner, ends[1]]))
            (inner.grad,) = torch.autograd.grad(value, inner)
            return value.detach()

        with torch.enable_grad():
            method.step(energy)
        path = torch.cat([ends[0], inner.detach(), ends[1]])
        with torch.no_grad():
            return Geodesic(path, asked.length(path).item(), asked.energy(path).item(), calls)

    def _pieces(self, path: Tensor) -> Tensor:
        """The squares of the lengths of the pieces of a path (N, *D), (N − 1,)."""
        if len(path) < 2:
            raise UserError(f"a path needs at least 2 points, got {len(path)}.")
        return self.norm2(0.5 * (path[1:] + path[:-1]), path[1:] - path[:-1])


def _level(denoiser: Denoiser, sigma: float) -> tuple[Tensor, Tensor, float]:
    """The time at which σ/α is ``sigma``, α there, and sigma."""
    process = denoiser.process
    need(process, "The score at a level of noise", "time", "schedule", "log_ratio")
    most = (-process.log_ratio(as_time(1.0))).exp().item()
    if not 0 < sigma <= most * (1 + 1e-9):
        raise UserError(f"sigma, the noise σ/α, must be above 0 and at most {most:.4g} on this process, got {sigma}.")
    t = process.time(-as_time(sigma).log())
    return t, process.schedule(t).alpha, float(sigma)
