"""Noise schedules: t ↦ (α, σ) in q(x_t | x₀) = N(α x₀, σ² I), and back from λ = log α/σ to t.

Every schedule is clean at 0 (α = 1, σ = 0) and its λ falls monotonically to t = 1. Times are float64 tensors of any
shape; so are the results. A new schedule is a frozen dataclass with these two methods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from ..registry import register


class Scales(NamedTuple):
    """α and σ of x_t = α x₀ + σ ε."""

    alpha: Tensor
    sigma: Tensor

    @property
    def snr(self) -> Tensor:
        """α²/σ²."""
        return (self.alpha / self.sigma).square()


class Schedule(Protocol):
    """What a Gaussian process needs to know about its noise."""

    def __call__(self, t: Tensor) -> Scales:
        """(α, σ) at times t ∈ [0, 1]."""
        ...

    def time(self, log_ratio: Tensor) -> Tensor:
        """The t at which log α/σ = log_ratio; clamped to [0, 1]."""
        ...


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise UserError(sentence)


def _linear_beta_integral(t: Tensor, beta_min: float, beta_max: float) -> Tensor:
    return beta_min * t + 0.5 * (beta_max - beta_min) * t.square()


def _linear_beta_time(integral: Tensor, beta_min: float, beta_max: float) -> Tensor:
    root = (beta_min**2 + 2 * (beta_max - beta_min) * integral).sqrt()
    return (2 * integral / (beta_min + root)).clamp(0, 1)


@register("vp", "schedule")
@dataclass(frozen=True)
class VP:
    """Variance preserving, dx = −½β x dt + √β dw with β linear in t (Song et al. 2021, eq. 11 and 32):
    α = e^{−B/2}, σ² = 1 − e^{−B}, B = ∫β."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _require(0 < self.beta_min < self.beta_max, f"vp needs 0 < beta_min < beta_max, got {self}.")

    def __call__(self, t: Tensor) -> Scales:
        integral = _linear_beta_integral(t, self.beta_min, self.beta_max)
        return Scales((-0.5 * integral).exp(), (-torch.expm1(-integral)).sqrt())

    def time(self, log_ratio: Tensor) -> Tensor:
        return _linear_beta_time(F.softplus(-2 * log_ratio), self.beta_min, self.beta_max)


@register("sub-vp", "schedule")
@dataclass(frozen=True)
class SubVP:
    """Sub-VP: the mean of VP with the smaller deviation σ = 1 − e^{−B} (Song et al. 2021, eq. 29)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _require(0 < self.beta_min < self.beta_max, f"sub-vp needs 0 < beta_min < beta_max, got {self}.")

    def __call__(self, t: Tensor) -> Scales:
        integral = _linear_beta_integral(t, self.beta_min, self.beta_max)
        return Scales((-0.5 * integral).exp(), -torch.expm1(-integral))

    def time(self, log_ratio: Tensor) -> Tensor:
        return _linear_beta_time(2 * torch.asinh((-log_ratio).exp() / 2), self.beta_min, self.beta_max)


@register("ve", "schedule")
@dataclass(frozen=True)
class VE:
    """Variance exploding (Song et al. 2021, eq. 30): the law of dx = σ_min rᵗ √(2 log r) dw started from clean data,
    α = 1, σ² = σ_min² (r²ᵗ − 1), r = σ_max/σ_min. (The paper adds σ_min², so that its t = 0 is NCSN's last level.)"""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        _require(0 < self.sigma_min < self.sigma_max, f"ve needs 0 < sigma_min < sigma_max, got {self}.")

    @property
    def _log_range(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def __call__(self, t: Tensor) -> Scales:
        return Scales(torch.ones_like(t), self.sigma_min * torch.expm1(2 * self._log_range * t).sqrt())

    def time(self, log_ratio: Tensor) -> Tensor:
        sigma = (-log_ratio).exp()
        return (torch.log1p((sigma / self.sigma_min).square()) / (2 * self._log_range)).clamp(0, 1)


@register("edm", "schedule")
@dataclass(frozen=True)
class EDM:
    """α = 1, σ = t σ_max: time is the noise level, the clock of EDM's solvers (Karras et al. 2022, table 1)."""

    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        _require(self.sigma_max > 0, f"edm needs sigma_max > 0, got {self.sigma_max}.")

    def __call__(self, t: Tensor) -> Scales:
        return Scales(torch.ones_like(t), self.sigma_max * t)

    def time(self, log_ratio: Tensor) -> Tensor:
        return ((-log_ratio).exp() / self.sigma_max).clamp(0, 1)


@register("flow", "schedule")
@dataclass(frozen=True)
class Flow:
    """α = 1 − t, σ = t: rectified flow, conditional optimal transport (Liu et al. 2023; Lipman et al. 2023, eq. 22)."""

    def __call__(self, t: Tensor) -> Scales:
        return Scales(1 - t, t)

    def time(self, log_ratio: Tensor) -> Tensor:
        return torch.sigmoid(-log_ratio)


@register("cosine", "schedule")
@dataclass(frozen=True)
class Cosine:
    """α = cos(½π (t+s)/(1+s)) / cos(½π s/(1+s)), σ² = 1 − α² (Nichol and Dhariwal 2021, eq. 17), without the paper's
    cap on β: α(1) is exactly 0. ``BetaTable("cosine")`` is the capped, discrete original."""

    offset: float = 0.008

    def __post_init__(self) -> None:
        _require(0 <= self.offset < 1, f"cosine needs 0 ≤ offset < 1, got {self.offset}.")

    @property
    def _start(self) -> float:
        return 0.5 * math.pi * self.offset / (1 + self.offset)

    def __call__(self, t: Tensor) -> Scales:
        rate = 0.5 * math.pi / (1 + self.offset)
        alpha = (rate * (1 - t)).sin() / math.cos(self._start)  # cos of the complement: exactly 0 at t = 1
        # cos²a − cos²b = sin(b − a) sin(b + a): no cancellation near t = 0
        sigma2 = (rate * t).sin() * (rate * t + 2 * self._start).sin() / math.cos(self._start) ** 2
        return Scales(alpha, sigma2.clamp_max(1).sqrt())

    def time(self, log_ratio: Tensor) -> Tensor:
        clean, noisy = torch.sigmoid(2 * log_ratio), torch.sigmoid(-2 * log_ratio)  # α², σ²
        cos, sin = math.cos(self._start), math.sin(self._start)
        angle = torch.atan2((noisy + clean * sin**2).sqrt(), clean.sqrt() * cos)
        return ((angle - self._start) * 2 * (1 + self.offset) / math.pi).clamp(0, 1)
