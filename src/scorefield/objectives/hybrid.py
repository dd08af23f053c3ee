"""The objective of networks that learn their variance too."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..registry import register
from .denoising import Denoising
from .times import Stratified, Uniform
from .weights import Simple


def _simple() -> Denoising:
    return Denoising(Stratified(Uniform()), Simple())


@register("hybrid", "objective")
@dataclass(frozen=True)
class Hybrid:
    """``denoising`` + ``vlb`` · T · KL of a step/D, the mean held still in the second part, so that only the variance
    follows the bound (Nichol and Dhariwal 2021, eq. 16, in nats instead of bits).

    For denoisers whose beliefs carry a variance (``LearnedVariance``) of ``steps`` T steps. ``vlb`` is their λ times
    T, 1 for 0.001 of a thousand steps. The step is drawn among 2 … T, at times of its own: the first one has no
    variance to learn. Raises UserError for fewer than 2 steps and vlb < 0.
    """

    denoising: Denoising = field(default_factory=_simple)
    steps: int = 1000
    vlb: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise UserError(f"a learned variance needs at least 2 steps, got {self.steps}.")
        if not 0 <= self.vlb < math.inf:
            raise UserError(f"vlb, the weight of the bound, must be at least 0, got {self.vlb}.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,)."""
        need(denoiser.process, self, "step_kl")
        simple = self.denoising(denoiser, x0, rng, **cond)
        return simple + self.vlb * self.bound(denoiser, x0, rng, **cond)

    def bound(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The second part alone (B,): KL of one step of each example, nats a dimension."""
        like_times = torch.empty(len(x0), dtype=torch.float64)
        (u,) = rng.over_batch(lambda v: ((torch.arange(len(v), dtype=v.dtype) + v) / len(v),), like_times)
        i = (2 + (u * (self.steps - 1)).floor()).clamp_max(self.steps)
        t, s = i / self.steps, (i - 1) / self.steps
        x = denoiser.process.corrupt(x0, t, rng)
        belief = denoiser(x, t, **cond)
        still = replace(belief, mean=belief.mean.detach())
        return denoiser.process.step_kl(x, x0, still, t, s, "belief") / math.prod(x0.shape[1:])
