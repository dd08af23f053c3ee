"""Discrete DDPM schedules, read as continuous ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import UserError, suggest
from ..registry import register
from .schedules import Scales


def linear(steps: int) -> Tensor:
    """β from 1e-4 to 0.02 at 1,000 steps, scaled by 1000/steps (Ho et al. 2020, section 4)."""
    scale = 1000 / steps
    return torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64).clamp_max(0.999)


def scaled_linear(steps: int) -> Tensor:
    """√β linear from √0.00085 to √0.012 (latent diffusion, Rombach et al. 2022)."""
    return torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64).square()


def cosine(steps: int) -> Tensor:
    """β = 1 − ᾱ(t_{i+1})/ᾱ(t_i), capped at 0.999 (Nichol and Dhariwal 2021, eq. 17)."""
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha_bar = (0.5 * math.pi * (t + 0.008) / 1.008).cos().square()
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp_max(0.999)


def sigmoid(steps: int) -> Tensor:
    """β = 1e-4 + (0.02 − 1e-4) · sigmoid(u), u from −6 to 6 (GeoDiff; the ``sigmoid`` of diffusers)."""
    return torch.linspace(-6, 6, steps, dtype=torch.float64).sigmoid() * (0.02 - 1e-4) + 1e-4


TABLES: dict[str, Callable[[int], Tensor]] = {
    "linear": linear,
    "scaled-linear": scaled_linear,
    "cosine": cosine,
    "sigmoid": sigmoid,
}


@register("ddpm", "schedule")
class BetaTable:
    """A DDPM with T steps: t = i/T reads ᾱ_i = Π_{j ≤ i} (1 − β_j); α = √ᾱ, linear in t between the steps,
    σ = √(1 − α²) (Ho et al. 2020, eq. 4).

    ``zero_terminal`` rescales √ᾱ so that ᾱ_T = 0 and the first step stays (Lin et al. 2024, algorithm 1); such a model
    cannot predict eps at t = 1. Raises UserError for an unknown table or fewer than 2 steps.
    """

    def __init__(self, betas: str = "linear", steps: int = 1000, zero_terminal: bool = False) -> None:
        if betas not in TABLES:
            raise UserError(f"no table of betas is called {betas!r}.{suggest(betas, TABLES)}")
        if steps < 2:
            raise UserError(f"a table of betas needs at least 2 steps, got {steps}.")
        self.betas, self.steps, self.zero_terminal = betas, steps, zero_terminal
        log_alpha = 0.5 * torch.log1p(-TABLES[betas](steps)).cumsum(0)
        alpha, gap = log_alpha.exp(), -torch.expm1(log_alpha)  # α and 1 − α, both to full relative precision
        if zero_terminal:
            alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
            gap = torch.cat([gap[:1], 1 - alpha[1:]])
        self._alpha = torch.cat([alpha.new_ones(1), alpha])
        self._gap = torch.cat([gap.new_zeros(1), gap])

    def __repr__(self) -> str:
        return f"BetaTable({self.betas!r}, steps={self.steps}{', zero_terminal=True' if self.zero_terminal else ''})"

    def __call__(self, t: Tensor) -> Scales:
        return between(self._alpha, self._gap, t)

    def time(self, log_ratio: Tensor) -> Tensor:
        return found(self._alpha, self._gap, log_ratio)


def between(alpha: Tensor, gap: Tensor, t: Tensor) -> Scales:
    """(α, σ) at times t ∈ [0, 1], linear in α between the steps of tables of α and 1 − α, (T + 1,) each and both to
    full relative precision; differentiable in tables and times."""
    steps = len(alpha) - 1
    position = t * steps
    i = position.detach().floor().long().clamp(0, steps - 1)
    alpha, gap = (torch.lerp(table[i], table[i + 1], position - i) for table in (alpha, gap))
    return Scales(alpha, (gap * (1 + alpha)).sqrt())


def found(alpha: Tensor, gap: Tensor, log_ratio: Tensor) -> Tensor:
    """The inverse of ``between``: the time at which log α/σ = ``log_ratio``, clamped to [0, 1]."""
    steps, level = len(alpha) - 1, torch.sigmoid(2 * log_ratio).sqrt()
    by_alpha = steps - _locate(alpha.flip(0), level)
    by_gap = _locate(gap, torch.sigmoid(-2 * log_ratio) / (1 + level))
    return torch.where(log_ratio < 0, by_alpha, by_gap) / steps  # the smaller of the two is the exact one


def _locate(table: Tensor, value: Tensor) -> Tensor:
    value = value.clamp(table[0], table[-1])
    i = (torch.searchsorted(table, value.contiguous(), right=True) - 1).clamp(0, len(table) - 2)
    return i + (value - table[i]) / (table[i + 1] - table[i])
