"""The probability-flow ODE to a tolerance: an embedded Runge–Kutta pair with a step size for every example."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, like, need
from ..errors import UserError, suggest
from ..registry import register
from .sde import bridge_step

NO_SIGNAL = 1000.0  # σ/α from which an infinite one is indistinguishable: D moves by 1/(2 σ²/α²) of the data's variance
SMALLEST = 1e-9  # step in λ, whose whole way is about 20 long: below it, rounding or chance is all that is seen


class Pair(NamedTuple):
    """A tableau whose last row is its weights, so that the last slope of a step is the first of the next."""

    rows: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]  # weights minus those of the embedded method
    order: int


PAIRS = {
    "heun-euler": Pair(((), (1.0,), (1 / 2, 1 / 2)), (-1 / 2, 1 / 2, 0.0), 2),
    "bosh3": Pair(
        ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
        (2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
        3,
    ),
    "dopri5": Pair(
        (
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
        5,
    ),
}

Field = Callable[[Tensor, Tensor], Tensor]


def pair_step(field: Field, y: Tensor, first: Tensor, lam: Tensor, h: Tensor, pair: Pair) -> tuple[Tensor, ...]:
    """One step of dy/dλ = field(y, λ) by h (B,) from λ (B,): y (B, *D), the slope there, and the estimate of its error.
    ``first`` is the slope at y."""
    slopes, end, step = [first], y, like(h, y)
    for row in pair.rows[1:]:
        end = y
        for a, slope in zip(row, slopes, strict=True):
            end = end + (a * step) * slope if a else end
        slopes.append(field(end, lam + sum(row) * h))
    error = torch.zeros_like(y)
    for e, slope in zip(pair.error, slopes, strict=True):
        error = error + (e * step) * slope if e else error
    return end, slopes[-1], error


def scaled_norm(error: Tensor, *sizes: Tensor, rtol: float, atol: float) -> Tensor:
    """√mean (error / (atol + rtol · max |sizes|))² over each example, (B, *D) → (B,) float64 on the CPU; ∞ for NaN."""
    size = torch.stack([s.abs() for s in sizes]).amax(0)
    norm = (error / (atol + rtol * size)).flatten(1).double().square().mean(1).sqrt()
    return norm.nan_to_num(math.inf, math.inf).cpu()


class Walk(NamedTuple):
    """Where each example is on its own clock: y (B, *D), the slope there, the position, the size to try next (B,)."""

    y: Tensor
    slope: Tensor
    at: Tensor
    size: Tensor


def first_size(at: Tensor, rtol: float, pair: Pair) -> Tensor:
    """The size of the first step (B,), on a clock whose unit changes a solution by a factor."""
    return torch.full_like(at, 0.5 * rtol ** (1 / pair.order))


def advance(
    field: Field,
    walk: Walk,
    end: Tensor,
    pair: Pair,
    norm: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Walk, bool]:
    """Every example tries a step toward ``end`` (B,), and takes it where ``norm(error, y there)`` (B,) is at most 1;
    and whether one of them finds no step small enough. Clocks rise."""
    y, slope, at, size = walk
    whole = size >= end - at
    h = torch.where(whole, end - at, size)  # 0 once arrived
    there, after, error = pair_step(field, y, slope, at, h, pair)
    off = norm(error, there)
    taken = off <= 1
    move = like(taken, y).bool()
    idle, factor = at >= end, (0.9 * off.clamp_min(1e-10) ** (-1 / pair.order)).clamp(0.2, 10)
    # a step cut short by the end says nothing against the size that was tried
    size = torch.where(idle, size, torch.where(taken & whole, torch.maximum(size, h * factor), h * factor))
    at = torch.where(taken, torch.where(whole, end, at + h), at)
    stuck = bool((~taken & (size < SMALLEST)).any())
    return Walk(torch.where(move, there, y), torch.where(move, after, slope), at, size), stuck


@register("adaptive", "solver")
@dataclass(frozen=True)
class Adaptive:
    """The probability-flow ODE to a tolerance. In y = x/α and λ = log α/σ it is dy/dλ = x̂₀ − y on every Gaussian
    process (Karras et al. 2022, eq. 1, in another clock), and errors are in units of data.

    ``method`` is a key of ``PAIRS``: dopri5 (Dormand and Prince 1980), bosh3 (Bogacki and Shampine 1989), heun-euler. A
    step is accepted where E = √mean (error/(atol + rtol |y|))² ≤ 1 over its example, y where it ends, for y falls as
    e^{−λ} at first; the next size is 0.9 E^{−1/order} of it, between 0.2 and 10 (Hairer et al. 1993, II.4).

    **Each example has its own times**, so none depends on its batch; one that has arrived idles until all have, and an
    evaluation of the batch counts as one. Solvers that pool the error over the batch (``scipy``, ``torchdiffeq`` as
    usually called) give other samples in another batch.

    The times of the grid only say where to stop and show: give it one step, or few. The flow is followed from the first
    time, or from σ/α = 1000 where that is ∞, to σ/α = ``sigma_min`` on the way to clean data, whose last stretch is the
    belief (relative error σ_min²/2S at data of variance S). Raises UserError for tolerances outside 0 < rtol < 1,
    atol ≥ 0; during the walk, when a grid step needs more than ``max_evaluations`` or no step is small enough.
    """

    method: str = "dopri5"
    rtol: float = 1e-3
    atol: float = 1e-3
    sigma_min: float = 0.002
    max_evaluations: int = 10_000

    tabulates = False

    def __post_init__(self) -> None:
        if self.method not in PAIRS:
            raise UserError(f"no embedded method is called {self.method!r}.{suggest(self.method, PAIRS)}")
        check_tolerances(self.rtol, self.atol, self.sigma_min, self.max_evaluations)

    def init(self, process: Any, times: Tensor) -> Tensor | None:
        need(process, self, "bridge", "log_ratio", "schedule", "scales", "time")
        return None

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Tensor | None, rng: Rng
    ) -> tuple[Tensor, Tensor | None]:
        process = denoiser.process
        start, stop = inner_times(process, t, s, self.sigma_min)
        if start < t:
            x = bridge_step(process, x, denoiser(x, t), t, start, rng, eta=0.0)
        if stop < start:
            x, memory = self._integrate(denoiser, x, start, stop, memory)
        if s < stop:
            x = bridge_step(process, x, denoiser(x, stop), stop, s, rng, eta=0.0)
        return x, memory

    def _integrate(
        self, denoiser: Denoiser, x: Tensor, start: Tensor, stop: Tensor, memory: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        process, pair = denoiser.process, PAIRS[self.method]

        def field(y: Tensor, lam: Tensor) -> Tensor:
            t = process.time(lam)
            return denoiser(process.scales(t, y).alpha * y, t).mean - y

        lam, end = (process.log_ratio(u).expand(len(x)) for u in (start, stop))
        size = first_size(lam, self.rtol, pair) if memory is None else memory
        y = x / process.schedule(start).alpha
        walk, calls = Walk(y, field(y, lam), lam, size), 1

        def norm(error: Tensor, there: Tensor) -> Tensor:
            return scaled_norm(error, there, rtol=self.rtol, atol=self.atol)

        while (walk.at < end).any():
            calls += len(pair.rows) - 1
            if calls > self.max_evaluations:
                raise too_long(self, process.time(walk.at))
            walk, stuck = advance(field, walk, end, pair, norm)
            if stuck:
                raise too_small(self, process.time(walk.at[walk.size.argmin()]))
        return process.schedule(stop).alpha * walk.y, walk.size


def inner_times(process: Any, t: Tensor, s: Tensor, sigma_min: float) -> tuple[Tensor, Tensor]:
    """The part of t → s on which λ is finite: where it begins, and where it stops at σ/α = ``sigma_min``."""
    begin, end = t, s
    if torch.isneginf(process.log_ratio(t)):
        begin = torch.maximum(process.time(torch.tensor(-math.log(NO_SIGNAL), dtype=torch.float64)), s)
    if torch.isposinf(process.log_ratio(s)):
        end = torch.minimum(process.time(torch.tensor(-math.log(sigma_min), dtype=torch.float64)), begin)
    return begin, end


def check_tolerances(rtol: float, atol: float, sigma_min: float, max_evaluations: int) -> None:
    """What every solver with a tolerance needs."""
    if not 0 < rtol < 1 or not 0 <= atol < math.inf:
        raise UserError(f"tolerances must be 0 < rtol < 1 and atol ≥ 0, got rtol={rtol}, atol={atol}.")
    if not 0 < sigma_min < NO_SIGNAL:
        raise UserError(f"sigma_min, the σ/α at which the belief is taken, must be above 0, got {sigma_min}.")
    if max_evaluations < 1:
        raise UserError(f"max_evaluations must be at least 1, got {max_evaluations}.")


def too_long(solver: Any, t: Tensor) -> UserError:
    """The walk's bound is spent."""
    return UserError(
        f"{solver} has not come further than t = {t.max():.4g} within max_evaluations={solver.max_evaluations}. "
        "Raise rtol and atol, or max_evaluations."
    )


def too_small(solver: Any, t: Tensor) -> UserError:
    """No step is small enough."""
    return UserError(
        f"{solver} finds no step small enough at t = {t:.4g}: the beliefs there are not finite, or rougher than the "
        "tolerance (a model in bfloat16, or one that draws noise). Raise rtol and atol, or use a model in float32."
    )
