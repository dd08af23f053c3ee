"""The bound in steps as an objective, for networks with a learned variance where likelihood is all that counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, like, need
from ..registry import register
from .denoising import Look, check_dropout, one_look
from .hybrid import check_steps, step_nats
from .times import Stratified, TimeLaw, Uniform


@register("vlb", "objective")
@dataclass(frozen=True)
class Vlb:
    """T times a term of the bound on −log p(x₀) in nats a dimension, drawn at random: KL of a step, and of the first
    one the ``decoder``'s −log p(x₀ | x₁) (Nichol and Dhariwal 2021, eq. 4–7: L_vlb). Without a decoder there is no
    first.

    Wrapped in ``ByHistory(Vlb(T), bins=T)`` steps are drawn by the root of their mean squared loss (section 3.3), for
    the terms differ by orders of magnitude. ``times`` None draws every step alike. For beliefs with a variance.
    Raises UserError for fewer than 2 steps.
    """

    steps: int = 1000
    times: TimeLaw | None = None
    decoder: Any = None
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_dropout(self.label_dropout)

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,)."""
        return one_look(self, denoiser, x0, rng, cond)

    def look(self, process: Any, x0: Tensor, rng: Rng) -> Look:
        """Where the belief is asked for: the step that a time of the law falls in."""
        need(process, self, "step_kl")
        law = self.times or Stratified(Uniform(1e-9))
        like_times = torch.empty(len(x0), dtype=torch.float64)
        t, correction = rng.over_batch(lambda u: law(u, process), like_times)
        t = (t * self.steps).ceil().clamp(1, self.steps) / self.steps
        return Look(process.corrupt(x0, t, rng), t, correction)

    def judged(self, process: Any, look: Look, x0: Tensor, belief: Any) -> Tensor:
        """The loss of each belief about x0 at ``look``, (B,)."""
        nats = step_nats(process, look.x, x0, belief, look.t, self.steps)
        first = look.t < 1.5 / self.steps
        if self.decoder is not None and first.any():
            fresh = like(process.bridge(as_time(2 / self.steps), as_time(1 / self.steps)).fresh, x0)
            nats = torch.where(first.to(x0.device), self.decoder(x0, belief.mean, fresh.square().to(x0)), nats)
        return look.correction.to(nats) * self.steps * nats / math.prod(x0.shape[1:])
