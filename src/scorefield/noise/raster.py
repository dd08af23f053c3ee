"""Autoregression as diffusion: pixels are masked one after the other, the last of the raster order first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Rng, as_time
from ..errors import UserError
from ..registry import register
from .compare import Sight


@register("raster", "process")
@dataclass(frozen=True)
class Raster:
    """Of an image of N pixels, x_t knows the first round((1 − t) N) in raster order and masks the others (absorbing
    diffusion with an order that is not random: Hoogeboom et al. 2022, section 3, for the one of random orders).

    States are int64 (B, C, H, W), levels 0 … levels − 1, and ``levels`` for what is not known; a pixel is masked with
    all of its channels. Undoing one mask a step, the law of each pixel given those before it is all that is needed, and
    the bound on −log p is −log p itself. Raises UserError for fewer than 2 levels.
    """

    levels: int

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise UserError(f"a raster process needs at least 2 levels, got {self.levels}.")

    @property
    def mask(self) -> int:
        """The number that stands where nothing is known."""
        return self.levels

    def known(self, t: Tensor, pixels: int) -> int:
        """How many of the ``pixels`` x_t knows."""
        return round((1 - float(as_time(t))) * pixels)

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        """Nothing but masks, int64, shaped like ``like`` (B, C, H, W)."""
        return torch.full_like(like, self.mask, dtype=torch.int64)

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t, which nothing random is in: int64 (B, C, H, W)."""
        pixels, place = _places(x0)
        kept = ((1 - as_time(t)) * pixels).round().to(x0.device).reshape(-1, 1, 1, 1)
        return x0.masked_fill(place >= kept, self.mask)

    def reverse(self, x: Tensor, belief: Any, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s: the next pixel drawn from its law. Raises UserError where s knows more than one more."""
        first, last = (self.known(time, _places(x)[0]) for time in (t, s))
        if last > first + 1:
            raise UserError(
                f"an autoregressive model knows the law of the next pixel alone, and this step is to draw "
                f"{last - first}. Use the solver InOrder (in-order), or as many steps as there are pixels."
            )
        return self.written(x, belief.at(first), first, rng) if last > first else x

    def written(self, x: Tensor, law: Any, place: int, rng: Rng) -> Tensor:
        """x with a draw from ``law``, the belief about that pixel alone, at its ``place`` in raster order."""
        row, column = divmod(place, x.shape[3])
        u = rng.uniform(torch.empty(len(x), 1 + x.shape[1], dtype=torch.float64, device=x.device))
        x = x.clone()
        x[:, :, row, column] = law.draw(u)
        return x

    def weight(self, t: Tensor) -> Tensor:
        """1: no time is harder than another."""
        return torch.ones_like(as_time(t))

    def sight(self, x0: Tensor, u: Tensor, rng: Rng) -> Sight:
        """Clean data: from there all terms of the bound are seen at once, for a causal network looks back only."""
        return Sight(x0, torch.zeros_like(u), torch.ones_like(u))

    def kl_rate(self, x: Tensor, x0: Tensor, belief: Any, t: Tensor) -> Tensor:
        """−log p(x₀) in nats, (B,), where x is x₀: the sum of the cross-entropies of all steps."""
        return belief.error(x0)

    def prior_kl(self, x0: Tensor) -> Tensor:
        """0: everything is masked at t = 1, (B,)."""
        return torch.zeros(len(x0), dtype=torch.float64, device=x0.device)


def _places(x: Tensor) -> tuple[int, Tensor]:
    """How many pixels, and the place of each in raster order, (H, W)."""
    pixels = x.shape[2] * x.shape[3]
    return pixels, torch.arange(pixels, device=x.device).view(x.shape[2:])
