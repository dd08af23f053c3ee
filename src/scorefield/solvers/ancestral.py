"""The solver that works everywhere: believe, then take one step back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..core import Denoiser, Rng
from ..registry import register


@register("ancestral", "solver")
@dataclass(frozen=True)
class Ancestral:
    """x_s ~ ∫ q(x_s | x_t, x₀) belief(dx₀): DDPM's sampler (Ho et al. 2020, algorithm 2, with the posterior variance
    β̃) on a Gaussian process, and its counterpart on every other."""

    def init(self) -> None:
        return None

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        return denoiser.process.reverse(x, denoiser(x, t), t, s, rng), None
