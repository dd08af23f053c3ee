"""The noise of the first diffusion model: as much at each of its steps as makes the bound best."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .schedules import Scales
from .tables import between, found


@register("learned-betas", "schedule")
class LearnedBetas(nn.Module):
    """α_i² = Π_{j ≤ i} (1 − β_j) at t = i/T, σ² = 1 − α², with β₂ … β_T trained by the gradient of the bound through
    the noise itself, and β₁ = ``first`` fixed, for the bound would send it to 0 (Sohl-Dickstein et al. 2015,
    section 2.4.1). They begin evenly from ``first`` to ``last``; between steps α is linear in t, as in ``BetaTable``.

    Times are float64 on the CPU as everywhere; on a GPU the weights come over at every step.
    Raises UserError for fewer than 2 steps, or β outside (0, 1).
    """

    def __init__(self, steps: int = 40, first: float = 1e-3, last: float = 0.3) -> None:
        super().__init__()
        if steps < 2 or not (0 < first < 1 and 0 < last < 1):
            raise UserError(f"learned betas need steps ≥ 2 and β between 0 and 1, got {steps}, {first} and {last}.")
        self.steps, self.first = steps, first
        self.logits = nn.Parameter(torch.linspace(first, last, steps, dtype=torch.float64)[1:].logit().float())

    def __repr__(self) -> str:
        return f"LearnedBetas(steps={self.steps}, first={self.first:g})"

    @property
    def betas(self) -> Tensor:
        """β₁ … β_T as they are now, (T,) float64."""
        later = self._wide().sigmoid()
        return torch.cat([torch.full_like(later[:1], self.first), later])

    def __call__(self, t: Tensor) -> Scales:
        return between(*self._tables(), t)

    @torch.no_grad()
    def time(self, log_ratio: Tensor) -> Tensor:
        return found(*self._tables(), log_ratio)

    def _tables(self) -> tuple[Tensor, Tensor]:
        """α and 1 − α at every step, (T + 1,) each."""
        log_alpha = 0.5 * torch.log1p(-self.betas).cumsum(0)
        log_alpha = torch.cat([torch.zeros_like(log_alpha[:1]), log_alpha])
        return log_alpha.exp(), -torch.expm1(log_alpha)

    def _wide(self) -> Tensor:
        return (self.logits if self.logits.is_meta else self.logits.cpu()).double()
