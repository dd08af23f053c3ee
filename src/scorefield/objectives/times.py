"""Which noise levels a network is trained on.

A law of times maps uniform numbers u (B,) to ``Draw(t, correction)``, both (B,) float64. ``Uniform``, ``LogNormal``
and ``LogitNormal`` *define* the law of the loss: correction 1. ``Importance`` only re-samples the uniform law, so its
correction is 1/p(t) and the expected loss is that of ``Uniform``. ``Stratified`` wraps any of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..core import as_time, slope
from ..errors import UserError
from ..registry import register


class Draw(NamedTuple):
    """Times (B,) and what to multiply the loss of each with (B,)."""

    t: Tensor
    correction: Tensor


class TimeLaw(Protocol):
    """u ~ U[0, 1)ᴮ ↦ times for a process."""

    def __call__(self, u: Tensor, process: Any) -> Draw: ...


@register("uniform", "times")
@dataclass(frozen=True)
class Uniform:
    """t ~ U[low, 1]; ``low`` keeps t off the level where nothing was destroyed (Song et al. 2021, appendix C)."""

    low: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.low < 1:
            raise UserError(f"times.low must be between 0 and 1, got {self.low}.")

    def __call__(self, u: Tensor, process: Any) -> Draw:
        return Draw(self.low + (1 - self.low) * u, torch.ones_like(u))


@register("log-normal", "times")
@dataclass(frozen=True)
class LogNormal:
    """ln(σ/α) ~ N(mean, std²), the law of EDM (Karras et al. 2022, table 1)."""

    mean: float = -1.2
    std: float = 1.2

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise UserError(f"times.std must be greater than 0, got {self.std}.")

    def __call__(self, u: Tensor, process: Any) -> Draw:
        return Draw(process.time(-(self.mean + self.std * _normal_quantile(u))), torch.ones_like(u))


@register("logit-normal", "times")
@dataclass(frozen=True)
class LogitNormal:
    """logit t ~ N(mean, std²), usual for flow matching (Esser et al. 2024, section 3.1)."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise UserError(f"times.std must be greater than 0, got {self.std}.")

    def __call__(self, u: Tensor, process: Any) -> Draw:
        return Draw(torch.sigmoid(self.mean + self.std * _normal_quantile(u)), torch.ones_like(u))


@register("importance", "times")
@dataclass(frozen=True)
class Importance:
    """Uniform in log-SNR between t = low and t = 1, density p(t) ∝ −dλ/dt = g²/(2σ²): the law that minimises the
    variance of the likelihood-weighted loss (Song et al. 2021b, section 4.4). Where the terminal SNR is zero the
    range ends at log α/σ = −10."""

    low: float = 1e-3
    bound: float = field(default=-10.0, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.low < 1:
            raise UserError(f"times.low must be between 0 and 1, got {self.low}.")

    def __call__(self, u: Tensor, process: Any) -> Draw:
        high, bottom = process.log_ratio(as_time(self.low)), process.log_ratio(as_time(1.0)).clamp_min(self.bound)
        t = process.time(high + (bottom - high) * u)
        return Draw(
            t, (high - bottom) / -slope(process.log_ratio, t) / (1 - self.low)
        )  # U[low, 1] has density 1/(1 − low)


@register("stratified", "times")
@dataclass(frozen=True)
class Stratified:
    """One draw in each of B equal slices of any law's quantiles: the same expectation, less variance in each batch
    (Kingma et al. 2021, appendix I.1)."""

    times: TimeLaw = field(default_factory=Uniform)

    def __call__(self, u: Tensor, process: Any) -> Draw:
        return self.times((torch.arange(len(u), dtype=u.dtype) + u) / len(u), process)


def _normal_quantile(u: Tensor) -> Tensor:
    return torch.special.ndtri(u.clamp(1e-12, 1 - 1e-12))
