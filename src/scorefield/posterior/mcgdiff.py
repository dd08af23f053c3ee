"""Particles that are led along a noised path of the measurement, with weights in closed form and no gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser
from ..noise.gaussian import Bridge
from ..operators import Measurement, Spectrum, spectrum_of
from .twist import Kernel, Look, unguided

LEAST = 1e-3  # σ/α of a measurement without noise: a fourth of what rounding to 8 bits does to a picture


@dataclass(frozen=True, eq=False)
class MCGDiff:
    """Monte Carlo guided diffusion (Cardoso et al. 2024; FPS of Dou and Song 2024 is its kin). **Exact in the limit**
    of many particles and steps, for linear operators and Gaussian noise. One evaluation a step, forward alone.

    In the directions v_j of A's SVD, ȳ_j = y_j/s_j = x₀ + n_j ε with n_j = std/s_j is what the noised x_τ/α_τ is where
    σ_τ/α_τ = n_j. So y says: x_τ = α_τ ȳ_j on that coordinate. Above τ particles move by p(x_s | x_t) g_s(x_s),
    normalised, and weigh ∫ p g_s/g_t; the step that crosses τ passes through α_τ ȳ_j; below, they move freely. g is the
    density of ȳ_j given x_t, were x₀ of ``variance`` v around 0; ∞ is the published one.

    Needs a spectrum and Gaussian noise; n_j is taken as 0.001 at least, also where std is 0.
    """

    measurement: Measurement
    variance: float = 1.0
    spectrum: Spectrum = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spectrum", spectrum_of(self.measurement.operator))

    def look(self, denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
        """The model alone."""
        return unguided(denoiser, x, t, rows, cond)

    def potential(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel) -> Tensor:
        led, y = self._led(kernel), self._target(x, kernel.rows)
        at = led.mean(*self._coordinates(x, looks, kernel)[:2])
        gain = _log_normal(y - led.a * at, led.b + (led.a * led.fresh) ** 2)
        if not kernel.first:
            gain = gain - _log_normal(y - led.a_t * self.spectrum.to_v(x)[:, : len(led.a)].double(), led.b_t)
        return torch.where(led.active, gain, 0.0).sum(1)

    def move(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel, z: Tensor) -> tuple[Tensor, Tensor]:
        led, y = self._led(kernel), self._target(x, kernel.rows)
        x_v, belief_v, free = self._coordinates(x, looks, kernel)
        z_v = self.spectrum.to_v(z)
        there, noise = led.mean(x_v, belief_v), z_v[:, : len(led.a)].double()
        var = led.b + (led.a * led.fresh) ** 2
        pulled = there + led.fresh**2 * led.a / var * (y - led.a * there) + led.fresh * (led.b / var).sqrt() * noise
        passed = led.after.keep * led.alpha * y + led.after.aim * belief_v + led.after.fresh * noise
        measured = torch.where(led.crossing, passed, pulled)
        there = free + kernel.row.fresh * z_v
        taken = torch.where(led.active, measured.to(x), there[:, : len(led.a)])
        x_s = self.spectrum.from_v(torch.cat([taken, there[:, len(led.a) :]], 1))
        return x_s, torch.zeros(len(x), dtype=torch.float64, device=x.device)

    def last(self, x0: Tensor, rows: Tensor) -> Tensor:
        """From the density of ȳ to that of y: the Jacobian, and what of y lies outside the range of A."""
        std, operator = self.measurement.noise.std, self.measurement.operator
        y, scale = self.measurement.y.double(), self.spectrum.values.log().sum().to(x0.device)
        if not std:
            return -scale.expand(len(x0))
        across = y.flatten(1).square().sum(1) - self.spectrum.to_u(y).square().sum(1)
        others = prod(operator.measured) - self.spectrum.rank
        outside = -0.5 * across.clamp_min(0) / std**2 - others * (math.log(std) + 0.5 * math.log(2 * math.pi))
        outside = (outside - scale).to(x0.device)
        return outside.expand(len(x0)) if len(outside) == 1 else outside[rows]

    def _target(self, x: Tensor, rows: Tensor) -> Tensor:
        """ȳ (1 | B, r), float64."""
        y = self.measurement.y.to(x.device, torch.float64)
        target = self.spectrum.to_u(y) / self.spectrum.values.to(x.device)
        return target if len(target) == 1 else target[rows]

    def _coordinates(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel) -> tuple[Tensor, Tensor, Tensor]:
        """x and the belief aimed at along the measured v_j, (B, r) float64; the model's own mean along all, (B, D)."""
        aim = kernel.mixed([look.mean for look in looks])
        x_v, aim_v, r = self.spectrum.to_v(x), self.spectrum.to_v(aim), self.spectrum.rank
        belief = aim_v[:, :r].double() / sum(kernel.row.beliefs)
        return x_v[:, :r].double(), belief, kernel.row.keep * x_v + aim_v

    def _led(self, kernel: Kernel) -> Led:
        process, t, s = kernel.process, kernel.t, kernel.s
        noise = ((self.measurement.noise.std or 0.0) / self.spectrum.values).clamp_min(LEAST).cpu()
        (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
        active, crossing = noise < s_t / a_t, noise >= s_s / a_s
        tau = torch.minimum(process.time(-noise.log()), t)  # not used where not crossing
        alpha, before, after = process.schedule(tau).alpha, process.bridge(t, tau), process.bridge(tau.clamp_min(s), s)
        a, b = self._density(noise, a_s, s_s)
        a_now, b_now = self._density(noise, a_t, s_t)
        crossing = active & crossing
        usual = (kernel.row.keep, sum(kernel.row.beliefs), kernel.row.fresh)
        keep, aim, fresh = (torch.where(crossing, c, float(u)) for c, u in zip(before, usual, strict=True))
        a, b = torch.where(crossing, 1 / alpha, a), torch.where(crossing, 0.0, b)
        parts = (active, crossing, keep, aim, fresh, a, b, a_now, b_now, alpha)
        device = kernel.rows.device
        return Led(Bridge(*(c.to(device) for c in after)), *(part.to(device) for part in parts))

    def _density(self, noise: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """(a, b) of ȳ | x_t ~ N(a x_t, b) at a level above n_j."""
        level2, ratio = (sigma / alpha) ** 2, torch.ones_like(noise)
        if self.variance < math.inf:
            ratio = (self.variance + noise**2) / (self.variance + level2)
        return ratio / alpha, (ratio * (level2 - noise**2)).clamp_min(torch.finfo(torch.float64).tiny)


class Led(NamedTuple):
    """One step along the measured directions, everything (r,) float64: x' ~ N(keep x + aim x̂, fresh²) is x_s, or x_τ
    where τ is crossed, and ȳ | x' ~ N(a x', b)."""

    after: Bridge  # from τ to s
    active: Tensor  # above τ at t
    crossing: Tensor  # and not at s
    keep: Tensor
    aim: Tensor
    fresh: Tensor
    a: Tensor
    b: Tensor
    a_t: Tensor  # the same of x_t
    b_t: Tensor
    alpha: Tensor  # α_τ

    def mean(self, x: Tensor, belief: Tensor) -> Tensor:
        """keep x + aim x̂."""
        return self.keep * x + self.aim * belief


def _log_normal(residual: Tensor, var: Tensor) -> Tensor:
    return -0.5 * (residual.square() / var + var.log() + math.log(2 * math.pi))
