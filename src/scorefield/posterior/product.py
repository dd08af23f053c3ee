"""The first posterior sampler of diffusion models, which is not one: for the record, and to be compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, like, need
from ..errors import UserError


@dataclass(frozen=True, eq=False)
class ProductSteps:
    """Every reverse step multiplied with r = N(y, std²), as Sohl-Dickstein et al. (2015, section 2.5) inpaint and
    denoise: precisions add, and numbers with std = 0 are overwritten, those with std = ∞ left alone.

    ``y`` and ``std`` are broadcastable to x (B, *D), data as the network sees them. r enters every step at full
    strength, and so more than once: on N(0, 1) data what is drawn is p(x) r(x)², not the posterior p r, and nearly that
    elsewhere. ``scorefield.posterior`` has methods that are exact. Beliefs without a variance count as certain.
    Raises UserError for a negative std, and for a process that is not Gaussian.
    """

    y: Tensor
    std: Tensor | float

    tabulates = False

    def __post_init__(self) -> None:
        if not (torch.as_tensor(self.std) >= 0).all():
            raise UserError("std, the deviation of what multiplies each step, must be at least 0 everywhere.")

    def init(self, process: Any, times: Tensor) -> None:
        """Nothing is remembered."""
        need(process, self, "bridge")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        belief = denoiser(x, t)
        keep, aim, fresh = (like(c, x) for c in denoiser.process.bridge(as_time(t), as_time(s)))
        spread = 0.0 if belief.var is None else belief.var
        mean = keep * x + aim * belief.mean
        var = (fresh**2 + aim**2 * spread + torch.zeros_like(x)).clamp_min(0)
        noise = torch.as_tensor(self.std, dtype=x.dtype, device=x.device).square().expand_as(x)
        share = torch.where(noise > 0, var / (var + noise), 1.0)  # of the way to y
        mean = mean + share * (self.y.to(x) - mean)
        return mean + (var * (1 - share)).sqrt() * rng.normal(x), None
