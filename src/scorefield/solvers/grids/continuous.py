"""Grids by formula, for any schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import UserError
from ...registry import register
from .base import closed, ramp, reach, top


def _require_levels(grid: Any, name: str, extra: bool = True, more: str = "") -> None:
    if not (0 < grid.sigma_min < grid.sigma_max and extra):
        raise UserError(f"{name} needs 0 < sigma_min < sigma_max{more}, got {grid}.")


@register("uniform", "grid")
@dataclass(frozen=True)
class Uniform:
    """t_i = 1 − i/n."""

    def __call__(self, process: Any, steps: int) -> Tensor:
        return ramp(steps + 1)


@register("quadratic", "grid")
@dataclass(frozen=True)
class Quadratic:
    """t_i = (1 − i/n)² (Song et al. 2021a, appendix D.2)."""

    def __call__(self, process: Any, steps: int) -> Tensor:
        return ramp(steps + 1).square()


@register("shifted", "grid")
@dataclass(frozen=True)
class Shifted:
    """t = k u/(1 + (k − 1) u) over uniform u: more steps at high noise, for large images (Esser et al. 2024, eq. 23).
    ``shift`` k > 0 is 3 for Stable Diffusion 3, e^μ for Flux; 1 is uniform. Raises UserError for shift ≤ 0."""

    shift: float = 3.0

    def __post_init__(self) -> None:
        if not self.shift > 0:
            raise UserError(f"shifted needs shift > 0, got {self.shift}. 1 is the uniform grid.")

    def __call__(self, process: Any, steps: int) -> Tensor:
        u = ramp(steps + 1)
        return self.shift * u / (self.shift * u + (1 - u))  # exactly 1 at u = 1


@register("rectified", "grid")
@dataclass(frozen=True)
class Rectified:
    """u = σ/(α + σ) even from t = 1 to 0: on the flow schedule the uniform grid, elsewhere the same noise levels.

    With ``decay`` γ < 1, u = (1 − γʷ)/(1 − γ) of its highest over even w: finer at high noise (azula's decay schedule,
    there with γ = 0.1). Raises UserError for γ outside (0, 1]."""

    decay: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise UserError(f"rectified needs 0 < decay ≤ 1, got {self.decay}. 1 is even in σ/(α + σ).")

    def __call__(self, process: Any, steps: int) -> Tensor:
        highest, w = 1 / (1 + 1 / top(process)), ramp(steps + 1)[:-1]
        u = highest * (w if self.decay == 1 else (1 - self.decay**w) / (1 - self.decay))
        return closed(process, u / (1 - u))


@register("karras", "grid")
@dataclass(frozen=True)
class Karras:
    """σ/α falls as (σ_max^{1/ρ} + i/(n−1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ over n levels, then 0 (Karras et al. 2022,
    eq. 5; k-diffusion's ``get_sigmas_karras(n)``).

    A schedule whose noise ends below ``sigma_max`` starts there; one that ends above it still starts at t = 1.
    Raises UserError for levels out of order, and a schedule that ends below ``sigma_min``."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        _require_levels(self, "karras", self.rho > 0, " and rho > 0")

    def __call__(self, process: Any, steps: int) -> Tensor:
        low, high = (level ** (1 / self.rho) for level in reach(process, "karras", self.sigma_min, self.sigma_max))
        return closed(process, (low + ramp(steps) * (high - low)) ** self.rho)


@register("log-snr", "grid")
@dataclass(frozen=True)
class LogSNR:
    """log σ/α uniform over n levels between σ_max and σ_min, then 0 (Lu et al. 2022, section 3.4; k-diffusion's
    ``get_sigmas_exponential(n)``). Ends and errors as ``Karras``."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        _require_levels(self, "log-snr")

    def __call__(self, process: Any, steps: int) -> Tensor:
        return PolyExponential(self.sigma_min, self.sigma_max)(process, steps)


@register("exponential", "grid")
@dataclass(frozen=True)
class PolyExponential:
    """σ/α falls as σ_min (σ_max/σ_min)^{(1 − i/(n−1))^ρ} over n levels, then 0: k-diffusion's
    ``get_sigmas_polyexponential(n)``. ρ = 1 is geometric, the same as ``LogSNR``; ρ > 1 spends more levels on low
    noise. Ends and errors as ``Karras``."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 1.0

    def __post_init__(self) -> None:
        _require_levels(self, "exponential", self.rho > 0, " and rho > 0")

    def __call__(self, process: Any, steps: int) -> Tensor:
        low, high = (torch.tensor(level, dtype=torch.float64).log() for level in
                     reach(process, "exponential", self.sigma_min, self.sigma_max))  # fmt: skip
        return closed(process, (low + ramp(steps) ** self.rho * (high - low)).exp())
