"""Times at the quantiles of a beta distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UserError
from ...registry import register
from .base import falling, ramp

LIMITS = 0.1, 20.0  # of alpha and beta: what the series below sums to rounding
_TERMS, _BISECTIONS, _WIDEST = 200, 64, 60.0


def incomplete_beta(logit: Tensor, a: float, b: float) -> Tensor:
    """The regularised I_x(a, b) of x = sigmoid(logit), entry by entry, float64; a and b within ``LIMITS``.

    x^a (1 − x)^b / (a B(a, b)) · ₂F₁(a + b, 1; a + 1; x), all terms positive (DLMF 8.17.7); for x > ½ by
    I_x(a, b) = 1 − I_{1−x}(b, a). From the logit, because 1 − x would lose its digits."""
    swap = logit > 0
    first, second = (torch.where(swap, v, w) for v, w in ((logit.new_tensor(b), logit.new_tensor(a)),
                                                          (logit.new_tensor(a), logit.new_tensor(b))))  # fmt: skip
    small = -logit.abs()
    k = torch.arange(_TERMS, dtype=torch.float64)
    ratios = (first[:, None] + second[:, None] + k) / (first[:, None] + 1 + k) * torch.sigmoid(small)[:, None]
    series = 1 + ratios.cumprod(1).sum(1)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = (first * F.logsigmoid(small) + second * F.logsigmoid(-small) - log_beta).exp() / first
    return torch.where(swap, 1 - front * series, front * series)


def beta_quantiles(q: Tensor, a: float, b: float) -> Tensor:
    """The x (n,) at which I_x(a, b) = q, for q (n,) in (0, 1): bisection on logit x in ±60."""
    low, high = torch.full_like(q, -_WIDEST), torch.full_like(q, _WIDEST)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = incomplete_beta(middle, a, b) > q
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return torch.sigmoid((low + high) / 2)


@register("beta", "grid")
@dataclass(frozen=True)
class BetaQuantile:
    """t_i = F⁻¹(1 − i/n) with F the law Beta(α, β): below 1 both parameters crowd the ends, where the image's layout
    and its detail are decided (Lee et al. 2024, section 4; ComfyUI's ``beta`` before it rounds to whole steps).
    For clocks in which even times are sensible (vp, cosine, flow, ddpm), not for ``edm``, whose time is σ: diffusers'
    ``use_beta_sigmas`` does put the same quantiles on σ.

    Raises UserError for parameters outside 0.1 … 20, or too many steps to tell their times apart.
    """

    alpha: float = 0.6
    beta: float = 0.6

    def __post_init__(self) -> None:
        low, high = LIMITS
        if not (low <= self.alpha <= high and low <= self.beta <= high):
            raise UserError(f"beta needs alpha and beta between {low:g} and {high:g}, got {self}.")

    def __call__(self, process: Any, steps: int) -> Tensor:
        ends = ramp(2)
        inner = beta_quantiles(ramp(steps + 1)[1:-1], self.alpha, self.beta)
        return falling(torch.cat([ends[:1], inner, ends[1:]]), f"{self} in {steps} steps")
