"""The probability flow in the variables in which Gaussian data stand still."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Size, Tensor

from ..core import Denoiser, as_time, like
from ..errors import UserError
from ..solvers.adaptive import inner_times
from . import adams
from .adams import Adams
from .divergence import Divergence

LONGEST = 0.5  # step in log σ/α: the flow of a Gaussian turns within about 2, and longer steps can miss it unseen
FIRST = 5.0  # step, of √tol
EXACT, ESTIMATED = 3.0, 10.0  # tolerances that the divergence's error may be; that of probes is far greater
WIDE = {"mps": torch.float32}  # float64 elsewhere: log-determinants are sums of thousands of numbers


def wide(x: Tensor) -> Tensor:
    """x in float64, where its device has that."""
    return x.to(WIDE.get(x.device.type, torch.float64))


class Ends(NamedTuple):
    """log σ/α of the clean end, where noise is ``sigma_min``, and of the noisy one."""

    low: float
    high: float


def ends_of(process: Any, sigma_min: float) -> Ends:
    """What a likelihood walks over: from σ/α = ``sigma_min`` (or the noise of t = 0, where that is more) to t = 1 (or
    σ/α = 1000, where that is less)."""
    t, s = inner_times(process, as_time(1.0), as_time(0.0), sigma_min)
    return Ends(*(-process.log_ratio(u).item() for u in (s, t)))


def log_normal(x: Tensor, sigma: Tensor) -> Tensor:
    """log N(x; 0, σ² I) in nats, (B, *D) → (B,) float64 where the device has it."""
    z = wide(x.flatten(1)) / sigma.item()
    return -0.5 * z.square().sum(1) - z.shape[1] * (sigma.log().item() + 0.5 * math.log(2 * math.pi))


@dataclass(frozen=True, eq=False)
class Flow:
    """u = x/(α s), s² = c² + σ²/α², over ℓ = log σ/α: du/dℓ = c²/s² u − x̂₀/s, with c = ``scale``.

    A state is u flattened, and beside it the integral of the divergence a dimension, estimate by estimate.
    """

    denoiser: Denoiser
    shape: Size
    dtype: torch.dtype
    cond: dict[str, Any]
    divergence: Divergence
    scale: float
    at: Ends

    @property
    def size(self) -> int:
        """Dimensions of an example."""
        return math.prod(self.shape)

    def spread(self, level: Tensor) -> Tensor:
        """s = √(c² + σ²/α²) at levels log σ/α."""
        return (self.scale**2 + (2 * level).exp()).sqrt()

    def log_scale(self, level: float, clean: bool = False) -> float:
        """log (α s), the logarithm of x/u; with ``clean``, of data that noise was not yet added to, where α = 1."""
        at = as_time(level)
        alpha = 1.0 if clean else self.denoiser.process.schedule(self.denoiser.process.time(-at)).alpha.item()
        return math.log(alpha) + self.spread(at).log().item()

    def believe(self, u: Tensor, level: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x̂₀/s (b, D) and the trace of its Jacobian in u (b, columns), for the examples ``rows`` at levels (b,)."""
        process, s = self.denoiser.process, self.spread(level)
        t = process.time(-level)
        factor = like(process.schedule(t).alpha * s, u)
        told = {name: self._of(value, rows) for name, value in self.cond.items()}
        x = (factor * u).to(self.dtype).unflatten(1, self.shape)
        mean, traces = self.divergence(lambda x: self.denoiser(x, t, **told).mean, x, rows.to(x.device))
        return mean.flatten(1).to(u) / like(s, u), traces.to(u) * (factor / like(s, u))

    def field(self, state: Tensor, level: Tensor, rows: Tensor) -> Tensor:
        """The slope of the state (b, D + columns) at levels (b,)."""
        u = state[:, : self.size]
        belief, traces = self.believe(u, level, rows)
        keep = like((self.scale / self.spread(level)).square(), u)
        return torch.cat([keep * u - belief, keep * self.divergence.of_identity(rows) - traces / self.size], 1)

    def steepness(self, state: Tensor, slope: Tensor, level: Tensor) -> Tensor:
        """How fast log p changes with u (b,), as a root mean square: ∇ log p = −u − s² α²/σ² du/dℓ, and at least α s/σ,
        one over the noise, as it is across data of few dimensions."""
        width = self.spread(level) / level.exp()
        grade = state[:, : self.size] + like(width.square(), slope) * slope[:, : self.size]
        return torch.maximum(_rms(grade), width)

    def start(self, x0: Tensor) -> Tensor:
        """The state of clean data at the low end. Below, x/α is a smooth function of σ²/α² = w, dy/dw = ½ (y − x̂₀)/w:
        one step of it."""
        low = torch.full((len(x0),), self.at.low, dtype=torch.float64)
        u = wide(x0.flatten(1)) / self.spread(low)[0].item()
        rows = torch.arange(len(x0))
        belief, traces = self.believe(u, low, rows)
        return torch.cat([u + 0.5 * (u - belief), 0.5 * (self.divergence.of_identity(rows) - traces / self.size)], 1)

    def end_clean(self, state: Tensor) -> Tensor:
        """Clean data (B, *D) of a state at the low end: the inverse of ``start``."""
        low = torch.full((len(state),), self.at.low, dtype=torch.float64)
        u = state[:, : self.size]
        belief, _ = self.believe(u, low, torch.arange(len(u)))
        return (0.5 * (u + belief) * self.spread(low)[0].item()).unflatten(1, self.shape)

    def end(self, state: Tensor) -> tuple[Tensor, Tensor | float]:
        """The latent x₁ (B, *D) of a state at the high end, and log |dx₁/dx| a dimension of what leads there. Where
        t = 1 has no signal that is DDIM's step, x₁ = σ₁ (x − α x̂₀)/σ."""
        u, process = state[:, : self.size], self.denoiser.process
        if not self._cut:
            return (math.exp(self.log_scale(self.at.high)) * u).unflatten(1, self.shape), 0.0
        belief, traces = self.believe(u, torch.full((len(u),), self.at.high, dtype=torch.float64), torch.arange(len(u)))
        alpha, sigma = process.schedule(process.time(-as_time(self.at.high)))
        last = process.schedule(as_time(1.0)).sigma / sigma
        x1 = (last * alpha * self.spread(as_time(self.at.high))).item() * (u - belief)
        return x1.unflatten(1, self.shape), last.log().item() - traces / self.size

    def start_noise(self, x1: Tensor) -> Tensor:
        """The state at the high end of latents x1 (B, *D), with no integral beside it: the inverse of ``end``."""
        process = self.denoiser.process
        x = wide(x1)
        if self._cut:
            told = self.denoiser(x1.to(self.dtype), as_time(1.0), **self.cond).mean.to(x)
            alpha, sigma = process.schedule(process.time(-as_time(self.at.high)))
            x = alpha.item() * told + (sigma / process.schedule(as_time(1.0)).sigma).item() * x
        return x.flatten(1) / math.exp(self.log_scale(self.at.high))

    def walk(self, state: Tensor, solver: Adams, down: bool = False) -> tuple[Tensor, Tensor]:
        """The state at the other end, and evaluations an example (B,), those of both ends included. Every example has
        its own steps, and leaves the batch when it has arrived: cost is the sum over examples, not the longest of them.
        """
        sign = -1.0 if down else 1.0
        first, last = (-self.at.high, -self.at.low) if down else (self.at.low, self.at.high)
        rows, calls = torch.arange(len(state)), torch.full((len(state),), 1 + int(self._cut))

        def field(y: Tensor, at: Tensor) -> Tensor:
            calls[rows] += 1
            return sign * self.field(y, sign * at, rows)

        def norm(error: Tensor, y: Tensor, slope: Tensor, at: Tensor) -> Tensor:
            """Of the state, and of the integral that of the mean over probes."""
            off = _rms(error[:, : self.size])
            if not down:
                off = off * self.steepness(y, slope, at) / self.size**0.5
            if error.shape[1] > self.size:
                nats = error[:, self.size :].mean(1).abs().cpu().double()
                off = torch.maximum(off, nats / (EXACT if self.divergence.exact else ESTIMATED))
            return (off / solver.tol).nan_to_num(math.inf, math.inf)

        at = torch.full((len(state),), first, dtype=torch.float64)
        end, done = torch.full_like(at, last), torch.empty_like(state)
        walk = adams.start(state, field(state, at), at, FIRST * solver.tol**0.5)
        while len(rows):
            if calls.max() > solver.max_evaluations:
                raise too_long(solver, math.exp(sign * walk.at[:, 0].min()))
            walk, stuck = adams.advance(field, walk, end[rows], norm, LONGEST)
            if stuck:
                raise too_small(math.exp(sign * walk.at[walk.size.argmin(), 0]))
            here = walk.at[:, 0] >= last
            if here.any():
                done[rows[here].to(done.device)] = walk.y[here.to(done.device)]
                rows, walk = rows[~here], walk.of(~here)
        return done, calls

    @property
    def _cut(self) -> bool:
        """Whether t = 1 has no signal, so that the walk ends before it."""
        return bool(torch.isneginf(self.denoiser.process.log_ratio(as_time(1.0))))

    def _of(self, value: Any, rows: Tensor) -> Any:
        """What these examples are told."""
        return value[rows.to(value.device)] if torch.is_tensor(value) and value.ndim else value


def _rms(x: Tensor) -> Tensor:
    """Over each row, on the CPU."""
    return x.square().mean(1).sqrt().cpu().double()


def too_long(solver: Adams, level: float) -> UserError:
    """The walk's bound is spent."""
    return UserError(
        f"{solver} has not come further than noise σ/α = {level:.4g} within max_evaluations={solver.max_evaluations}. "
        "Raise tol, or max_evaluations."
    )


def too_small(level: float) -> UserError:
    """No step is small enough."""
    return UserError(
        f"the flow finds no step small enough at noise σ/α = {level:.4g}: the beliefs there are not finite, or rougher "
        "than the tolerance (a model in bfloat16, or one that draws noise). Raise tol, or use a model in float32."
    )
