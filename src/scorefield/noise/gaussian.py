"""Gaussian diffusion on ℝᵈ. VP, VE, sub-VP, flow, EDM and every DDPM table are this one process."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Rng, as_time, like, slope
from ..errors import UserError
from ..registry import register
from .schedules import Scales, Schedule


class Bridge(NamedTuple):
    """x_s = keep · x_t + aim · x₀ + fresh · ε, given x_t and x₀."""

    keep: Tensor
    aim: Tensor
    fresh: Tensor


@register("gaussian", "process")
@dataclass(frozen=True)
class Gaussian:
    """q(x_t | x₀) = N(α_t x₀, σ_t² I), with (α, σ) from any schedule."""

    schedule: Schedule

    def scales(self, t: Tensor, x: Tensor) -> Scales:
        """(α_t, σ_t), ready to multiply x (B, *D)."""
        return Scales(*(like(c, x) for c in self.schedule(as_time(t))))

    def rates(self, t: Tensor, x: Tensor) -> Scales:
        """(dα/dt, dσ/dt), ready to multiply x, by differentiation of the schedule."""

        def both(u: Tensor) -> Tensor:
            alpha, sigma = self.schedule(u)
            return alpha[0] + sigma[1]  # one pass backward for the two rates

        t = as_time(t)
        return Scales(*(like(rate, x) for rate in slope(both, torch.stack([t, t])).unbind()))

    def log_ratio(self, t: Tensor) -> Tensor:
        """λ = log α/σ (half the log-SNR), the clock in which the probability-flow ODE is simplest. +∞ at t = 0, and
        −∞ at t = 1 where the terminal SNR is zero."""
        alpha, sigma = self.schedule(as_time(t))
        return alpha.log() - sigma.log()

    def time(self, log_ratio: Tensor) -> Tensor:
        """The inverse of ``log_ratio``, clamped to [0, 1]."""
        return self.schedule.time(as_time(log_ratio))

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        """x₁ ~ N(0, σ₁² I), shaped like ``like`` (B, *D)."""
        return self.schedule(as_time(1.0)).sigma * rng.normal(like)

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t = α_t x₀ + σ_t ε."""
        alpha, sigma = self.scales(t, x0)
        return alpha * x0 + sigma * rng.normal(x0)

    def reverse(self, x: Tensor, belief: Moments, t: Tensor, s: Tensor, rng: Rng, eta: float = 1.0) -> Tensor:
        """x_s from x_t along ``bridge``; η = 1 draws from DDPM's Markov posterior, η = 0 is the probability-flow step.

        A belief that carries a variance widens the step by the law of total variance (Bao et al. 2022, eq. 11); at
        η = 0 the step stays deterministic.
        """
        keep, aim, fresh = (like(c, x) for c in self.bridge(as_time(t), as_time(s), eta))
        x_s = aim * belief.mean + keep * x
        if eta == 0:
            return x_s
        std = fresh if belief.var is None else (fresh**2 + aim**2 * belief.var).sqrt()
        return x_s + std * rng.normal(x)

    def weight(self, t: Tensor) -> Tensor:
        """SNR + 1: for data of unit variance every noise level then weighs the same (Salimans and Ho 2022)."""
        return self.schedule(as_time(t)).snr + 1

    # Capabilities: what further consumers may ask of a process that has them.

    def bridge(self, t: Tensor, s: Tensor, eta: Tensor | float = 1.0) -> Bridge:
        """DDIM's family q_η(x_s | x_t, x₀) (Song et al. 2021a, eq. 7 and 12) for any (α, σ); () or (B,), float64.

        η = 1 is the Markov posterior of DDPM, η = 0 deterministic; larger η, up to all of σ_s fresh, is defined too.
        Regular at both ends: α_t = 0 and σ_s = 0 need no special case.
        """
        (a_t, s_t), (a_s, s_s) = self.schedule(t), self.schedule(s)
        fresh = eta**2 * s_s**2 * (1 - (a_t * s_s / (a_s * s_t)) ** 2).clamp_min(0)
        keep = (s_s**2 - fresh).clamp_min(0).sqrt() / s_t
        return Bridge(keep, a_s - a_t * keep, fresh.sqrt())

    def velocity(self, x: Tensor, belief: Moments, t: Tensor) -> Tensor:
        """dx/dt of the probability-flow ODE, α̇ x̂₀ + σ̇ (x − α x̂₀)/σ (Song et al. 2021, eq. 13). Needs σ_t > 0."""
        (alpha, sigma), (d_alpha, d_sigma) = self.scales(t, x), self.rates(t, x)
        return d_alpha * belief.mean + d_sigma / sigma * (x - alpha * belief.mean)

    def score(self, x: Tensor, belief: Moments, t: Tensor) -> Tensor:
        """∇ log p_t(x) = (α x̂₀ − x)/σ² (Tweedie; Efron 2011). Needs σ_t > 0."""
        alpha, sigma = self.scales(t, x)
        return (alpha * belief.mean - x) / sigma**2

    def tilt(self, x: Tensor, belief: Moments, grad: Tensor, t: Tensor) -> Moments:
        """The belief after p(x_t) was multiplied by a likelihood with log-gradient ``grad`` (B, *D) at x_t (Tweedie).
        Needs α_t > 0."""
        alpha, sigma = self.scales(t, x)
        return belief.with_mean(belief.mean + sigma**2 / alpha * grad)

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x_s): back up from s to t > s."""
        (a_s, s_s), (a_t, s_t) = self.scales(s, x), self.scales(t, x)
        ratio = a_t / a_s
        return ratio * x + (s_t**2 - (ratio * s_s) ** 2).clamp_min(0).sqrt() * rng.normal(x)

    def step_kl(self, x: Tensor, x0: Tensor, belief: Moments, t: Tensor, s: Tensor, form: str = "belief") -> Tensor:
        """KL(q(x_s | x_t, x₀) ‖ p(x_s | x_t)) in nats (B,), p the ancestral step of ``belief`` with the variance that
        ``form`` names: small (β̃), large (β; Ho et al. 2020, eq. 7), or belief (the law of total variance, which is
        what beliefs with an exact variance make least). Needs σ_s > 0."""
        _, aim, fresh = (like(c, x) for c in self.bridge(as_time(t), as_time(s)))
        var = STEP_VARIANCES[form](self, belief, as_time(t), as_time(s), x)
        ratio = fresh.square() / var
        nats = 0.5 * (ratio - 1 - ratio.log() + (aim * (x0 - belief.mean)).square() / var)
        return nats.expand_as(x).flatten(1).sum(1)

    def log_prior(self, x: Tensor) -> Tensor:
        """log p₁(x) in nats, (B, *D) → (B,)."""
        sigma = self.schedule(as_time(1.0)).sigma
        return (-0.5 * (x / sigma) ** 2 - sigma.log() - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def _small(process: Gaussian, belief: Moments, t: Tensor, s: Tensor, x: Tensor) -> Tensor:
    return like(process.bridge(t, s).fresh.square(), x)


def _large(process: Gaussian, belief: Moments, t: Tensor, s: Tensor, x: Tensor) -> Tensor:
    (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
    return like(s_t**2 - (a_t / a_s * s_s) ** 2, x)


def _total(process: Gaussian, belief: Moments, t: Tensor, s: Tensor, x: Tensor) -> Tensor:
    if belief.var is None:
        raise UserError("variance 'belief' needs beliefs with a variance: AnalyticVariance gives them to any denoiser.")
    _, aim, fresh = (like(c, x) for c in process.bridge(t, s))
    return fresh.square() + aim.square() * belief.var


STEP_VARIANCES: dict[str, Callable[[Gaussian, Moments, Tensor, Tensor, Tensor], Tensor]] = {
    "small": _small,
    "large": _large,
    "belief": _total,
}
