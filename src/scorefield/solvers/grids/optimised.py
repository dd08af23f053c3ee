"""The grid on which DDIM loses least on Gaussian data: a shortest path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import UserError
from ...registry import register
from .base import closed, reach

CANDIDATES = 512  # noise levels among which the path chooses, evenly in log σ/α: 2 % apart
LOWEST = 0.05  # of the smallest deviation: noise below that is nothing to it


def lost(sigma: Tensor, after: Tensor, stds: Tensor) -> Tensor:
    """What DDIM's step σ → after loses on N(0, diag(stds²)), in units of the data, to first order: (…) for (…) levels.

    With φ = atan(σ/std), the step multiplies an axis by what the exact flow does, √((std² + σ'²)/(std² + σ²)), times
    cos(φ − φ'): it always contracts, and −log cos of the steps add up."""
    angle = torch.atan(sigma[..., None] / stds) - torch.atan(after[..., None] / stds)
    return (-stds * angle.cos().log()).sum(-1)


@register("optimised", "grid")
@dataclass(frozen=True)
class Optimised:
    """The n levels, and then 0, on which DDIM's endpoint on Gaussian data loses least deviation in sum over the
    principal axes: the exact minimum among 512 candidates, by dynamic programming (as Watson et al. 2021 do for the
    ELBO; the aim is that of Align Your Steps, Sabour et al. 2024). It depends on the schedule by its end only.

    It minimises no other solver's error, but at few steps all of them gain: the wide first step costs little, as the
    belief hardly changes there. ``stds`` are the deviations of the axes of the encoded data; a single one gives equal
    angles atan(σ/std), more than one a compromise between layout and detail. ``sigma_max`` as for ``Karras``. Raises
    UserError for deviations that are not positive, and for more than 256 steps.
    """

    stds: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03)
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if not self.stds or not all(math.isfinite(std) and std > 0 for std in self.stds):
            raise UserError(f"optimised needs deviations > 0 of the data's axes, got stds={self.stds}.")
        if not self.sigma_max > LOWEST * min(self.stds):
            raise UserError(f"optimised needs sigma_max above {LOWEST:g} of the smallest deviation, got {self}.")

    def __call__(self, process: Any, steps: int) -> Tensor:
        if steps > CANDIDATES // 2:
            raise UserError(
                f"optimised knows up to {CANDIDATES // 2} steps, got {steps}. Use karras: it hardly matters."
            )
        low, high = reach(process, "optimised", LOWEST * min(self.stds), self.sigma_max)
        levels = torch.linspace(math.log(high), math.log(low), CANDIDATES, dtype=torch.float64).exp()
        return closed(process, levels[self._path(torch.cat([levels, levels.new_zeros(1)]), steps)])

    def _path(self, levels: Tensor, steps: int) -> Tensor:
        """Indices (steps,) of the levels visited before the last, on the cheapest path from the first to it."""
        stds = torch.tensor(self.stds, dtype=torch.float64)
        cost = lost(levels[:, None], levels[None], stds)
        cost = cost.masked_fill(torch.ones_like(cost, dtype=torch.bool).tril(), float("inf"))  # levels only fall
        ahead, choices = cost[:, -1], []  # the cheapest way from each level to 0, in one step; then in two …
        for _ in range(steps - 1):
            ahead, choice = (cost + ahead).min(1)
            choices.append(choice)
        path = [torch.tensor(0)]
        for choice in reversed(choices):
            path.append(choice[path[-1]])
        return torch.stack(path)
