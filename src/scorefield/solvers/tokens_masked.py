"""Solvers that take masks off: at the exact random times, the surest first, or with second thoughts.

They need noise that only masks. x is int64 (B, *D) with the mask ``process.mask``, a belief ``Logits`` (B, *D, K).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, quantile
from ..errors import UserError, suggest
from ..registry import register
from .tokens import need_tokens, redrawn, uniforms


@register("first-hitting", "solver")
@dataclass(frozen=True)
class FirstHitting:
    """The sites one at a time, at the random times at which the exact reverse process takes their masks off (Zheng et
    al. 2025, algorithm 1): an exact belief gives exact samples, whatever the grid.

    A site that is masked at t is still masked at s with probability (1 − α_s)/(1 − α_t), independently of all others.
    So each has its level 1 − α drawn at once, and is unmasked when its turn comes, with the belief that knows all
    before it. The times of the grid only say where to stop and show. A site costs an evaluation (of the batch: the
    examples go through their own sites together); ``sites`` > 1 unmasks so many at once, for fewer evaluations and an
    error. Raises UserError for sites < 1 and for noise that does more than mask.
    """

    sites: int = 1

    tabulates = False

    def __post_init__(self) -> None:
        if self.sites < 1:
            raise UserError(f"first-hitting unmasks at least 1 site an evaluation, got sites={self.sites}.")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self, "keep", masking=True)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process = denoiser.process
        lost_t, lost_s = (process.keep.lost(as_time(u)).item() for u in (t, s))
        level = (lost_t * uniforms(x, rng)).masked_fill(x != process.mask, -1).flatten(1)
        token = uniforms(x, rng).flatten(1)
        level, order = level.sort(1, descending=True)
        due = level > lost_s if s > 0 else level >= 0
        when = process.keep.time(1 - level.clamp(lost_s, lost_t).cpu())  # (B, sites)
        for first in range(0, int(due.sum(1).max()), self.sites):
            part = slice(first, first + self.sites)
            belief, at = denoiser(x, when[:, first]), order[:, part]
            logits = belief.logits.flatten(1, -2).gather(1, at[..., None].expand(-1, -1, belief.logits.shape[-1]))
            drawn, flat = quantile(logits, token.gather(1, at)), x.flatten(1)
            x = flat.scatter(1, at, torch.where(due[:, part], drawn, flat.gather(1, at))).view(x.shape)
        return x, None


def _probability(log_probs: Tensor, token: Tensor) -> Tensor:
    return log_probs.gather(-1, token[..., None])[..., 0]


def _margin(log_probs: Tensor, token: Tensor) -> Tensor:
    first, second = log_probs.exp().topk(2, -1).values.unbind(-1)
    return first - second


def _entropy(log_probs: Tensor, token: Tensor) -> Tensor:
    return torch.special.xlogy(probs := log_probs.exp(), probs).sum(-1)


def _random(log_probs: Tensor, token: Tensor) -> Tensor:
    return log_probs.new_zeros(token.shape)


CONFIDENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "probability": _probability,
    "margin": _margin,
    "entropy": _entropy,
    "random": _random,
}


@register("maskgit", "solver")
@dataclass(frozen=True)
class MaskGIT:
    """A set number of masks comes off in each step, where the belief is surest (Chang et al. 2022, section 3.2): of n
    masked sites at the start ⌊n (1 − α_s)⌋ stay masked at s, one at least comes off and one stays to the end.

    ``confidence`` orders the sites by: probability, log p of the token that was drawn there (MaskGIT); margin, p of the
    likeliest token less that of the second (Kim et al. 2025); entropy, least first; random. ``noise`` ≥ 0 times s
    times a Gumbel number is added (4.5 in the authors' code; random has all of it always). One site a step with an
    exact belief is exact for every order that does not look at the token drawn; the order by probability favours
    likely tokens and is biased. The schedule of the numbers is the process's: ``Sine`` is the paper's cosine. Raises
    UserError for another confidence, noise < 0, and noise on data that does more than mask.
    """

    confidence: str = "probability"
    noise: float = 4.5

    tabulates = False

    def __post_init__(self) -> None:
        if self.confidence not in CONFIDENCES:
            raise UserError(f"no confidence is called {self.confidence!r}.{suggest(self.confidence, CONFIDENCES)}")
        if not 0 <= self.noise < float("inf"):
            raise UserError(f"noise of the order of unmasking must be at least 0 (none), got {self.noise}.")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self, "keep", masking=True)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Tensor | None, rng: Rng
    ) -> tuple[Tensor, Tensor]:
        process, log_probs = denoiser.process, denoiser(x, t).log_probs
        lost_t, lost_s = (process.keep.lost(as_time(u)).item() for u in (t, s))
        masked = x == process.mask
        count = masked.flatten(1).sum(1)
        begun = count.double() / lost_t if memory is None else memory  # (B,) sites that would be masked at t = 1
        left = (begun * lost_s + 1e-6).floor().long()
        left = torch.minimum(left, count - 1).clamp_min(1 if s > 0 else 0)
        token = rng.categorical(log_probs)
        sure = CONFIDENCES[self.confidence](log_probs, token).double()
        gumbel = -torch.log(-torch.log(uniforms(x, rng).clamp_min(1e-300)))
        sure = sure + (1.0 if self.confidence == "random" else self.noise * s.item()) * gumbel
        rank = sure.masked_fill(~masked, -torch.inf).flatten(1).argsort(1, descending=True).argsort(1)
        shown = (rank < (count - left)[:, None]).view(x.shape) & masked
        return torch.where(shown, token, x), begun


class Odds(NamedTuple):
    """How far a step may go back: α at t and at s, and the most that may be masked anew."""

    alpha_t: float
    alpha_s: float
    most: float


def _capped(eta: float, odds: Odds) -> float:
    return min(eta, odds.most)


def _rescaled(eta: float, odds: Odds) -> float:
    return eta * odds.most


def _rate(eta: float, odds: Odds) -> float:
    return min(eta * (odds.alpha_s - odds.alpha_t), odds.most)


def _unmasked(process: Any, t: Tensor, s: Tensor) -> float:
    """The probability that a mask comes off between t and s, (α_s − α_t)/(1 − α_t)."""
    lost_t, lost_s = (process.keep.lost(as_time(u)).item() for u in (t, s))
    return (lost_t - lost_s) / lost_t


REMASKS: dict[str, Callable[[float, Odds], float]] = {"cap": _capped, "rescale": _rescaled, "rate": _rate}


@register("remasking", "solver")
@dataclass(frozen=True)
class Remasking:
    """Ancestral's step with second thoughts: a token is masked again with probability σ_t, and more masks come off, so
    that q_s stays what it was (ReMDM: Wang et al. 2025, eq. 7): a mask does with (α_s − (1 − σ_t) α_t)/(1 − α_t).

    It mends a model's mistakes, which Ancestral never looks at again. An exact belief makes none, and then more sites
    that move in a step only cost: ask for many steps. ``rule`` gives σ_t, at most σ_max = min(1, (1 − α_s)/α_t): cap,
    min(η, σ_max); rescale, η σ_max; rate, η (α_s − α_t), so that more steps do not mean more masks in all. ``span``
    (low, high] are the times at which it remasks, as ReMDM-switch has it. η = 0 is Ancestral.

    With ``confident`` (ReMDM-conf, ibid., section 4.1) σ_t is what all tokens of an example share, each by
    softmax(−ψ), ψ the probability that its token had when its mask came off: at most one token an example and step is
    masked again on average, the least sure first, and masks come off as in Ancestral. Raises UserError for another
    rule, η < 0 or above 1 where it is a probability, an empty span, and noise that does more than mask.
    """

    eta: float = 0.02
    rule: str = "cap"
    span: tuple[float, float] = (0.0, 1.0)
    confident: bool = False

    tabulates = False

    def __post_init__(self) -> None:
        if self.rule not in REMASKS:
            raise UserError(f"no rule of remasking is called {self.rule!r}.{suggest(self.rule, REMASKS)}")
        most = float("inf") if self.rule == "rate" else 1.0
        if not (0 <= self.eta <= most and self.eta < float("inf")):
            bound = "at least 0" if self.rule == "rate" else "between 0 (Ancestral) and 1"
            raise UserError(f"eta of remasking by the rule {self.rule} must be {bound}, got {self.eta}.")
        if not 0 <= self.span[0] < self.span[1] <= 1:
            raise UserError(f"remasking needs a span 0 ≤ low < high ≤ 1 in t, got {self.span}.")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self, "keep", masking=True)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Tensor | None, rng: Rng
    ) -> tuple[Tensor, Tensor | None]:
        process, belief = denoiser.process, denoiser(x, t)
        again, shown = self.chances(process, t, s)
        u, masked = uniforms(x, rng), x == process.mask
        if not self.confident:
            x = redrawn(x, masked & (u < shown), belief.log_probs, rng)
            return x.masked_fill(~masked & (u < again), process.mask), None
        sure = torch.ones_like(u) if memory is None else memory  # what was given from the beginning is sure
        share = (-sure).masked_fill(masked, -torch.inf).flatten(1).softmax(1).nan_to_num(0.0).view(x.shape)
        hidden = ~masked & (u < again * share)
        off = masked & (u < _unmasked(process, t, s))
        x = redrawn(x, off, belief.log_probs, rng)
        told = _probability(belief.log_probs, x.clamp_max(process.classes - 1)).exp().to(sure)
        return x.masked_fill(hidden, process.mask), torch.where(off, told, sure)

    def chances(self, process: Any, t: Tensor, s: Tensor) -> tuple[float, float]:
        """(σ_t, the probability that a mask comes off) of the step t → s."""
        a_t, a_s = (process.keep(as_time(u)).item() for u in (t, s))
        lost_t, lost_s = (process.keep.lost(as_time(u)).item() for u in (t, s))
        on = self.span[0] < t <= self.span[1] and a_t > 0
        sigma = REMASKS[self.rule](self.eta, Odds(a_t, a_s, min(1.0, lost_s / a_t))) if on else 0.0
        return sigma, (a_s - (1 - sigma) * a_t) / lost_t
