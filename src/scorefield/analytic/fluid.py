"""A turbulent film on a torus: two-dimensional flow that is stirred by a wave, Kolmogorov's flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError


class _Waves(NamedTuple):
    """Wave numbers of the real transform, (N, 1) and (1, N/2 + 1), |k|² with 1 in place of 0, and which are kept."""

    y: Tensor
    x: Tensor
    square: Tensor
    kept: Tensor


@dataclass(frozen=True)
class Kolmogorov:
    """∂ω/∂t + u·∇ω = ν Δω − drag ω − force · wave · cos(wave · y), the vorticity of an incompressible flow on [0, 2π)²
    (Kochkov et al. 2021; Rozet and Louppe 2023, section 4.2, whose films are of Re = 1/ν = 1000 with wave 4).

    Pseudo-spectral on size × size points, the upper third of frequencies cut off (Orszag 1971), so that without
    viscosity, drag and force energy and enstrophy are conserved by the discrete equations; classical Runge-Kutta in
    time with the linear part in closed form. Raises UserError for a size that is odd or below 8, or ν < 0.
    """

    size: int = 64
    viscosity: float = 1e-2
    drag: float = 0.1
    force: float = 1.0
    wave: int = 4

    def __post_init__(self) -> None:
        if self.size < 8 or self.size % 2 or self.viscosity < 0 or not 0 < self.wave < self.size / 3:
            raise UserError(
                "a flow needs an even size ≥ 8, a viscosity ≥ 0 and a wave below size / 3, "
                f"got {self.size}, {self.viscosity:g} and {self.wave}."
            )

    @cached_property
    def _waves(self) -> _Waves:
        y = torch.fft.fftfreq(self.size, 1 / self.size, dtype=torch.float64)[:, None]
        x = torch.fft.rfftfreq(self.size, 1 / self.size, dtype=torch.float64)[None]
        square = x**2 + y**2
        kept = (x.abs() < self.size / 3) & (y.abs() < self.size / 3)
        return _Waves(y, x, torch.where(square > 0, square, 1.0), kept & (square > 0))

    def start(self, n: int, rng: Rng, peak: float = 5.0) -> Tensor:
        """Random smooth vorticity of unit root mean square, float64 (n, N, N), its waves round ``peak``."""
        waves = self._waves
        k = waves.square.sqrt()
        noise = torch.fft.rfft2(rng.normal(torch.empty(n, self.size, self.size, dtype=torch.float64)))
        smooth = torch.fft.irfft2(noise * (k * (-0.5 * (k / peak) ** 2).exp()) * waves.kept, s=(self.size, self.size))
        return smooth / smooth.square().mean((1, 2), keepdim=True).sqrt()

    def velocity(self, vorticity: Tensor) -> Tensor:
        """(B, N, N) → u (B, 2, N, N), along x and y (the last and the last but one axis): free of divergence."""
        return torch.stack(self._velocity(torch.fft.rfft2(vorticity.double())), 1).to(vorticity)

    def advance(self, vorticity: Tensor, time: float, steps: int) -> Tensor:
        """The vorticity (B, N, N) after ``time`` in so many equal steps; each should be shorter than the time in which
        the flow crosses a grid cell, 2π/(N |u|)."""
        waves, dt = self._waves, time / steps
        y = torch.arange(self.size, dtype=torch.float64)[:, None] * (2 * math.pi / self.size)
        push = torch.fft.rfft2((-self.force * self.wave * (self.wave * y).cos()).expand(self.size, self.size))
        half = (-(self.viscosity * waves.square + self.drag) * dt / 2).exp()

        def slope(w: Tensor) -> Tensor:
            u, v = self._velocity(w)
            d_x, d_y = (torch.fft.irfft2(1j * k * w, s=(self.size, self.size)) for k in (waves.x, waves.y))
            return (push - torch.fft.rfft2(u * d_x + v * d_y)) * waves.kept

        w = torch.fft.rfft2(vorticity.double()) * waves.kept
        for _ in range(steps):  # in the frame in which viscosity and drag stand still
            k1 = slope(w)
            k2 = slope(half * (w + dt / 2 * k1))
            k3 = slope(half * w + dt / 2 * k2)
            k4 = slope(half**2 * w + dt * half * k3)
            w = half**2 * w + dt / 6 * (half**2 * k1 + 2 * half * (k2 + k3) + k4)
        return torch.fft.irfft2(w, s=(self.size, self.size)).to(vorticity)

    def films(
        self, n: int, frames: int, rng: Rng, every: float = 0.2, warm: float = 10.0, step: float = 0.02
    ) -> Tensor:
        """Velocities of n flows, float64 (n, frames, 2, N, N), ``every`` so much time after ``warm`` has passed, in
        steps of about ``step``."""
        w = self.advance(self.start(n, rng), warm, max(1, round(warm / step)))
        film = [self.velocity(w)]
        for _ in range(frames - 1):
            w = self.advance(w, every, max(1, round(every / step)))
            film.append(self.velocity(w))
        return torch.stack(film, 1)

    def _velocity(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """u = ∂ψ/∂y, v = −∂ψ/∂x with Δψ = −ω, from the transform of ω."""
        waves = self._waves
        stream = w / waves.square * waves.kept
        u, v = (torch.fft.irfft2(1j * k * stream, s=(self.size, self.size)) for k in (waves.y, -waves.x))
        return u, v
