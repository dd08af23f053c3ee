"""At which times to evaluate: ``grid(process, steps)`` → (steps + 1,) float64, falling from exactly 1 to exactly 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core import as_time
from ..errors import UserError
from ..registry import register


class Grid(Protocol):
    """A process and a number of steps ↦ times (steps + 1,)."""

    def __call__(self, process: Any, steps: int) -> Tensor: ...


def _unit(n: int) -> Tensor:
    return torch.linspace(1, 0, n, dtype=torch.float64)


def _closed(process: Any, log_ratios: Tensor) -> Tensor:
    """Times of inner log-ratios with both ends closed: the first becomes 1, where the prior lives, and 0 is added."""
    times = torch.cat([process.time(log_ratios), as_time([0.0])])
    times[0] = 1.0
    return times


@register("uniform", "grid")
@dataclass(frozen=True)
class Uniform:
    """t_i = 1 − i/n."""

    def __call__(self, process: Any, steps: int) -> Tensor:
        return _unit(steps + 1)


@register("quadratic", "grid")
@dataclass(frozen=True)
class Quadratic:
    """t_i = (1 − i/n)² (Song et al. 2021a, appendix D.2)."""

    def __call__(self, process: Any, steps: int) -> Tensor:
        return _unit(steps + 1).square()


@register("karras", "grid")
@dataclass(frozen=True)
class Karras:
    """σ/α falls as (σ_max^{1/ρ} + i/(n−1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ over n levels, then 0 (Karras et al. 2022,
    eq. 5). A schedule whose noise ends below ``sigma_max`` starts there; one that ends above it still starts at
    t = 1."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        if not (0 < self.sigma_min < self.sigma_max and self.rho > 0):
            raise UserError(f"karras needs 0 < sigma_min < sigma_max and rho > 0, got {self}.")

    def __call__(self, process: Any, steps: int) -> Tensor:
        top = (-process.log_ratio(as_time(1.0))).exp().clamp_max(self.sigma_max).item()
        low, high = self.sigma_min ** (1 / self.rho), max(top, self.sigma_min * 1.01) ** (1 / self.rho)
        return _closed(process, -((low + _unit(steps) * (high - low)) ** self.rho).log())


@register("log-snr", "grid")
@dataclass(frozen=True)
class LogSNR:
    """log σ/α uniform over n levels between σ_max and σ_min, then 0 (Lu et al. 2022, section 3.4)."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise UserError(f"log-snr needs 0 < sigma_min < sigma_max, got {self}.")

    def __call__(self, process: Any, steps: int) -> Tensor:
        ends = as_time([self.sigma_min, self.sigma_max]).log()
        top = torch.minimum(-process.log_ratio(as_time(1.0)), ends[1])
        return _closed(process, -(ends[0] + _unit(steps) * (top - ends[0])))


@register("trailing", "grid")
@dataclass(frozen=True)
class Trailing:
    """The steps a discrete model of ``total`` steps was trained on, counted from the end: t_i = round(T (1 − i/n))/T
    (Lin et al. 2024, table 2). Raises UserError for more steps than the model has."""

    total: int = 1000

    def __call__(self, process: Any, steps: int) -> Tensor:
        if steps > self.total:
            raise UserError(f"a model of {self.total} steps cannot be sampled in {steps}: use at most {self.total}.")
        return (_unit(steps + 1) * self.total).round() / self.total
