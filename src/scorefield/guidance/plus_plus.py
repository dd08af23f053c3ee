"""CFG++ as a scale of ordinary classifier-free guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import as_time, need
from ..errors import UserError


@dataclass(frozen=True, eq=False)
class PlusPlus:
    """The scale that makes DDIM on ``times`` the sampler of CFG++ (Chung et al. 2025, algorithm 2):
    ``ClassifierFree(model, PlusPlus(process, times, 0.6))``.

    CFG++ moves to x_s = α_s x̂₀ + σ_s ε̂_u: the noise put back is the unconditional one, and x̂₀ is guided by
    ``strength`` in [0, 1] only. Collecting terms, that is DDIM's own step under guidance of the scale
    strength / (1 − (α_t σ_s)/(α_s σ_t)): large where steps are short, ``strength`` in the last. So it is exact for
    ddim on these very times; any other solver takes it as a schedule of scales, at the nearest of its noise levels.

    Called with σ/α (a float), returns the scale. Raises UserError for a strength outside [0, 1], or times that do not
    fall.
    """

    process: Any
    times: Tensor
    strength: float = 0.6

    def __post_init__(self) -> None:
        need(self.process, self, "log_ratio")
        if not 0 <= self.strength <= 1:
            raise UserError(f"CFG++ needs a strength between 0 and 1, got {self.strength}. Papers use 0.2 to 0.8.")
        times = as_time(self.times)
        if len(times) < 2 or not (times.diff() < 0).all():
            raise UserError(
                "CFG++ needs the falling times of the walk, two or more: PlusPlus(process, grid(process, n))"
            )

    def __call__(self, level: float) -> float:
        clocks = self.process.log_ratio(as_time(self.times))
        levels = (-clocks).exp()[:-1].atan()  # atan: a finite distance also at σ/α = ∞
        i = int((levels - torch.tensor(level, dtype=torch.float64).atan()).abs().argmin())
        return (self.strength / -torch.expm1(clocks[i] - clocks[i + 1])).item()
