"""What to minimise on categories: the variational bound, with or without cross-entropy; SUNDAE's unrolled objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..registry import register
from .denoising import Look, check_dropout, forgetful, one_look
from .times import Stratified, TimeLaw, Uniform


@register("elbo", "objective")
@dataclass(frozen=True)
class Elbo:
    """The bound on −log p(x₀) a site, in nats, of which every call sees one random term; plus λ cross-entropy.

    With ``steps`` T it is D3PM's sum of divergences at t = i/T (Austin et al. 2021, eq. 1), with bridges of ``form``;
    without, its limit in continuous time: MDLM's and MD4's for masks (Sahoo et al. 2024, eq. 10; Shi et al. 2024, eq.
    4), SEDD's score entropy otherwise (Lou et al. 2024, eq. 10). ``times`` None draws times so that the loss varies
    little and nothing is left out; another law gives the mean over its range, the same when it samples by
    importance. ``ce`` is λ of D3PM's hybrid loss (eq. 5); with ``adaptive`` it is λ (2 − t), VQ-Diffusion's weight,
    which looks harder where little is destroyed (Gu et al. 2022, code). ``label_dropout`` as in ``Denoising``.
    Raises UserError for steps < 1 or λ < 0, and when the process cannot say what is asked.
    """

    steps: int | None = None
    times: TimeLaw | None = None
    ce: float = 0.0
    form: str = "mixture"
    label_dropout: float = 0.1
    adaptive: bool = False

    def __post_init__(self) -> None:
        check_dropout(self.label_dropout)
        if self.steps is not None and self.steps < 1:
            raise UserError(f"steps must be at least 1, got {self.steps}; leave steps out for continuous time.")
        if self.ce < 0:
            raise UserError(f"ce, the weight of the cross-entropy, must be at least 0, got {self.ce}.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example in nats a site: x0 int64 (B, *D) → (B,)."""
        return one_look(self, denoiser, x0, rng, cond)

    def look(self, process: Any, x0: Tensor, rng: Rng) -> Look:
        """Where the belief is asked for, and the factor that makes the mean over draws the mean over uniform times."""
        need(process, self, *(("kl_rate", "sight") if self.steps is None else ("kl",)))
        like_times = torch.empty(len(x0), dtype=torch.float64)
        if self.times is None and self.steps is None:
            (u,) = rng.over_batch(_strata, like_times)
            return Look(*process.sight(x0, u, rng))
        law = self.times or Stratified(Uniform(1e-9))
        t, correction = rng.over_batch(lambda u: law(u, process), like_times)
        if self.steps is not None:  # the step that the time falls in: its share of the law is that of its times
            t = (t * self.steps).ceil().clamp(1, self.steps) / self.steps
        return Look(process.corrupt(x0, t, rng), t, correction)

    def judged(self, process: Any, look: Look, x0: Tensor, belief: Any) -> Tensor:
        """The loss of each belief about x0 at ``look`` in nats a site, (B,)."""
        if self.steps is None:
            nats = process.kl_rate(look.x, x0, belief, look.t)
        else:
            nats = self.steps * process.kl(look.x, x0, belief, look.t, look.t - 1 / self.steps, self.form)
        if self.ce:
            share = 2 - look.t if self.adaptive else torch.ones_like(look.t)
            nats = nats + self.ce * share.to(nats) * belief.error(x0)
        return look.correction.to(nats) * nats / math.prod(x0.shape[1:])


@register("unrolled", "objective")
@dataclass(frozen=True)
class Unrolled:
    """SUNDAE (Savinov et al. 2022, eq. 4): the mean cross-entropy of ``unroll`` guesses, the first from x_t, each next
    one from a sample of the guess before, through which no gradient flows.

    The model so learns to correct what it writes itself. One time, hence one rate of corruption, a sequence. Meant for
    uniform noise and a network without time (``Categorical(timed=False)``); there is no bound behind it.
    Raises UserError for unroll < 1.
    """

    unroll: int = 2
    temperature: float = 1.0
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_dropout(self.label_dropout)
        if self.unroll < 1:
            raise UserError(f"unroll must be at least 1, got {self.unroll}.")
        if not self.temperature > 0:
            raise UserError(f"temperature must be greater than 0, got {self.temperature}.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example in nats a site: x0 int64 (B, *D) → (B,)."""
        (t,) = rng.over_batch(_strata, torch.empty(len(x0), dtype=torch.float64))
        cond = forgetful(cond, self.label_dropout, rng)
        x, losses = denoiser.process.corrupt(x0, t, rng), []
        for k in range(self.unroll):
            belief = denoiser(x, t, **cond)
            losses.append(belief.error(x0))
            if k + 1 < self.unroll:
                x = rng.categorical(belief.logits.detach() / self.temperature)
        return torch.stack(losses).mean(0) / math.prod(x0.shape[1:])


def _strata(u: Tensor) -> tuple[Tensor]:
    """One uniform number in each of B equal slices."""
    return ((torch.arange(len(u), dtype=u.dtype) + u) / len(u),)
