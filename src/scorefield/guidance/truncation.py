"""Sharpen what a model believes about tokens: temperature, the likeliest few, the nucleus. Denoiser → denoiser.

On ``Logits`` (B, *D, K), site by site, so examples never see each other. Wrap them round classifier-free guidance, not
the other way; sites that are known stay known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Logits
from ..core import Denoiser
from ..errors import UserError


@dataclass(frozen=True)
class Temperature:
    """p ∝ p^{1/temperature}: below 1 surer than the model, above 1 bolder, 1 as it is (Ackley et al. 1985).

    Raises UserError for temperature ≤ 0; ``TopK(inner, 1)`` is its limit 0."""

    inner: Denoiser
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"temperature must be above 0, got {self.temperature}. The likeliest token alone is TopK(inner, 1)."
            )

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        return Logits(self.inner(x, t, **cond).log_probs / self.temperature)


@dataclass(frozen=True)
class TopK:
    """Only the ``k`` likeliest tokens of every site, in their proportions (Fan et al. 2018, section 5.4); of equals at
    the edge as many as fit. Raises UserError for k < 1."""

    inner: Denoiser
    k: int = 50

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserError(f"k, how many tokens may be drawn, must be at least 1, got {self.k}.")

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        logits = self.inner(x, t, **cond).logits
        best = logits.topk(min(self.k, logits.shape[-1]), -1)
        return Logits(torch.full_like(logits, -math.inf).scatter(-1, best.indices, best.values))


@dataclass(frozen=True)
class TopP:
    """Only the nucleus of every site, the fewest tokens that hold the probability ``p`` together, in their proportions
    (Holtzman et al. 2020, eq. 2–3). VQ-Diffusion's truncation is p = 0.85. Raises UserError for p outside (0, 1]."""

    inner: Denoiser
    p: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise UserError(f"p, the probability of the nucleus, must be above 0 and at most 1 (all), got {self.p}.")

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        belief = self.inner(x, t, **cond)
        if self.p == 1:
            return belief
        probs, order = belief.probs.sort(dim=-1, descending=True, stable=True)
        before = probs.cumsum(-1, dtype=torch.float64) - probs
        outside = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= self.p)
        return Logits(belief.logits.masked_fill(outside, -math.inf))
