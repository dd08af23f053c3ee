"""Diffusion on tokens: each site keeps its value with probability α_t, else it is redrawn from a fixed law.

Multinomial diffusion redraws uniformly, absorbing diffusion writes [MASK], mask-and-replace does either. One set of
formulas of cost O(K) a site serves them all; they differ in ``masked``, the share of destroyed sites that is masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ..belief import Logits
from ..core import Rng, as_time, like, quantile
from ..errors import UserError, suggest
from ..registry import register
from .compare import Sight, divergence, rate_divergence, surprise, warped
from .forms import FORMS, Form, chances, informed, mixture
from .keep import Ending, Keep, Linear


class Kernel(NamedTuple):
    """q(x_t | x_s) of a token: the chances that it stays, that it is redrawn from the law, and that it is masked."""

    stay: Tensor
    redrawn: Tensor
    masked: Tensor


@register("discrete", "process")
@dataclass(frozen=True)
class Discrete:
    """q(x_t | x₀) = α_t δ_{x₀} + (1 − α_t) redraw, site by site (D3PM: Austin et al. 2021, section 3.1).

    States are int64 (B, *D), 0 … classes − 1, and the mask (number ``classes``) where there is one. ``masked`` is the
    share of the mask in ``redraw``: 0 multinomial (Hoogeboom et al. 2021), 1 absorbing, between them mask-and-replace
    (VQ-Diffusion: Gu et al. 2022, eq. 7). A mask stays a mask until it is undone. ``law`` (classes) are the
    probabilities of redrawn tokens, uniform by default. ``keep`` gives α_t.
    Raises UserError for fewer than 2 classes, a share outside [0, 1], a law that is not one, or a schedule that does
    not end at 0 where everything destroyed is masked.
    """

    classes: int
    masked: float = 0.0
    keep: Keep = field(default_factory=Linear)
    law: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise UserError(f"a discrete process needs at least 2 classes, got {self.classes}.")
        if not 0 <= self.masked <= 1:
            raise UserError(f"masked is a share between 0 and 1, got {self.masked}.")
        if self.law is not None and (
            len(self.law) != self.classes or min(self.law) <= 0 or abs(sum(self.law) - 1) > 1e-9
        ):
            raise UserError(f"law needs {self.classes} positive probabilities that sum to 1, one for every class.")
        if self.masked == 1 and self.keep(as_time(1.0)) > 0:
            raise UserError(
                f"with masked=1 nothing may be left at t = 1, but {self.keep} ends at {self.keep(as_time(1.0)):g}: a "
                "kept token has no place in a prior of masks. Use a schedule that ends at 0, such as linear."
            )

    @property
    def mask(self) -> int | None:
        """The number of the mask, None where nothing is masked."""
        return self.classes if self.masked > 0 else None

    @property
    def states(self) -> int:
        """How many values a site can have."""
        return self.classes + (self.masked > 0)

    @property
    def redraw(self) -> Tensor:
        """The law of a destroyed site, (states,) float64."""
        tokens = (1 - self.masked) * self.token_law(torch.empty((), dtype=torch.float64))
        return torch.cat([tokens, tokens.new_full((self.states - self.classes,), self.masked)])

    def log_ratio(self, t: Tensor) -> Tensor:
        """log α/(1 − α), the log-odds that a token was kept: its negative is what networks are told of the noise."""
        t = as_time(t)
        return self.keep(t).log() - self.keep.lost(t).log()

    def time(self, log_ratio: Tensor) -> Tensor:
        """The inverse of ``log_ratio``."""
        return self.keep.time(as_time(log_ratio).sigmoid())

    def weight(self, t: Tensor) -> Tensor:
        """−α̇/(1 − α): with uniform times the cross-entropy is then the continuous-time bound of a masking process
        (Sahoo et al. 2024, eq. 10). Infinite at t = 0."""
        t = as_time(t)
        return -self.keep.slope(t) / self.keep.lost(t)

    def kernel(self, s: Tensor, t: Tensor) -> Kernel:
        """q(x_t | x_s) for s < t, in the shape of the times, float64."""
        kept, drop = self.keep(as_time(s)), self.drop(s, t)
        left = 1 - self.masked * self.keep.lost(as_time(s))  # not masked at s
        return Kernel(self.keep(as_time(t)) / kept, (1 - self.masked) * drop / (kept * left), self.masked * drop / left)

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        """x₁ ~ redraw, int64, shaped like ``like`` (B, *D)."""
        return self._destroyed(torch.zeros_like(like, dtype=torch.int64), rng, as_time(0.0), as_time(self.masked))

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x₀), int64 (B, *D)."""
        return self.renoise(x0, as_time(0.0), t, rng)

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x_s): back up from s to t > s."""
        stay, _, masked = self.kernel(s, t)
        return self._destroyed(x, rng, stay, masked)

    def reverse(self, x: Tensor, belief: Logits, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s ~ Σ_{x₀} q(x_s | x_t, x₀) belief(x₀).

        Where everything destroyed is masked, whether a site is unmasked is a draw of its own and the token a second
        one, among the unmasked sites alone.
        """
        if self.masked < 1:
            return rng.categorical(self.bridge(x, belief, t, s).log())
        fate, token = (rng.uniform(torch.empty(x.shape, dtype=torch.float64, device=x.device)) for _ in range(2))
        shown = (x == self.mask) & (fate < like(self.drop(s, t) / self.keep.lost(as_time(t)), fate))
        x = x.clone()
        x[shown] = quantile(belief.logits[shown], token[shown])
        return x

    # Capabilities: what further consumers may ask of a process that has them.

    def log_likelihood(self, x: Tensor, t: Tensor) -> Tensor:
        """log q(x_t | x₀ = k) of every site and class, (B, *D, classes) float64: what exact posteriors are made of."""
        t = as_time(t)
        p = torch.zeros(*x.shape, self.classes, dtype=torch.float64, device=x.device)
        kept = like(self.keep(t).clamp_min(1e-300), p)  # a token shown at t = 1, where masks are due: a prompt
        lost = like(self.keep.lost(t), p)
        redraw = self.redraw.to(x.device)[x][..., None]
        return (lost * redraw + kept * torch.nn.functional.one_hot(x, self.states)[..., : self.classes]).log()

    def informed(self, logits: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """logits (B, *D, classes) of what the rest says of x₀, plus what x_t (B, *D) itself says, log q(x_t | x₀) up to
        a constant. A site that must be right (no mask, where only masks replace) keeps its token."""
        return informed(self, logits, x, t)

    def bridge(self, x: Tensor, belief: Logits, t: Tensor, s: Tensor, form: str = "mixture") -> Tensor:
        """Probabilities (B, *D, states) of x_s given x_t.

        "mixture" is Σ_{x₀} q(x_s | x_t, x₀) p(x₀ | x_t), exact for the exact belief (VQ-Diffusion: Gu et al. 2022,
        eq. 11); "product" is ∝ q(x_t | x_s) Σ_{x₀} q(x_s | x₀) p(x₀) (D3PM: Austin et al. 2021, eq. 4; multinomial
        diffusion), another law unless everything destroyed is masked. Raises UserError for another form.
        """
        if form not in FORMS:
            raise UserError(f"no form of a bridge is called {form!r}.{suggest(form, FORMS)}")
        return self._undone(x, belief.probs, t, s, FORMS[form])

    def rates(self, x: Tensor, belief: Logits, t: Tensor) -> Tensor:
        """Jump rates (B, *D, states) of the reverse chain in continuous time, from x to every other state, 0 to itself:
        lim bridge/(t − s) (Campbell et al. 2022, proposition 1). Of a token they are infinite where α_t = 0."""
        return self._jumps(x, belief.probs, t)

    def _jumps(self, x: Tensor, p: Tensor, t: Tensor) -> Tensor:
        t = as_time(t)
        lost, fall = self.keep.lost(t), -self.keep.slope(t)
        law, share = self.token_law(p), like(self.share(t), p)
        shown = like(fall / lost, p) * (share * p + (1 - share) * law)
        site = x.clamp_max(self.classes - 1)[..., None]
        if self.masked == 1:
            replaced = torch.zeros_like(p)
        else:
            _, doubt = chances(self, p, site, t)
            replaced = like(fall / (self.keep(t) * lost), p) * (share * p + (1 - share) * law * doubt)
            replaced = replaced.scatter(-1, site, 0.0)
        return self._join(x, replaced, shown, as_time(0.0))

    def kl(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor, s: Tensor, form: str = "mixture") -> Tensor:
        """KL(q(x_s | x_t, x₀) ‖ bridge) in nats, summed over the event, (B,): a term of the bound in T steps."""
        if self.masked == 1:
            nats = surprise(belief.log_probs, x0).masked_fill(x < self.classes, 0)
            return (like(self.drop(s, t) / self.keep.lost(as_time(t)), nats) * nats).flatten(1).sum(1)
        truth = torch.nn.functional.one_hot(x0, self.classes).to(belief.probs.dtype)
        return divergence(self._undone(x, truth, t, s, mixture), self.bridge(x, belief, t, s, form), x)

    def kl_rate(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor) -> Tensor:
        """lim KL/(t − s) in nats per unit of time, (B,): the integrand of the bound in continuous time. Masks alone:
        −α̇/(1 − α) · cross-entropy of the masked sites (MDLM: Sahoo et al. 2024, eq. 10; MD4), else SEDD's score entropy
        (Lou et al. 2024, eq. 10) with the ratios that the belief implies."""
        if self.masked == 1:
            nats = surprise(belief.log_probs, x0).masked_fill(x < self.classes, 0)
            return (like(self.weight(t), nats) * nats).flatten(1).sum(1)
        truth = torch.nn.functional.one_hot(x0, self.classes).to(belief.probs.dtype)
        return rate_divergence(self._jumps(x, truth, t), self.rates(x, belief, t))

    def sight(self, x0: Tensor, u: Tensor, rng: Rng) -> Sight:
        """Where to look at the bound of x0 (B, *D) for uniform numbers u (B,), so that its estimate varies little.

        With masks alone, the number m of masked sites is uniform and t then the m-th smallest of a uniform number a
        site: Nie et al. (2025, eq. 6) without losing the time. Otherwise t = u², as the integrand is like 1/t with
        probability t.
        """
        if self.masked < 1:
            return warped(self, x0, u, rng)
        order = rng.uniform(torch.empty(x0.shape, dtype=torch.float64, device=x0.device)).flatten(1)
        sites = order.shape[1]
        m = (u * sites).floor().long().clamp_max(sites - 1)
        lost = order.sort(1).values.gather(1, m.to(x0.device)[:, None])
        t = self.keep.time(1 - lost[:, 0].cpu())
        return Sight(x0.masked_fill((order <= lost).view(x0.shape), self.classes), t, sites / (m + 1) / self.weight(t))

    def prior_kl(self, x0: Tensor) -> Tensor:
        """KL(q(x₁ | x₀) ‖ prior) in nats, (B,): 0 where the schedule ends at 0."""
        kept, redraw = self.keep(as_time(1.0)), self.redraw.to(x0.device)[x0]
        if kept == 0:
            return torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
        own = kept + (1 - kept) * redraw
        return (own * (own / redraw).log() + (1 - kept) * (1 - redraw) * (1 - kept).log()).flatten(1).sum(1)

    def reconstruction(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor, form: str = "mixture") -> Tensor:
        """−log p(x₀ | x_t) in nats by the bridge from t to 0, (B,): the last term of the bound."""
        if self.masked == 1:
            return self.kl(x, x0, belief, t, as_time(0.0))
        p = self.bridge(x, belief, t, torch.zeros_like(as_time(t)), form)
        return surprise(p.log(), x0).flatten(1).sum(1)

    def token_law(self, p: Tensor) -> Tensor:
        """The law of a redrawn token, (classes,)."""
        if self.law is None:
            return torch.full((self.classes,), 1 / self.classes, dtype=p.dtype, device=p.device)
        return torch.tensor(self.law, dtype=p.dtype, device=p.device)

    def drop(self, s: Tensor, t: Tensor) -> Tensor:
        """α_s − α_t."""
        return self.keep.lost(as_time(t)) - self.keep.lost(as_time(s))

    def share(self, t: Tensor) -> Tensor:
        """The share of the kept among what is not masked."""
        if self.masked == 1:
            return torch.ones_like(t)  # also where nothing is left
        return self.keep(t) / (1 - self.masked * self.keep.lost(t))

    def _destroyed(self, x: Tensor, rng: Rng, stay: Tensor, masked: Tensor) -> Tensor:
        """x with every token kept, masked or redrawn; masks stay."""
        fate = rng.uniform(torch.empty(x.shape, dtype=torch.float64, device=x.device))
        kept, hidden = fate < like(stay, fate), fate >= 1 - like(masked, fate)
        if self.masked < 1:
            fresh = rng.integers(self.classes, x)
            if self.law is not None:
                fresh = rng.categorical(self.token_law(fate).log().expand(*x.shape, -1))
            x = torch.where(kept if self.mask is None else kept | (x == self.mask), x, fresh)
        return x if self.mask is None else x.masked_fill(hidden, self.mask)

    def _undone(self, x: Tensor, p: Tensor, t: Tensor, s: Tensor, form: Form) -> Tensor:
        t, s = as_time(t), as_time(s)
        site = x.clamp_max(self.classes - 1)[..., None]
        share = like(self.share(s), p)
        shown = like(self.drop(s, t) / self.keep.lost(t), p) * (share * p + (1 - share) * self.token_law(p))
        kept = torch.zeros_like(p).scatter(-1, site, 1.0) if self.masked == 1 else form(self, p, site, t, s)
        return self._join(x, kept, shown, self.keep.lost(s) / self.keep.lost(t))

    def _join(self, x: Tensor, token: Tensor, shown: Tensor, hidden: Tensor) -> Tensor:
        """(B, *D, states): ``token`` (B, *D, classes) where x is one; where x is the mask, ``shown`` and ``hidden``."""
        if self.mask is None:
            return token
        masked = (x == self.mask)[..., None]
        return torch.cat([torch.where(masked, shown, token), masked * like(hidden, token).to(token.dtype)], -1)


def uniform(classes: int, keep: Keep | None = None, law: Sequence[float] | None = None) -> Discrete:
    """Multinomial diffusion: a destroyed token is redrawn among all (Hoogeboom et al. 2021)."""
    return Discrete(classes, 0.0, keep or Linear(), law)


def masking(classes: int, keep: Keep | None = None) -> Discrete:
    """Absorbing diffusion: a destroyed token is the mask, number ``classes`` (Austin et al. 2021; MDLM, MD4)."""
    return Discrete(classes, 1.0, keep or Linear())


def mask_and_replace(classes: int, masked: float = 0.9, replaced: float = 0.1, keep: Keep | None = None) -> Discrete:
    """VQ-Diffusion's noise (Gu et al. 2022, section 4.1) by its final masses: at t = 1 a token is masked with
    probability ``masked`` (γ̄_T of the paper), redrawn with ``replaced`` (K β̄_T), else kept. The paper says 0.9 and 0.1;
    its code has 1 and 0. Raises UserError for masses that are negative, both 0, or above 1 in sum."""
    total = masked + replaced
    if masked < 0 or replaced < 0 or not 0 < total <= 1 + 1e-12:
        raise UserError(f"masked and replaced are masses ≥ 0 with a sum in (0, 1], got {masked} and {replaced}.")
    base = keep or Linear()
    return Discrete(classes, masked / total, base if total > 1 - 1e-12 else Ending(base, 1 - total))


def binomial(keep: Keep | None = None) -> Discrete:
    """Bits that are flipped (Sohl-Dickstein et al. 2015, section 2.4.1): two classes, each redrawn with probability
    1 − α_t. The default is the paper's β = 1/(T − t + 1)."""
    return uniform(2, keep)
