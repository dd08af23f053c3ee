"""The law of a column as a monotone map to standard normal numbers, atoms included, and back without loss."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

KNOTS = 256  # values that the map passes through; between them it is linear


def knots(values: np.ndarray, most: int = KNOTS) -> dict[str, list[float] | list[int]]:
    """The law of numbers (N,): ``values`` (K,) rising, how many rows are ``at`` each and how many ``between`` it and
    the next. All distinct values where there are at most ``most``; otherwise those at quantiles evenly spaced in
    probability and in standard deviations, so that tails have their share, and every value of weight 1/most."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) > most:
        upto = np.cumsum(counts) / counts.sum()
        normal = torch.special.ndtr(torch.linspace(-4, 4, most // 4, dtype=torch.float64)).numpy()
        wanted = np.concatenate([np.linspace(0, 1, most // 2), normal])
        chosen = np.searchsorted(upto, wanted).clip(0, len(distinct) - 1)
        heavy = np.flatnonzero(counts * most >= 4 * counts.sum())
        kept = np.unique(np.concatenate([chosen, heavy, [0, len(distinct) - 1]]))
    else:
        kept = np.arange(len(distinct))
    before = np.concatenate([[0], np.cumsum(counts)])
    between = before[kept[1:]] - before[kept[:-1] + 1]
    return {"values": distinct[kept].tolist(), "at": counts[kept].tolist(), "between": between.tolist()}


class QuantileMap:
    """z = Φ⁻¹(F(v)): standard normal whatever the law, so that skew, outliers and units do not matter.

    A value that many rows share has an interval of z of that probability: it is encoded as the median of the interval,
    and everything inside decodes to it. values (K,), at (K,), between (K − 1,) as ``knots`` makes them.
    """

    def __init__(self, values: list[float], at: list[int], between: list[int]) -> None:
        self.values = torch.tensor(values, dtype=torch.float64)
        weight = torch.tensor(at, dtype=torch.float64)
        gaps = torch.tensor([0, *between], dtype=torch.float64)
        total = float(weight.sum() + gaps.sum())
        upto = (weight + gaps).cumsum(0) / total
        below = upto - weight / total
        ends = 0.5 / total, 1 - 0.5 / total
        self.low, self.high, self.middle = (
            torch.special.ndtri(p.clamp(*ends)) for p in (below, upto, (below + upto) / 2)
        )

    def encode(self, values: Tensor) -> Tensor:
        """(B,) float64 → (B,) float64; values between two knots lie linearly between them, those beyond at the end."""
        own, low, high, middle = (t.to(values.device) for t in (self.values, self.low, self.high, self.middle))
        k = (torch.searchsorted(own, values.contiguous(), right=True) - 1).clamp(0, len(own) - 1)
        after = (k + 1).clamp(max=len(own) - 1)
        share = (values - own[k]) / (own[after] - own[k]).clamp_min(math.ulp(0.0))
        inside = high[k] + share.clamp(0, 1) * (low[after] - high[k])
        return torch.where((values <= own[k]) | (after == k), middle[k], inside)

    def decode(self, z: Tensor) -> Tensor:
        """(B,) float64 → (B,) float64."""
        own, low, high = (t.to(z.device) for t in (self.values, self.low, self.high))
        k = (torch.searchsorted(low, z.contiguous(), right=True) - 1).clamp(0, len(own) - 1)
        after = (k + 1).clamp(max=len(own) - 1)
        share = (z - high[k]) / (low[after] - high[k]).clamp_min(math.ulp(0.0))
        return torch.where(z <= high[k], own[k], own[k] + share.clamp(0, 1) * (own[after] - own[k]))


class LinearMap:
    """z = (v − μ)/s: straight lines stay straight."""

    def __init__(self, mean: float, std: float) -> None:
        self.mean, self.std = mean, std

    def encode(self, values: Tensor) -> Tensor:
        """(B,) → (B,)."""
        return (values - self.mean) / self.std

    def decode(self, z: Tensor) -> Tensor:
        """(B,) → (B,)."""
        return self.mean + self.std * z
