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
from .denoising import Denoising, Look, check_dropout, forgetful
from .weights import Simple, Weight


@register("hybrid", "objective")
@dataclass(frozen=True)
class Hybrid:
    """Denoising + ``vlb`` · T · KL of a step/D, the mean held still in the second part, so that only the variance
    follows the bound (Nichol and Dhariwal 2021, eq. 16, in nats instead of bits).

    For denoisers whose beliefs carry a variance (``LearnedVariance``) of ``steps`` T steps, one of which is drawn for
    each example, one in each slice of them over the batch. ``vlb`` is their λ times T, 1 for 0.001 of a thousand steps;
    the first step has no variance to learn. ``weight`` and ``label_dropout`` are those of ``Denoising``.
    Raises UserError for fewer than 2 steps and vlb < 0.
    """

    steps: int = 1000
    vlb: float = 1.0
    weight: Weight = field(default_factory=Simple)
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_dropout(self.label_dropout)
        if not 0 <= self.vlb < math.inf:
            raise UserError(f"vlb, the weight of the bound, must be at least 0, got {self.vlb}.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,)."""
        simple, nats = self.terms(denoiser, x0, rng, **cond)
        return simple + self.vlb * nats

    def terms(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> tuple[Tensor, Tensor]:
        """The denoising loss of each example, and KL of its step in nats a dimension (0 for the first), (B,) each."""
        need(denoiser.process, self, "step_kl")
        cond = forgetful(cond, self.label_dropout, rng)
        like_times = torch.empty(len(x0), dtype=torch.float64)
        (u,) = rng.over_batch(lambda v: ((torch.arange(len(v), dtype=v.dtype) + v) / len(v),), like_times)
        t = (u * self.steps + 1).floor().clamp_max(self.steps) / self.steps
        x = denoiser.process.corrupt(x0, t, rng)
        belief = denoiser(x, t, **cond)
        simple = Denoising(weight=self.weight).judged(denoiser.process, Look(x, t, torch.ones_like(t)), x0, belief)
        still = replace(belief, mean=belief.mean.detach())
        nats = step_nats(denoiser.process, x, x0, still, t, self.steps)
        return simple, nats / math.prod(x0.shape[1:])


def step_nats(process: Any, x: Tensor, x0: Tensor, belief: Any, t: Tensor, steps: int) -> Tensor:
    """KL of the step t → t − 1/steps in nats (B,), with the belief's variance; 0 for the first, which is a decoder's.
    ``t`` are multiples of 1/steps."""
    later = t > 1.5 / steps
    after = torch.where(later, t, 2 / steps)  # so that the first has finite numbers, and gradients, to leave out
    nats = process.step_kl(x, x0, belief, after, after - 1 / steps, "belief")
    return torch.where(later.to(nats.device), nats, 0.0)


def check_steps(steps: int) -> None:
    """Raises UserError for fewer steps than a variance can be learned of."""
    if steps < 2:
        raise UserError(f"a learned variance needs at least 2 steps, got {steps}.")
