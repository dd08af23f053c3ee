"""−log p(x₀ | a Gaussian around it): the last term of a bound, for real data and for data on levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import UserError
from ..registry import register

ROWS = 1 << 22  # numbers × levels looked at together


class Decoder(Protocol):
    """(x0, mean, variance), the variance broadcastable, (B, *D) → nats (B,)."""

    def __call__(self, x0: Tensor, mean: Tensor, var: Tensor) -> Tensor: ...


@register("real", "decoder")
@dataclass(frozen=True)
class Real:
    """−log N(x₀; mean, var): a density, of data that are real numbers."""

    def __call__(self, x0: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (0.5 * ((x0 - mean).square() / var + var.log() + math.log(2 * math.pi))).flatten(1).sum(1)


def _check(levels: int) -> None:
    if levels < 2:
        raise UserError(f"a decoder of levels needs at least 2 of them, got {levels}.")


@register("levels", "decoder")
@dataclass(frozen=True)
class Levels:
    """The probability of the bin that N(mean, var) falls into, of data on ``levels`` values 2v/(L − 1) − 1; the first
    and the last bin are open (Ho et al. 2020, eq. 13). The probabilities of all values sum to 1.

    Raises UserError for fewer than 2 levels."""

    levels: int = 256

    def __post_init__(self) -> None:
        _check(self.levels)

    def __call__(self, x0: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        std, half = var.sqrt(), 1 / (self.levels - 1)
        low = torch.where(x0 < -1 + half, -math.inf, (x0 - half - mean) / std)
        high = torch.where(x0 > 1 - half, math.inf, (x0 + half - mean) / std)
        flip = low + high > 0  # both ends in the lower tail, where a difference keeps its digits
        a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
        log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
        return -(log_b + torch.log1p(-(log_a - log_b).exp())).flatten(1).sum(1)


@register("softmax", "decoder")
@dataclass(frozen=True)
class Softmax:
    """p(v) ∝ N(x_v; mean, var) over the ``levels`` values x_v = 2v/(L − 1) − 1 (Kingma et al. 2021, appendix B.1): the
    posterior of data that are uniform on them. Raises UserError for fewer than 2 levels."""

    levels: int = 256

    def __post_init__(self) -> None:
        _check(self.levels)

    def __call__(self, x0: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        grid = torch.linspace(-1, 1, self.levels, dtype=x0.dtype, device=x0.device)
        flat = (part.reshape(-1) for part in (x0, mean, var.expand_as(x0)))
        parts = zip(*(part.split(max(1, ROWS // self.levels)) for part in flat), strict=True)
        nats = [
            0.5 * (x - m).square() / v + (-0.5 * (grid - m[:, None]).square() / v[:, None]).logsumexp(1)
            for x, m, v in parts
        ]
        return torch.cat(nats).view_as(x0).flatten(1).sum(1)
