"""Diffusion on categories that are related: any reversible jumps, at any monotone schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..belief import Logits
from ..core import Rng, as_time, like
from ..errors import UserError, suggest
from ..registry import register
from .compare import Sight, divergence, rate_divergence, surprise, warped
from .jumps import Jumps, Spectrum
from .keep import Keep, Linear
from .unmasked import Unmasked

POSSIBLE = 1e-12  # q(x_t | x₀) below this is rounding of the spectrum: such an x₀ is ruled out
FORMS = ("mixture", "product")


@register("markov", "process")
@dataclass(frozen=True)
class Markov(Unmasked):
    """q(x_t | x_s) = exp(G log(α_s/α_t)) with the generator G of ``jumps``, site by site (D3PM: Austin et al. 2021,
    appendix A.2, in continuous time as Campbell et al. 2022, eq. 15).

    States are int64 (B, *D), 0 … K − 1. G is scaled so that of its slowest pattern the share α_t is left; equal rates
    between all categories make this the multinomial process. A site costs O(K²), in float64; a class that could not
    have become x_t (q < 1e-12) is ruled out.
    """

    jumps: Jumps
    keep: Keep = field(default_factory=Linear)

    @property
    def classes(self) -> int:
        """K."""
        return self.jumps.classes

    def log_ratio(self, t: Tensor) -> Tensor:
        """log α/(1 − α), as that of ``Discrete``."""
        t = as_time(t)
        return self.keep(t).log() - self.keep.lost(t).log()

    def time(self, log_ratio: Tensor) -> Tensor:
        """The inverse of ``log_ratio``."""
        return self.keep.time(as_time(log_ratio).sigmoid())

    def weight(self, t: Tensor) -> Tensor:
        """−α̇/(1 − α), infinite at t = 0."""
        t = as_time(t)
        return -self.keep.slope(t) / self.keep.lost(t)

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        """x₁ from the stationary law, int64, shaped like ``like`` (B, *D)."""
        return rng.categorical(self._stationary(like.device).log().expand(*like.shape, -1))

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x₀), int64 (B, *D)."""
        return self.renoise(x0, as_time(0.0), t, rng)

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x_s): back up from s to t > s."""
        spectrum = self._spectrum(x.device)
        row = (spectrum.right[x] * self._kept(s, t, x)) @ spectrum.left
        return rng.categorical(row.clamp_min(0).log())

    def reverse(self, x: Tensor, belief: Logits, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s ~ Σ_{x₀} q(x_s | x_t, x₀) belief(x₀)."""
        return rng.categorical(self.bridge(x, belief, t, s).log())

    # Capabilities: what further consumers may ask of a process that has them.

    def log_likelihood(self, x: Tensor, t: Tensor) -> Tensor:
        """log q(x_t | x₀ = k) of every site and class, (B, *D, K) float64."""
        return self._column(x, as_time(0.0), t).log()

    def informed(self, logits: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """logits (B, *D, K) + log q(x_t | x₀), which is no less than log 1e-12: as that of ``Discrete``."""
        return logits + self._column(x, as_time(0.0), t).clamp_min(POSSIBLE).log().to(logits.dtype)

    def bridge(self, x: Tensor, belief: Logits, t: Tensor, s: Tensor, form: str = "mixture") -> Tensor:
        """Probabilities (B, *D, K) of x_s given x_t, float64, in the forms of ``Discrete.bridge``."""
        if form not in FORMS:
            raise UserError(f"no form of a bridge is called {form!r}.{suggest(form, FORMS)}")
        weights = belief.probs.double()
        if form == "mixture":
            weights = self._weights(x, weights, t)
        law = self._column(x, s, t) * self._pushed(weights, s, x)
        total = law.sum(-1, keepdim=True)
        lost = self._column(x, s, t) * self._stationary(x.device)  # a belief in nothing that is possible
        return torch.where(total > 0, law, lost) / torch.where(total > 0, total, lost.sum(-1, keepdim=True))

    def rates(self, x: Tensor, belief: Logits, t: Tensor) -> Tensor:
        """Jump rates (B, *D, K), float64, of the reverse chain from x to the others; infinite where α_t = 0."""
        t = as_time(t)
        weights = self._weights(x, belief.probs.double(), t)
        into = self._spectrum(x.device).generator.mT[x]  # G[y, x] for every y
        pace = like(-self.keep.slope(t) / self.keep(t), into)
        return (pace * into * self._pushed(weights, t, x)).clamp_min(0).scatter(-1, x[..., None], 0.0)

    def kl(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor, s: Tensor, form: str = "mixture") -> Tensor:
        """KL(q(x_s | x_t, x₀) ‖ bridge) in nats, summed over the event, (B,)."""
        return divergence(self.bridge(x, self._known(x0), t, s), self.bridge(x, belief, t, s, form), x)

    def kl_rate(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor) -> Tensor:
        """lim KL/(t − s) in nats per unit of time, (B,): the integrand of the bound in continuous time."""
        return rate_divergence(self.rates(x, self._known(x0), t), self.rates(x, belief, t))

    def sight(self, x0: Tensor, u: Tensor, rng: Rng) -> Sight:
        """Where to look at the bound of x0 (B, *D) for uniform numbers u (B,)."""
        return warped(self, x0, u, rng)

    def prior_kl(self, x0: Tensor) -> Tensor:
        """KL(q(x₁ | x₀) ‖ stationary law) in nats, (B,): 0 where the schedule ends at 0."""
        spectrum = self._spectrum(x0.device)
        end = ((spectrum.right[x0] * self._kept(as_time(0.0), as_time(1.0), x0)) @ spectrum.left).clamp_min(0)
        return (torch.special.xlogy(end, end / self._stationary(x0.device))).sum(-1).flatten(1).sum(1).clamp_min(0)

    def reconstruction(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor, form: str = "mixture") -> Tensor:
        """−log p(x₀ | x_t) in nats by the bridge from t to 0, (B,)."""
        return surprise(self.bridge(x, belief, t, as_time(0.0), form).log(), x0).flatten(1).sum(1)

    def _spectrum(self, device: torch.device) -> Spectrum:
        return Spectrum(*(part.to(device) for part in self.jumps.spectrum))

    def _stationary(self, device: torch.device) -> Tensor:
        spectrum = self.jumps.spectrum
        return (spectrum.right[0, 0] * spectrum.left[0]).to(device)

    def _kept(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(α_t/α_s)^rate of every pattern, (K,) or (B, 1 …, K)."""
        share = self.keep(as_time(t)) / self.keep(as_time(s))
        kept = share[..., None] ** self.jumps.spectrum.rates
        return (kept.reshape(-1, *[1] * (x.ndim - 1), kept.shape[-1]) if share.ndim else kept).to(x.device)

    def _column(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """q(x_t | x_s = k) for every k, (B, *D, K)."""
        spectrum = self._spectrum(x.device)
        return ((spectrum.left.mT[x] * self._kept(s, t, x)) @ spectrum.right.mT).clamp_min(0)

    def _pushed(self, weights: Tensor, s: Tensor, x: Tensor) -> Tensor:
        """Σ_{x₀} w(x₀) q(x_s = k | x₀) for every k, (B, *D, K); w itself at s = 0, without rounding."""
        s, spectrum = as_time(s), self._spectrum(x.device)
        moved = (((weights @ spectrum.right) * self._kept(as_time(0.0), s, x)) @ spectrum.left).clamp_min(0)
        return torch.where(like(self.keep.lost(s), weights).to(x.device) == 0, weights, moved)

    def _weights(self, x: Tensor, p: Tensor, t: Tensor) -> Tensor:
        """p(x₀)/q(x_t | x₀) where x₀ is possible."""
        chance = self._column(x, as_time(0.0), t)
        return torch.where(chance > POSSIBLE, p / chance.clamp_min(POSSIBLE), 0.0)

    def _known(self, x0: Tensor) -> Logits:
        return Logits(torch.nn.functional.one_hot(x0, self.classes).double().log())
