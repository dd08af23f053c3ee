"""A linear measurement in the axes of its SVD, where every direction of x₀ is measured by itself or not at all."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..operators import Measurement, Spectrum, spectrum_of


class Axis(NamedTuple):
    """What is known along the measured directions, ready to meet coefficients (B, r): ȳ_j = u_j·y/s_j (1 | B, r), its
    deviation n_j = std/s_j (r,), the singular values s_j (r,)."""

    target: Tensor
    noise: Tensor
    values: Tensor


class Rotated:
    """A measurement through its spectrum. Raises UserError for an operator without one."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement

    @cached_property
    def spectrum(self) -> Spectrum:
        """That of the operator."""
        return spectrum_of(self.measurement.operator)

    def axis(self, x: Tensor) -> Axis:
        """In the dtype and on the device of x (B, *D). ȳ has one row, or one for each example."""
        values = self.spectrum.values.to(x)
        std: Any = self.measurement.noise.std
        return Axis(self.spectrum.to_u(self.measurement.y.to(x)) / values, std / values, values)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients along the measured directions (B, r) and the others (B, D − r)."""
        c = self.spectrum.to_v(x)
        return c[:, : self.spectrum.rank], c[:, self.spectrum.rank :]

    def joined(self, measured: Tensor, others: Tensor) -> Tensor:
        """The inverse of ``split``, (B, *D)."""
        return self.spectrum.from_v(torch.cat([measured, others], 1))

    def mended(self, x: Tensor, level2: Tensor | float) -> Tensor:
        """argmin_z ‖y − A z‖²/std² + ‖z − x‖²/level², the mean of N(x, level² I) given y; for std 0 the nearest z with
        A z = y."""
        axis, (own, others) = self.axis(x), self.split(x)
        share = level2 / (axis.noise**2 + level2)
        return self.joined(own + share * (axis.target - own), others)

    def drawn(self, x: Tensor, level2: Tensor, z: Tensor) -> Tensor:
        """A draw from N(x, level² I) given y, made of standard normal z (B, *D)."""
        axis, (own, others), (fresh, free) = self.axis(x), self.split(x), self.split(z)
        share = level2 / (axis.noise**2 + level2)
        mean = own + share * (axis.target - own)
        return self.joined(mean + share.sqrt() * axis.noise * fresh, others + level2.sqrt() * free)
