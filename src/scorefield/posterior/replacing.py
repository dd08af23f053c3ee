"""Solver → solver that changes x_t before each step: Song22 replaces what is measured of it, CoPaint optimises it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, Solver, like, need
from ..errors import UserError
from ..guidance.tilted import differentiable, view
from ..operators import Measurement, pinv
from ..solvers import Ancestral, Exponential
from .requirements import require
from .shifted import replaced


@dataclass(frozen=True, eq=False)
class Song22:
    """Before each step the measured part of x_t is replaced by y at the same noise, x ← x + λ A⁺(α y + σ A z − A x),
    and by y itself at the end (Song et al. 2022, "Solving inverse problems in medical imaging", eq. 7–8).

    **Heuristic**: modes are decided by the prior, and the result follows the noise of y. λ = ``share`` in (0, 1]; the
    authors have 1 for MRI and 0.84 for CT. Raises UserError for another share and for operators that are not linear.
    """

    measurement: Measurement
    share: float = 1.0
    inner: Solver = Ancestral("small")

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear")
        if not 0 < self.share <= 1:
            raise UserError(f"Song22 replaces a share of the measured part, in (0, 1], got {self.share}.")

    @cached_property
    def _inverse(self) -> Callable[[Tensor], Tensor]:
        return pinv(self.measurement.operator)

    def init(self, process: Any, times: Tensor) -> Any:
        need(process, self, "scales")
        return self.inner.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Any, rng: Rng) -> tuple[Tensor, Any]:
        how = (self.measurement, self._inverse, denoiser.process)
        x = replaced(*how, x, t, rng, self.share)
        x, memory = self.inner.step(denoiser, x, t, s, memory, rng)
        return (x if s > 0 else replaced(*how, x, s, rng, self.share)), memory


class Progress(NamedTuple):
    """Which step of how many, and the memory of the solver inside."""

    done: int
    steps: int
    inner: Any


@dataclass(frozen=True, eq=False)
class CoPaint:
    """x_t is optimised before each step: ``moves`` steps of gradient descent on ‖y − A x̂₀(x)‖² + λ‖x − x_t‖², each cut
    to 0.8 of its size until the loss falls, at most ``tries`` times (Zhang et al. 2023, CoPaint, algorithm 1, without
    time travel; λ = 1e-4 · 1.01ᵏ and rate 0.02 · 1.012ᵏ α_t at step k of 250, other numbers of steps on the same
    curve).

    **Heuristic**, close to a maximum of the posterior. Every example has its own line search. Evaluations: 1 +
    moves (1 + tries) a step at most. Any differentiable operator. Raises UserError for moves or tries < 1 and operators
    without gradient.
    """

    measurement: Measurement
    moves: int = 2
    rate: float = 0.02
    stay: float = 1e-4
    tries: int = 3
    inner: Solver = Exponential(1)

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "differentiable")
        if self.moves < 1 or self.tries < 1 or not (self.rate > 0 and self.stay >= 0):
            raise UserError(
                f"CoPaint needs moves and tries of at least 1, rate > 0 and stay ≥ 0, got moves={self.moves}, "
                f"tries={self.tries}, rate={self.rate}, stay={self.stay}."
            )

    def init(self, process: Any, times: Tensor) -> Progress:
        need(process, self, "schedule", "scales", "tilt", "time")
        return Progress(0, len(times) - 1, self.inner.init(process, times))

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Progress, rng: Rng
    ) -> tuple[Tensor, Progress]:
        k = 250 * memory.done / memory.steps
        rate = (self.rate * math.exp(k * math.log(1.012)) * denoiser.process.schedule(t).alpha).item()
        stay = self.stay * math.exp(k * math.log(1.01))
        start = x

        def losses(mean: Tensor, at: Tensor) -> Tensor:
            fit = self.measurement.residual(mean).square().flatten(1).sum(1)
            return fit + stay * (at - start).square().flatten(1).sum(1)

        for _ in range(self.moves if rate > 0 else 0):
            with differentiable():
                seen = view(denoiser, x, t, self)
                loss = losses(seen.mean, x)
                slope = seen.pull(loss) + 2 * stay * (x - start)
            x = self._searched(denoiser, x, t, slope, rate, loss.detach(), losses)
        x, inner = self.inner.step(denoiser, x, t, s, memory.inner, rng)
        return x, Progress(memory.done + 1, memory.steps, inner)

    def _searched(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        slope: Tensor,
        rate: float,
        loss: Tensor,
        losses: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """x (B, *D) moved down the slope; examples for which no size helped stay."""
        done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for i in range(self.tries):
            there = x - 0.8**i * rate * slope
            better = ~done & (losses(denoiser(there, t).mean, there) <= loss)
            x = torch.where(like(better, x).bool(), there, x)
            done = done | better
            if done.all():
                break
        return x
