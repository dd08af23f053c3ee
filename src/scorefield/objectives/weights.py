"""How much each noise level counts: ``weight(process, t)`` (B,) multiplies ‖x̂₀ − x₀‖².

In the units of x₀. A weight w on ‖ε̂ − ε‖² is w · SNR here, since ε̂ − ε = −(α/σ)(x̂₀ − x₀).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core import as_time, slope
from ..registry import register


class Weight(Protocol):
    """t (B,) ↦ weight (B,) ≥ 0 of the squared error of x̂₀."""

    def __call__(self, process: Any, t: Tensor) -> Tensor: ...


def _snr(process: Any, t: Tensor) -> Tensor:
    return (2 * process.log_ratio(as_time(t))).exp()


@register("simple", "weight")
@dataclass(frozen=True)
class Simple:
    """SNR: the mean squared error of ε (Ho et al. 2020, eq. 14)."""

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        return _snr(process, t)


@register("edm", "weight")
@dataclass(frozen=True)
class EDMWeight:
    """SNR + 1/σ_data²: the network of EDM's preconditioning sees unit-variance targets at every level, and its loss
    at initialisation is 1 (Karras et al. 2022, eq. 144)."""

    sigma_data: float = 1.0

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        return _snr(process, t) + self.sigma_data**-2


@register("flow", "weight")
@dataclass(frozen=True)
class FlowWeight:
    """(1 + α/σ)²: the mean squared error of the velocity ε − x₀ (Lipman et al. 2023, eq. 23)."""

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        return (1 + process.log_ratio(as_time(t)).exp()).square()


@register("min-snr", "weight")
@dataclass(frozen=True)
class MinSNR:
    """min(SNR, γ) (Hang et al. 2023, section 3.4)."""

    gamma: float = 5.0

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        return _snr(process, t).clamp_max(self.gamma)


@register("p2", "weight")
@dataclass(frozen=True)
class P2:
    """SNR/(k + SNR)^γ: less weight on the levels where only imperceptible detail is left (Choi et al. 2022, eq. 8)."""

    k: float = 1.0
    gamma: float = 1.0

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        snr = _snr(process, t)
        return snr / (self.k + snr) ** self.gamma


@register("sigmoid", "weight")
@dataclass(frozen=True)
class Sigmoid:
    """SNR · sigmoid(bias − log SNR) (Kingma and Gao 2023; Hoogeboom et al. 2024)."""

    bias: float = 2.0

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        log_snr = 2 * process.log_ratio(as_time(t))
        return (log_snr + torch.nn.functional.logsigmoid(self.bias - log_snr)).exp()


@register("likelihood", "weight")
@dataclass(frozen=True)
class Likelihood:
    """−½ dSNR/dt = SNR · g²/(2σ²): with uniform times the loss is the evidence bound, in nats, up to its end terms
    (Kingma et al. 2021, eq. 17; Song et al. 2021b, theorem 1)."""

    def __call__(self, process: Any, t: Tensor) -> Tensor:
        t = as_time(t)
        return -slope(process.log_ratio, t) * _snr(process, t)
