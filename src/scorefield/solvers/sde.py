"""The predictors of Score SDE: one step of the reverse SDE, discretised in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..registry import register
from .exponential import move


class Forward(NamedTuple):
    """The coefficients of the forward SDE dx = f x dt + g dw, ready to multiply x (B, *D)."""

    f: Tensor
    g2: Tensor  # g²


def forward_sde(process: Any, t: Tensor, x: Tensor) -> Forward:
    """f = α̇/α and g² = 2σσ̇ − 2fσ², which carry N(α x₀, σ²) along (Kingma et al. 2021, eq. 9–10; α in place of theirs).

    t is () or (B,), with α_t > 0."""
    (alpha, sigma), (d_alpha, d_sigma) = process.scales(t, x), process.rates(t, x)
    f = d_alpha / alpha
    return Forward(f, 2 * sigma * (d_sigma - f * sigma))


def reverse_drift(process: Any, sde: Forward, x: Tensor, belief: Any, t: Tensor, eta: float = 1.0) -> Tensor:
    """dx/dt of the reverse family, f x − ½(1 + η²) g² ∇log p_t(x): η = 0 the probability flow, 1 the reverse SDE
    (Anderson 1982; Song et al. 2021, eq. 6 and 13). Noise of rate η g goes with it. Needs σ_t > 0."""
    return sde.f * x - 0.5 * (1 + eta**2) * sde.g2 * process.score(x, belief, t)


def bridge_step(process: Any, x: Tensor, belief: Any, t: Tensor, s: Tensor, rng: Rng, eta: float = 1.0) -> Tensor:
    """The step of the process given the mean of the belief, regular at both ends where SDEs are not: on clean data the
    belief itself, and from no signal (α_t = 0) noise around the mean of the data."""
    keep, gain, fresh = process.bridge(t, s, eta)
    return move(x, belief.mean, keep, gain, fresh, rng)


def at_an_end(process: Any, t: Tensor, s: Tensor) -> bool:
    """Whether a step t → s starts without signal or ends on clean data."""
    return bool(torch.isneginf(process.log_ratio(t)) or torch.isposinf(process.log_ratio(s)))


@register("reverse-diffusion", "solver")
@dataclass(frozen=True)
class ReverseDiffusion:
    """x_s = (2 − a) x + G² ∇log p_t(x) + G z: the step that mirrors the forward step x_t = a x_s + G z, with
    a = α_t/α_s and G² = σ_t² − a² σ_s² (Song et al. 2021, eq. 46 and algorithms 2–3), on any Gaussian process.

    Weak order 1. The step to clean data returns the belief, without noise: the authors' mean differs from it by
    (1 − α_t)(x − x̂₀), 5·10⁻⁷ on their grid. A first step from no signal (α_t = 0) is the bridge's.
    """

    tabulates = True

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "bridge", "log_ratio", "schedule", "score")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, belief = denoiser.process, denoiser(x, t)
        if at_an_end(process, t, s):
            return bridge_step(process, x, belief, t, s, rng), None
        (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
        a = a_t / a_s
        g2 = s_t**2 - (a * s_s) ** 2
        return (2 - a) * x + g2 * process.score(x, belief, t) + g2.sqrt() * rng.normal(x), None


@register("euler-maruyama", "solver")
@dataclass(frozen=True)
class EulerMaruyama:
    """x_s = x + (s − t) [f x − ½(1 + η²) g² ∇log p_t(x)] + η g √(t − s) z: Euler–Maruyama in the clock of the process
    (Song et al. 2021, appendix G), ``eta`` ≥ 0 of the noise of the reverse SDE.

    Weak order 1. The step to clean data returns the belief, and a first step from no signal (α_t = 0) is the bridge's:
    there f and the score are infinite. Raises UserError for eta < 0.
    """

    eta: float = 1.0

    tabulates = True

    def __post_init__(self) -> None:
        if not 0 <= self.eta < float("inf"):
            raise UserError(f"eta must be at least 0 (1 is the reverse SDE), got {self.eta}.")

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "bridge", "log_ratio", "rates", "scales", "score")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, belief = denoiser.process, denoiser(x, t)
        if at_an_end(process, t, s):
            return bridge_step(process, x, belief, t, s, rng, self.eta), None
        sde = forward_sde(process, t, x)
        x = x + (s - t) * reverse_drift(process, sde, x, belief, t, self.eta)
        return (x + self.eta * (sde.g2 * (t - s)).sqrt() * rng.normal(x) if self.eta else x), None
