"""Solvers of discrete noise whose sites move on their own: tau-leaping, Tweedie's step, discrete flow.

x is int64 (B, *D), a belief is ``Logits`` (B, *D, K). Whether a site moves is decided first, by a float64 uniform
number against a probability, and what it becomes second: one race for both in float32 loses rare tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, need, quantile
from ..errors import UserError, suggest
from ..registry import register


def need_tokens(process: Any, asker: Any, *capabilities: str, masking: bool = False) -> None:
    """Raise UserError, in one sentence, where ``process`` has no tokens, no mask to take off, or lacks what ``asker``
    calls."""
    name = type(asker).__name__
    if getattr(process, "classes", None) is None:
        raise UserError(
            f"{name} walks over tokens, and {type(process).__name__} has none. Use a process of tokens such as "
            "masking(27), or a solver that suits this one: Ancestral does with any."
        )
    need(process, asker, *capabilities)
    if masking and not absorbing(process):
        raise UserError(
            f"{name} takes masks off and needs noise that only masks, as masking(27) has it. Use ancestral, "
            "tau-leaping or discrete-flow, which do with any noise on tokens."
        )


def absorbing(process: Any) -> bool:
    """Whether all that noise does is to mask: a token that is not masked is then a clean one."""
    return getattr(process, "masked", 0.0) == 1


def uniforms(x: Tensor, rng: Rng) -> Tensor:
    """Float64 uniform numbers on [0, 1), one a site of x (B, *D)."""
    return rng.uniform(torch.empty(x.shape, dtype=torch.float64, device=x.device))


def redrawn(x: Tensor, where: Tensor, log_probs: Tensor, rng: Rng) -> Tensor:
    """x (B, *D) with the sites ``where`` (B, *D) drawn from log_probs (B, *D, K), normalised or not. What is not drawn
    costs nothing."""
    u, drawn = uniforms(x, rng), x.clone()
    drawn[where] = quantile(log_probs[where], u[where])
    return drawn


def _exponential(expected: Tensor) -> Tensor:
    return -torch.expm1(-expected)


def _euler(expected: Tensor) -> Tensor:
    return expected.clamp_max(1)


def _poisson(expected: Tensor) -> Tensor:
    return torch.where(expected.isfinite(), expected * torch.exp(-expected), 0.0)


LEAPS: dict[str, Callable[[Tensor], Tensor]] = {"exponential": _exponential, "euler": _euler, "poisson": _poisson}


@register("tau-leaping", "solver")
@dataclass(frozen=True)
class TauLeaping:
    """The reverse jump rates R_t(x, y) held for a whole step: with Λ = (t − s) Σ_y R a site moves with probability
    ``rule`` (Λ), to y ∝ R (Campbell et al. 2022, algorithm 1; Lou et al. 2024, algorithm 2).

    ``rule``: exponential, 1 − e^{−Λ}, the chance of a first jump; euler, min(1, Λ), SEDD's Euler step; poisson,
    Λ e^{−Λ}, Campbell's rule for categories, which takes back what jumped more than once. The steps from t = 1 and to
    clean data, where rates have no bound, are Ancestral's. Total variation O(step). Raises UserError for another rule
    and, at the start, for a process without ``rates``.
    """

    rule: str = "exponential"

    tabulates = False

    def __post_init__(self) -> None:
        if self.rule not in LEAPS:
            raise UserError(f"no rule of tau-leaping is called {self.rule!r}.{suggest(self.rule, LEAPS)}")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self, "rates", "reverse")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, belief = denoiser.process, denoiser(x, t)
        if s == 0 or t == 1:
            return process.reverse(x, belief, t, s, rng), None
        rates = process.rates(x, belief, t)
        leap = LEAPS[self.rule]((t - s).item() * rates.sum(-1, dtype=torch.float64))
        return redrawn(x, uniforms(x, rng) < leap, rates.log(), rng), None


@register("analytic", "solver")
@dataclass(frozen=True)
class Analytic:
    """Each site from its own law at s: x_s ~ Σ_{x₀} q(x_s | x_t, x₀) p(x₀ | x_t), which is Tweedie's step of SEDD
    (Lou et al. 2024, theorem 4.2) in probabilities instead of ratios: [exp(−Δσ Q) s](y) · exp(Δσ Q)(y → x_t) is the
    same number. One site alone is drawn exactly whatever the step; several are drawn as if independent.

    ``form`` "mixture" is that, and what Ancestral draws; "product" is D3PM's p ∝ q(x_t | x_s) Σ_{x₀} q(x_s | x₀) p̃(x₀)
    (Austin et al. 2021, eq. 4), for networks trained in that parametrisation and no others: an exact belief is ruined
    by it, except under masking noise, where both are one. Raises UserError for another form and for a process without
    ``bridge``.
    """

    form: str = "mixture"

    tabulates = False

    def __post_init__(self) -> None:
        if self.form not in ("mixture", "product"):
            raise UserError(f"no form is called {self.form!r}.{suggest(self.form, ('mixture', 'product'))}")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self, "bridge")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        law = denoiser.process.bridge(x, denoiser(x, t), t, s, form=self.form)
        return rng.categorical(law.log()), None


@register("discrete-flow", "solver")
@dataclass(frozen=True)
class DiscreteFlow:
    """The flow that carries q_t to q_s in the fewest jumps, x̂₀ ~ p(x₀ | x_t) with probability (α_u − α_t)/(1 − α_t),
    x_t otherwise, then fresh noise u → s (Campbell et al. 2024, eq. 8 and appendix F; Gat et al. 2024, eq. 23).

    ``eta`` ≥ 0 is how much noise: the share e^{−η (α_s − α_t)} stays, so that α_u = min(1, α_s e^{η (α_s − α_t)}). On
    masking noise its rate is Campbell's η, and the step is ReMDM's with σ_t = 1 − α_s/α_u; with η = 0 it is
    Ancestral's. On uniform noise η = 0 is the discrete DDIM (Song et al. 2021, appendix A). Each site has the right law
    at every step, however long. Raises UserError for eta < 0 and for noise that is not α δ + (1 − α) redraw.
    """

    eta: float = 0.0

    tabulates = False

    def __post_init__(self) -> None:
        if not 0 <= self.eta < float("inf"):
            raise UserError(f"eta of the discrete flow must be at least 0 (no fresh noise), got {self.eta}.")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self, "keep", "renoise")
        if getattr(process, "redraw", None) is None:
            raise UserError(
                f"DiscreteFlow needs noise that redraws a token whatever it was, and {type(process).__name__} looks "
                "at it. Use ancestral or tau-leaping."
            )

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, belief = denoiser.process, denoiser(x, t)
        a_t, a_s = process.keep(as_time(t)), process.keep(as_time(s))
        a_u = (a_s * torch.exp(self.eta * (a_s - a_t))).clamp_max(1)
        leap = ((a_u - a_t) / (1 - a_t)).item()
        jump = uniforms(x, rng) < leap
        if absorbing(process):
            jump &= x == process.mask
        x = redrawn(x, jump, belief.log_probs, rng)
        return (process.renoise(x, process.keep.time(a_u), s, rng) if a_u > a_s else x), None
