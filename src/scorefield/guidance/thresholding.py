"""Keep the belief where data can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser
from ..errors import UserError


@dataclass(frozen=True)
class Clipped:
    """x̂₀ clamped to [low, high], the range of the data: what DDPM does with images in [−1, 1] (Ho et al. 2020, code).

    Wrap it round the guidance, not the other way. Raises UserError for an empty range."""

    inner: Denoiser
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UserError(f"clipping needs low < high, got {self.low} and {self.high}.")

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        belief = self.inner(x, t, **cond)
        return belief.with_mean(belief.mean.clamp(self.low, self.high))


@dataclass(frozen=True)
class DynamicThreshold:
    """x̂₀ clamped to ±s and brought back to ±floor, with s the ``quantile`` of |x̂₀| over one example, at least
    ``floor``: large guidance saturates fewer pixels than under clipping (Saharia et al. 2022, Imagen, section 2.3).

    An example whose quantile is within ±floor (the range of the data) is clipped only. Raises UserError for a quantile
    outside (0, 1] or floor ≤ 0.
    """

    inner: Denoiser
    quantile: float = 0.995
    floor: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.quantile <= 1 and self.floor > 0):
            raise UserError(
                f"dynamic thresholding needs 0 < quantile ≤ 1 and floor > 0, got {self.quantile}, {self.floor}."
            )

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        belief = self.inner(x, t, **cond)
        mean = belief.mean
        sizes = mean.flatten(1).abs().to(torch.promote_types(mean.dtype, torch.float32))
        limit = sizes.quantile(self.quantile, dim=1).clamp_min(self.floor).to(mean.dtype)
        limit = limit.reshape(-1, *[1] * (mean.ndim - 1))
        return belief.with_mean(mean.clamp(-limit, limit) * (self.floor / limit))
