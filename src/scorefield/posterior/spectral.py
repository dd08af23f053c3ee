"""Steps along the singular directions of A: DDNM, DDRM and SNIPS treat each by how well it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..operators import Measurement
from .requirements import require
from .rotated import Rotated

SPECTRAL = ("spectrum", "gaussian noise")


@dataclass(frozen=True, eq=False)
class _Spectral:
    """What the three share: a measurement with a spectrum, and nothing that depends on the times alone."""

    measurement: Measurement

    tabulates = False

    @cached_property
    def _rotated(self) -> Rotated:
        return Rotated(self.measurement)


@dataclass(frozen=True, eq=False)
class DDNM(_Spectral):
    """The null-space model (Wang et al. 2023): x̂ takes its measured part from y, x̂_y = x̂ + λ A⁺(y − A x̂), and the
    step goes to α x̂_y + σ (√(1 − η²) ε̂ + η z). **Heuristic**, made for noiseless y.

    λ = 1 where the noise of a step hides that of y; else (DDNM+, their section 3.3) λ_j = η σ_s/(α_s n_j), so that what
    y brings of noise is just what the step would have drawn, and less is drawn. n_j = std/s_j. ``eta`` in [0, 1]."""

    eta: float = 0.85

    def __post_init__(self) -> None:
        require(self.measurement, self, *SPECTRAL)
        _unit("eta", self.eta)

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "scales", "schedule")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, mean = denoiser.process, denoiser(x, t).mean
        (a_t, s_t), (a_s, s_s) = process.scales(t, x), process.scales(s, x)
        axis, (own, others) = self._rotated.axis(x), self._rotated.split(mean)
        brought, room = a_s * axis.noise, self.eta * s_s
        share = torch.where(brought > room, room / brought.clamp_min(1e-30), 1.0)
        fresh, free = self._rotated.split(rng.normal(x))
        left = (room**2 - (share * brought) ** 2).clamp_min(0).sqrt()
        there = self._rotated.joined(
            a_s * (own + share * (axis.target - own)) + left * fresh, a_s * others + room * free
        )
        return there + s_s * (1 - self.eta**2) ** 0.5 * (x - a_t * mean) / s_t, None


@dataclass(frozen=True, eq=False)
class DDRM(_Spectral):
    """Denoising diffusion restoration models (Kawar et al. 2022, eq. 4–8), direction by direction, σ/α = ς:

    not measured: x̂ + √(1 − η²) ς (x − x̂)/ς_t + η ς z;  ς < n_j: x̂ + √(1 − η²) ς (ȳ_j − x̂)/n_j + η ς z;
    ς ≥ n_j: (1 − η_b) x̂ + η_b ȳ_j + √(ς² − η_b² n_j²) z.  **Heuristic**: a variational family, not the posterior.

    ``eta`` and ``eta_b`` in [0, 1]; the paper has 0.85 and 1, in 20 steps.
    """

    eta: float = 0.85
    eta_b: float = 1.0

    def __post_init__(self) -> None:
        require(self.measurement, self, *SPECTRAL)
        _unit("eta", self.eta)
        _unit("eta_b", self.eta_b)

    def init(self, process: Any, times: Tensor) -> bool:
        """Whether the state is still pure noise."""
        need(process, self, "scales", "schedule")
        return True

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: bool, rng: Rng) -> tuple[Tensor, bool]:
        process = denoiser.process
        (a_t, s_t), (a_s, s_s) = process.scales(t, x), process.scales(s, x)
        axis = self._rotated.axis(x)
        if memory:  # x_T ~ N(α ȳ, σ² − α² n²) where that is a variance
            own, others = self._rotated.split(x)
            narrow = s_t**2 - (a_t * axis.noise) ** 2
            led = a_t * axis.target + narrow.clamp_min(0).sqrt() * own / s_t
            x = self._rotated.joined(torch.where(narrow > 0, led, own), others)
        mean = denoiser(x, t).mean
        kept, eta = (1 - self.eta**2) ** 0.5, self.eta
        noisy = a_s * mean + kept * s_s * (x - a_t * mean) / s_t + eta * s_s * rng.normal(x)
        _, others = self._rotated.split(noisy)
        (own, _), (z, _) = self._rotated.split(mean), self._rotated.split(rng.normal(x))
        error = axis.noise * a_s
        faint = a_s * own + kept * s_s * (axis.target - own) / axis.noise.clamp_min(1e-30) + eta * s_s * z
        spread = (s_s**2 - (self.eta_b * error) ** 2).clamp_min(0).sqrt()
        clear = a_s * ((1 - self.eta_b) * own + self.eta_b * axis.target) + spread * z
        return self._rotated.joined(torch.where(s_s < error, faint, clear), others), False


@dataclass(frozen=True, eq=False)
class SNIPS(_Spectral):
    """Noisy inverse problems by Langevin dynamics in the singular directions (Kawar et al. 2021, algorithm 1), where
    the noise of y is a part of that of x_t, or the other way round. **Heuristic**: many ``moves`` at each of many
    levels would be exact, but what one can afford does not travel between modes.

    With ς = σ/α and steps a (variance 2a): ς > n_j, a = c (ς² − n_j²), toward ȳ_j; ς < n_j, a = c ς² (1 − ς²/n_j²),
    along the score and toward ȳ_j; not measured, a = c ς², along the score. ``size`` c in (0, 1)."""

    moves: int = 5
    size: float = 0.3

    def __post_init__(self) -> None:
        require(self.measurement, self, *SPECTRAL)
        if self.moves < 1 or not 0 < self.size < 1:
            raise UserError(f"SNIPS needs moves ≥ 1 and a size in (0, 1), got {self.moves} and {self.size}.")

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "scales", "schedule")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        alpha, sigma = denoiser.process.scales(t, x)
        axis = self._rotated.axis(x)
        n2 = (alpha * axis.noise) ** 2
        inside, share = n2 < sigma**2, (sigma**2 / n2.clamp_min(1e-30)).clamp_max(1)
        for _ in range(self.moves):
            # c σ² times the score of x_t, and the pull of y with its own divisor cancelled: nothing vanishes below
            drift, (own, _) = self.size * (alpha * denoiser(x, t).mean - x), self._rotated.split(x)
            along, others = self._rotated.split(drift)
            toward = self.size * (alpha * axis.target - own)
            measured = torch.where(inside, toward, (1 - share) * along + share * toward)
            square = torch.where(inside, sigma**2 - n2, sigma**2 * (1 - share))
            z, free = self._rotated.split(rng.normal(x))
            noise = (2 * self.size) ** 0.5
            x = x + self._rotated.joined(
                measured + noise * square.clamp_min(0).sqrt() * z, others + noise * sigma * free
            )
        if s == 0:
            return x / alpha, None
        a_s, s_s = denoiser.process.scales(s, x)
        return (a_s / alpha if alpha > 0 else s_s / sigma) * x, None


def _unit(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} must be between 0 and 1, got {value}.")
