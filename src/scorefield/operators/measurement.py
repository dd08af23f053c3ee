"""y = A(x₀) + noise: what was measured, how, and how likely it is for a clean example."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .protocol import name_of


class Noise(Protocol):
    """The law of y given z = A(x₀)."""

    gaussian: bool  # y − z ~ N(0, std² I), whatever z is

    @property
    def std(self) -> float | None:
        """Standard deviation of each number where it is one for all, else None."""
        ...

    def sample(self, z: Tensor, rng: Rng) -> Tensor:
        """y | z, of the shape (B, *M) of z."""
        ...

    def log_prob(self, y: Tensor, z: Tensor) -> Tensor:
        """log p(y | z) in nats, summed over each example: (B, *M) → (B,)."""
        ...


@dataclass(frozen=True)
class GaussianNoise:
    """y = z + std ε. std 0 is an exact measurement: it can be sampled but has no density. Raises UserError below 0."""

    std: float
    gaussian = True

    def __post_init__(self) -> None:
        _at_least_zero("std", self.std)

    def sample(self, z: Tensor, rng: Rng) -> Tensor:
        return z + self.std * rng.normal(z)

    def log_prob(self, y: Tensor, z: Tensor) -> Tensor:
        if self.std == 0:
            raise UserError("a measurement without noise (std 0) has no likelihood. Give a small std, such as 0.01.")
        each = -0.5 * ((y - z) / self.std).square() - math.log(self.std) - 0.5 * math.log(2 * math.pi)
        return each.flatten(1).sum(1)


@dataclass(frozen=True)
class LaplaceNoise:
    """y = z + scale · e, e Laplace of mean 0: heavy tails, for outliers; std = √2 scale. Raises UserError unless
    scale > 0."""

    scale: float
    gaussian = False

    def __post_init__(self) -> None:
        _positive("scale", self.scale)

    @property
    def std(self) -> float:
        """√2 scale."""
        return math.sqrt(2) * self.scale

    def sample(self, z: Tensor, rng: Rng) -> Tensor:
        u = rng.uniform(z.double()) - 0.5
        return z - (self.scale * u.sign() * (1 - 2 * u.abs()).clamp_min(1e-300).log()).to(z)

    def log_prob(self, y: Tensor, z: Tensor) -> Tensor:
        return (-(y - z).abs() / self.scale - math.log(2 * self.scale)).flatten(1).sum(1)


@dataclass(frozen=True)
class PoissonNoise:
    """Photon counts: (y − low) · scale ~ Poisson((z − low) · scale), so y is in the unit of z and ``scale`` is the
    number of counts per unit above ``low``, the z of darkness (−1 for images).

    Rates below ``floor`` counts (an estimate darker than dark) are taken as ``floor``. Raises UserError unless
    scale > 0.
    """

    scale: float
    low: float = -1.0
    floor: float = 1e-3
    gaussian = False
    std = None

    def __post_init__(self) -> None:
        _positive("scale", self.scale)
        _positive("floor", self.floor)

    def rate(self, z: Tensor) -> Tensor:
        """Expected counts at z, of its shape."""
        return (self.scale * (z - self.low)).clamp_min(self.floor)

    def sample(self, z: Tensor, rng: Rng) -> Tensor:
        counts = poisson_quantile(self.rate(z.double()), rng.uniform(z.double()))
        return (self.low + counts / self.scale).to(z)

    def log_prob(self, y: Tensor, z: Tensor) -> Tensor:
        rate, counts = self.rate(z), (self.scale * (y - self.low)).clamp_min(0)
        return (torch.special.xlogy(counts, rate) - rate - torch.lgamma(counts + 1)).flatten(1).sum(1)


def poisson_quantile(rate: Tensor, u: Tensor) -> Tensor:
    """The least k with P(X ≤ k) > u for X ~ Poisson(rate), by bisection of Q(k + 1, rate): uniform numbers become
    counts, one each. rate > 0 and u in [0, 1), float64 of one shape."""
    low = torch.full_like(rate, -1.0)  # P(X ≤ −1) = 0 ≤ u
    high = (rate + 12 * rate.sqrt() + 40).ceil()  # beyond it lies less than 1e-20
    while (high - low > 1).any():
        middle = ((low + high) / 2).floor()
        above = (torch.special.gammaincc(middle + 1, rate) > u) & (middle >= 0)
        high, low = torch.where(above, middle, high), torch.where(above, low, middle)
    return high


@dataclass(frozen=True, eq=False)
class Measurement:
    """What is known about x₀: y = A(x₀) + noise. ``y`` (1, *M) for all examples alike or (B, *M), a row for each.

    Raises UserError when y has another shape than the operator gives (both are said) or holds NaN or infinities.
    """

    operator: Any
    y: Tensor
    noise: Noise

    def __post_init__(self) -> None:
        measured = tuple(self.operator.measured)
        if tuple(self.y.shape[1:]) != measured or not self.y.ndim:
            raise UserError(
                f"y has shape {tuple(self.y.shape)}, but {name_of(self.operator)} of an event "
                f"{tuple(self.operator.event)} gives {measured}: y must be (1, *M) or (B, *M) with that M."
            )
        if not self.y.is_floating_point() or not self.y.isfinite().all():
            bad = int((~self.y.isfinite()).sum())
            raise UserError(f"y must be finite floating-point numbers, got {self.y.dtype} with {bad} NaN or infinite.")

    @classmethod
    def of(cls, x0: Tensor, operator: Any, noise: Noise, rng: Rng) -> Measurement:
        """Simulate: measure x0 (B, *D)."""
        with torch.no_grad():
            return cls(operator, noise.sample(operator(x0), rng), noise)

    def rows(self, which: slice | Tensor) -> Measurement:
        """The measurement of some examples: one row for all stays that."""
        return self if len(self.y) == 1 else Measurement(self.operator, self.y[which], self.noise)

    def residual(self, x0: Tensor) -> Tensor:
        """y − A(x₀), (B, *D) → (B, *M). Raises UserError when y has another number of rows than x0."""
        return self._rows_for(x0) - self.operator(x0)

    def log_likelihood(self, x0: Tensor) -> Tensor:
        """log p(y | x₀) in nats, (B, *D) → (B,). Raises UserError for exact measurements, which have none."""
        z = self.operator(x0)
        return self.noise.log_prob(self._rows_for(x0).expand_as(z), z)

    def _rows_for(self, x0: Tensor) -> Tensor:
        if len(self.y) not in (1, len(x0)):
            raise UserError(
                f"y has {len(self.y)} rows and there are {len(x0)} examples: give one row, or one for each."
            )
        return self.y.to(x0)


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise UserError(f"the {name} of a noise must be > 0 and finite, got {value:g}.")


def _at_least_zero(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise UserError(f"the {name} of a noise must be ≥ 0 and finite, got {value:g}.")
