"""The solver that works everywhere: believe, then take one step back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError, suggest
from ..registry import register
from .exponential import move


def _small(process: Any, t: Tensor, s: Tensor, fresh: Tensor) -> Tensor:
    return fresh


def _large(process: Any, t: Tensor, s: Tensor, fresh: Tensor) -> Tensor:
    """√β of the one forward step s → t, and nothing on clean data, where DDPM returns the mean."""
    (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
    return (s_t**2 - (a_t / a_s * s_s) ** 2).clamp_min(0).sqrt() * (s_s > 0)


FIXED: dict[str, Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = {"small": _small, "large": _large}


@register("ancestral", "solver")
@dataclass(frozen=True)
class Ancestral:
    """x_s ~ ∫ q(x_s | x_t, x₀) belief(dx₀): DDPM's sampler (Ho et al. 2020, algorithm 2) on a Gaussian process, and its
    counterpart on every other.

    ``variance`` of a Gaussian step: "belief" is the posterior's β̃ widened by the variance that the belief carries, if
    any (analytic: Bao et al. 2022; learned: Nichol and Dhariwal 2021); "small" is β̃ and "large" β whatever it carries
    (DDPM's two choices; the ancestral predictors of Song et al. 2021 are "small" on VE and "large" on VP).
    Raises UserError for another word.
    """

    variance: str = "belief"

    def __post_init__(self) -> None:
        if self.variance != "belief" and self.variance not in FIXED:
            names = ["belief", *FIXED]
            raise UserError(
                f"variance is one of {', '.join(names)}, got {self.variance!r}.{suggest(self.variance, names)}"
            )

    @property
    def tabulates(self) -> bool:
        """Only where the noise depends on nothing but the times."""
        return self.variance in FIXED

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, *(("bridge", "schedule") if self.variance in FIXED else ("reverse",)))

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, belief = denoiser.process, denoiser(x, t)
        if self.variance not in FIXED:
            return process.reverse(x, belief, t, s, rng), None
        keep, gain, fresh = process.bridge(t, s)
        return move(x, belief.mean, keep, gain, FIXED[self.variance](process, t, s, fresh), rng), None
