"""Keep-schedules: t ↦ α_t, the probability that a token is still the one of the data.

Every schedule is clean at 0 (α = 1) and falls monotonically; at 1 nothing is left (α = 0) except where the last value
is an argument. Times are float64 tensors of any shape; so are the results. A new schedule is a frozen dataclass with
these four methods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..errors import UserError
from ..registry import register


class Keep(Protocol):
    """What a discrete process needs to know about its noise."""

    def __call__(self, t: Tensor) -> Tensor:
        """α at times t ∈ [0, 1]."""
        ...

    def lost(self, t: Tensor) -> Tensor:
        """1 − α without cancellation near t = 0."""
        ...

    def slope(self, t: Tensor) -> Tensor:
        """dα/dt ≤ 0."""
        ...

    def time(self, alpha: Tensor) -> Tensor:
        """The t at which α_t = alpha."""
        ...


@register("linear", "keep")
@dataclass(frozen=True)
class Linear:
    """α = 1 − t: Sohl-Dickstein's β = 1/(T − t + 1) (2015, section 2.4.1) at the times i/T, the schedule of absorbing
    D3PM (Austin et al. 2021, section 3.1), log-linear noise of SEDD (Lou et al. 2024), κ = t of flow matching."""

    def __call__(self, t: Tensor) -> Tensor:
        return 1 - t

    def lost(self, t: Tensor) -> Tensor:
        return t

    def slope(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def time(self, alpha: Tensor) -> Tensor:
        return 1 - alpha


@register("cosine", "keep")
@dataclass(frozen=True)
class Cosine:
    """α = (cos(½π (t+o)/(1+o)) / cos(½π o/(1+o)))ᵖ: p = 1 is multinomial diffusion's (Hoogeboom et al. 2021, appendix),
    p = 2 is ᾱ of Nichol and Dhariwal (2021, eq. 17), without a cap. Raises UserError unless power ≥ 1 and
    0 ≤ offset < 1."""

    power: float = 1.0
    offset: float = 0.008

    def __post_init__(self) -> None:
        _require(self.power >= 1, f"keep.power of cosine must be at least 1, got {self.power}.")
        _require(0 <= self.offset < 1, f"keep.offset of cosine must be at least 0 and below 1, got {self.offset}.")

    @property
    def _rate(self) -> float:
        return 0.5 * math.pi / (1 + self.offset)

    @property
    def _start(self) -> float:
        return math.cos(self._rate * self.offset)

    def __call__(self, t: Tensor) -> Tensor:
        late = ((self._rate * (1 - t)).sin() / self._start) ** self.power  # cos of the complement: exactly 0 at t = 1
        return torch.where(t < 0.5, 1 - self.lost(t), late)

    def lost(self, t: Tensor) -> Tensor:
        angle = self._rate * t  # cos²a − cos²b = sin(b − a) sin(b + a)
        rest = angle.sin() * (angle + 2 * self._rate * self.offset).sin() / self._start**2
        return -torch.expm1(0.5 * self.power * torch.log1p(-rest.clamp_max(1)))

    def slope(self, t: Tensor) -> Tensor:
        cos, sin = (self._rate * (1 - t)).sin(), (self._rate * (t + self.offset)).sin()
        return -self._rate * self.power * cos ** (self.power - 1) * sin / self._start**self.power

    def time(self, alpha: Tensor) -> Tensor:
        cos = alpha ** (1 / self.power) * self._start
        return (torch.acos(cos) / self._rate - self.offset).clamp(0, 1)


@register("sine", "keep")
@dataclass(frozen=True)
class Sine:
    """α = 1 − sin(½πt): the mask share cos(½π(1 − t)) of MaskGIT (Chang et al. 2022, section 3.3), "cosine" in MD4."""

    def __call__(self, t: Tensor) -> Tensor:
        return torch.where(t < 0.5, 1 - (0.5 * math.pi * t).sin(), 2 * (0.25 * math.pi * (1 - t)).sin().square())

    def lost(self, t: Tensor) -> Tensor:
        return (0.5 * math.pi * t).sin()

    def slope(self, t: Tensor) -> Tensor:
        return -0.5 * math.pi * (0.5 * math.pi * (1 - t)).sin()

    def time(self, alpha: Tensor) -> Tensor:
        return 1 - 4 / math.pi * (0.5 * alpha).sqrt().asin()


@register("polynomial", "keep")
@dataclass(frozen=True)
class Polynomial:
    """α = 1 − tᵖ (MD4: Shi et al. 2024, table 4). Raises UserError unless power > 0."""

    power: float = 2.0

    def __post_init__(self) -> None:
        _require(self.power > 0, f"keep.power of polynomial must be greater than 0, got {self.power}.")

    def __call__(self, t: Tensor) -> Tensor:
        return 1 - t**self.power

    def lost(self, t: Tensor) -> Tensor:
        return t**self.power

    def slope(self, t: Tensor) -> Tensor:
        return -self.power * t ** (self.power - 1)

    def time(self, alpha: Tensor) -> Tensor:
        return (1 - alpha) ** (1 / self.power)


@register("geometric", "keep")
@dataclass(frozen=True)
class Geometric:
    """α from e^{−σ̄}, σ̄ = low (high/low)ᵗ (SEDD: Lou et al. 2024, section 4.1), shifted and scaled to be exactly 1
    at t = 0 and 0 at t = 1, where the published one is e^{−low} and e^{−high}. Raises UserError unless
    0 < low < high."""

    low: float = 1e-3
    high: float = 20.0

    def __post_init__(self) -> None:
        _require(0 < self.low < self.high, f"keep of geometric needs 0 < low < high, got {self}.")

    @property
    def _range(self) -> float:
        return -math.expm1(self.low - self.high)  # (e^{−low} − e^{−high}) e^{low}

    def _noise(self, t: Tensor) -> Tensor:
        return self.low * (math.log(self.high / self.low) * t).exp()

    def __call__(self, t: Tensor) -> Tensor:
        left = (self.high * torch.expm1(math.log(self.high / self.low) * (t - 1))).abs()  # high − σ̄: exactly 0 at t = 1
        late = math.exp(self.low - self.high) * torch.expm1(left) / self._range
        return torch.where(t < 0.5, 1 - self.lost(t), late)

    def lost(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self.low * torch.expm1(math.log(self.high / self.low) * t)) / self._range

    def slope(self, t: Tensor) -> Tensor:
        noise = self._noise(t)
        return -math.log(self.high / self.low) * noise * (self.low - noise).exp() / self._range

    def time(self, alpha: Tensor) -> Tensor:
        noise = self.low - torch.log1p(-(1 - alpha) * self._range)
        return ((noise / self.low).log() / math.log(self.high / self.low)).clamp(0, 1)


@register("ending", "keep")
@dataclass(frozen=True)
class Ending:
    """Another schedule squeezed to end at α₁ = ``final``: α = final + (1 − final) α′. Raises UserError unless
    0 ≤ final < 1."""

    keep: Keep = field(default_factory=Linear)
    final: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.final < 1, f"keep.final must be at least 0 and less than 1, got {self.final}.")

    def __call__(self, t: Tensor) -> Tensor:
        return self.final + (1 - self.final) * self.keep(t)

    def lost(self, t: Tensor) -> Tensor:
        return (1 - self.final) * self.keep.lost(t)

    def slope(self, t: Tensor) -> Tensor:
        return (1 - self.final) * self.keep.slope(t)

    def time(self, alpha: Tensor) -> Tensor:
        return self.keep.time(((alpha - self.final) / (1 - self.final)).clamp(0, 1))


@register("steps", "keep")
@dataclass(frozen=True)
class Steps:
    """Any published table: ``betas`` β₁ … β_T are the shares that each of T steps destroys, so that α at t = i/T is
    Π_{j ≤ i} (1 − β_j), linear in t between the steps. Raises UserError unless 0 ≤ β ≤ 1, β₁ > 0 and every α but the
    last is positive."""

    betas: Sequence[float]

    def __post_init__(self) -> None:
        betas = torch.tensor(self.betas, dtype=torch.float64)
        good = len(betas) > 0 and betas[0] > 0 and (betas >= 0).all() and (betas[:-1] < 1).all() and betas[-1] <= 1
        _require(bool(good), "keep.betas needs shares between 0 and 1, the first above 0; only the last may be 1.")

    def _table(self) -> tuple[Tensor, Tensor]:
        betas = torch.tensor([0.0, *self.betas], dtype=torch.float64)
        total = torch.log1p(-betas).cumsum(0)
        return total.exp(), -torch.expm1(total)

    def _between(self, table: Tensor, t: Tensor) -> Tensor:
        i = (t * len(self.betas)).floor().long().clamp(0, len(self.betas) - 1)
        return torch.lerp(table[i], table[i + 1], t * len(self.betas) - i)

    def __call__(self, t: Tensor) -> Tensor:
        return self._between(self._table()[0], t)

    def lost(self, t: Tensor) -> Tensor:
        return self._between(self._table()[1], t)

    def slope(self, t: Tensor) -> Tensor:
        table = self._table()[1]
        i = (t * len(self.betas)).floor().long().clamp(0, len(self.betas) - 1)
        return (table[i] - table[i + 1]) * len(self.betas)

    def time(self, alpha: Tensor) -> Tensor:
        lost = self._table()[1]
        value = (1 - alpha).clamp(0, lost[-1].item())
        i = (torch.searchsorted(lost, value.contiguous()) - 1).clamp(0, len(lost) - 2)
        step = (lost[i + 1] - lost[i]).clamp_min(1e-300)
        return (i + (value - lost[i]) / step) / len(self.betas)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise UserError(sentence)
