"""The noise schedule of variational diffusion models: γ = −log SNR as a monotone function that is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .schedules import Scales

CLEAN = 1e-3  # before this time x_t goes from clean data to the least noise of γ
HALVINGS = 60  # of an interval, to invert γ


@register("learned", "schedule")
class Learned(nn.Module):
    """α² = sigmoid(−γ), σ² = sigmoid(γ), γ = γ₀ + (γ₁ − γ₀) s(u), s monotone from 0 to 1 (Kingma et al. 2021,
    section 3.2 and appendix H); u = 0 … 1 as t goes from 1/1000 to 1, and below that x_t comes from clean data.

    ``low`` is γ₀ and ``high`` γ₁ at first; with ``ends`` they are learned. ``units`` > 0 learn s too,
    s ∝ |a| u + Σ |b_k| tanh(|c_k| (2u − 1) + d_k); with 0 it is the straight line. Times are float64 on the CPU as
    everywhere; on a GPU the weights of γ come over at every step.
    Raises UserError unless low < high, or for units < 0.
    """

    def __init__(self, low: float = -13.3, high: float = 5.0, units: int = 64, ends: bool = True) -> None:
        super().__init__()
        if not low < high or units < 0:
            raise UserError(f"a learned schedule needs low < high and units ≥ 0, got {low}, {high} and {units}.")
        self.ends = nn.Parameter(torch.tensor([low, high - low], dtype=torch.float32), requires_grad=ends)
        self.units = units
        if units:
            steep = 2.0 + 6.0 * torch.arange(units, dtype=torch.float32) / units
            centres = torch.linspace(-1, 1, units)[torch.arange(units) * 7 % units]  # every steepness everywhere
            self.inner = nn.Parameter(torch.stack([torch.full((units,), 0.1 / units), steep, -steep * centres]))
            self.line = nn.Parameter(torch.ones(1))

    def __repr__(self) -> str:
        low, high = (round(end, 2) for end in self.range) if not self.ends.is_meta else ("…", "…")
        return f"Learned({low}, {high}{f', units={self.units}' if self.units else ''})"

    def __call__(self, t: Tensor) -> Scales:
        gamma = self.gamma(((t - CLEAN) / (1 - CLEAN)).clamp(0, 1))
        part = (t / CLEAN).clamp_max(1)
        noise = gamma.sigmoid()
        clean = torch.where(part < 1, 1 - noise * part.square(), (-gamma).sigmoid())  # each where it has its digits
        return Scales(clean.sqrt(), noise.sqrt() * part)

    @torch.no_grad()
    def time(self, log_ratio: Tensor) -> Tensor:
        wanted = -2 * log_ratio
        low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.gamma(middle) < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        first = self.gamma(torch.zeros_like(wanted))
        part = (wanted.sigmoid() / first.sigmoid()).sqrt().clamp_max(1)
        return torch.where(wanted <= first, CLEAN * part, CLEAN + (1 - CLEAN) * (low + high) / 2).clamp(0, 1)

    @property
    def range(self) -> tuple[float, float]:
        """(γ₀, γ₁) as they are now."""
        low, gap = self.bounds(torch.zeros((), dtype=torch.float64)).detach().unbind()
        return float(low), float(low + gap)

    def bounds(self, like: Tensor) -> Tensor:
        """(γ₀, γ₁ − γ₀) in float64, (2,)."""
        low, gap = _wide(self.ends, like).unbind()
        return torch.stack([low, gap.abs()])

    def gamma(self, u: Tensor) -> Tensor:
        """γ at u ∈ [0, 1] of any shape, float64."""
        low, gap = self.bounds(u).unbind()
        return low + gap * self.interior(u)[0]

    def interior(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """s(u) and ds/du, of the shape of u: what is learned to make the estimate of the bound vary little, for its
        mean depends on the ends alone (Kingma et al. 2021, section 5.1)."""
        if not self.units:
            return u, torch.ones_like(u)
        line = _wide(self.line, u).abs()
        height, steep, shift = _wide(self.inner, u).unbind()
        height, steep = height.abs(), steep.abs()
        first, last = ((height * (sign * steep + shift).tanh()).sum() for sign in (-1, 1))
        bent = (steep * (2 * u.to(steep.device)[..., None] - 1) + shift).tanh()
        whole = line[0] + last - first
        value = line[0] * u + (height * bent).sum(-1) - first
        return value / whole, (line[0] + (2 * height * steep * (1 - bent.square())).sum(-1)) / whole

    def held(self, gamma: Tensor) -> Held:
        """The schedule that has this γ (B,) at whatever times (B,): one whose gradient may be led elsewhere."""
        return Held(gamma)


@dataclass(frozen=True, eq=False)
class Held:
    """One γ for each example, whatever the time."""

    gamma: Tensor

    def __call__(self, t: Tensor) -> Scales:
        return Scales((-self.gamma).sigmoid().sqrt(), self.gamma.sigmoid().sqrt())

    def time(self, log_ratio: Tensor) -> Tensor:
        """Any time: all have the same noise."""
        return torch.ones_like(log_ratio)


def _wide(weight: Tensor, like: Tensor) -> Tensor:
    """In float64 on the CPU; where it is without memory it stays so."""
    return (weight if weight.is_meta else weight.to(like.device)).double()
