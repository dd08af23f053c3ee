"""The bound of a chain with everything that its noise decides: what a learned schedule needs beside the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..core import Denoiser, Rng, as_time
from ..registry import register
from .vlb import Vlb


@register("chain", "objective")
@dataclass(frozen=True)
class ChainBound:
    """Σ_{i ≥ 2} KL(q(x_{i−1} | x_i, x₀) ‖ p) + KL(q(x_T | x₀) ‖ p(x_T)), nats a dimension, a step of each example drawn
    at random: Sohl-Dickstein et al. (2015, eq. 14) without the first step, which nothing is learned of where β₁ is
    fixed. Gradients reach the schedule of the process too, through x_t = α x₀ + σ ε with ε held still.

    ``steps`` draws the terms (``Vlb``). For beliefs with a variance; p(x_T) is N(0, σ_T²).
    """

    steps: Vlb = field(default_factory=lambda: Vlb(40))

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,)."""
        middle = self.steps(denoiser, x0, rng, **cond)
        ratio = (2 * denoiser.process.log_ratio(as_time(1.0))).exp().to(x0)
        return middle + 0.5 * ratio * x0.square().flatten(1).sum(1) / math.prod(x0.shape[1:])
