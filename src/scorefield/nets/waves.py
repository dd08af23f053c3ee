"""Fourier features of pixels: on which of its levels one lies shows in the phase of a wave as fine as their spacing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PixelWaves(nn.Module):
    """sin 2πf x₀ and cos 2πf x₀ for each frequency f, in cycles per unit of data, as far as noise leaves them: x (B, C,
    *S), level (B,) or () → (B, 2·count·C, *S) (Kingma et al. 2021, appendix C).

    The input is x_t scaled to unit root mean square, ``scale`` that of the data, and x_t/α what the waves are of. Each
    is weighted with exp(−½ (2πf σ/α)²), the mean of what noise does to it, so that none finer than the noise gets
    through (as ``Waves`` for tables).
    """

    def __init__(self, frequencies: Sequence[float], scale: float) -> None:
        super().__init__()
        self.scale = scale
        turns = 2 * math.pi * torch.tensor(list(frequencies), dtype=torch.float32)
        self.register_buffer("turns", turns, persistent=False)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)  # phases need their digits
        noise = (2 * level.to(wide)).exp().reshape(-1, *[1] * (x.ndim - 1))  # (σ/α)²
        values = x.to(wide) * (noise + self.scale**2).sqrt()
        parts = []
        for turn in self.turns.to(wide).unbind():
            left = (-0.5 * noise * turn.square()).exp()
            parts += [(turn * values).sin() * left, (turn * values).cos() * left]
        return torch.cat(parts, 1).to(x.dtype)
