"""Correctors of tokens: moves that leave the noised law as it is and undo what was drawn as if independent.

x is int64 (B, *D), a belief is ``Logits`` (B, *D, K).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core import Denoiser, Rng, Solver, as_time, quantile
from ..errors import UserError
from ..registry import register
from .ancestral import Ancestral
from .tokens import absorbing, need_tokens, uniforms


class Corrector(Protocol):
    """One move at a noise level that has p_t for its stationary law."""

    def needs(self) -> tuple[str, ...]:
        """What it calls of the process."""
        ...

    def move(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """(B, *D) → (B, *D), for one evaluation, at 0 < t < 1."""
        ...


@register("gibbs", "corrector")
@dataclass(frozen=True)
class Gibbs:
    """``sites`` random sites of each example are drawn again given all others: with an exact belief and one site p_t is
    stationary exactly (heat bath; Geman and Geman 1984), more at a time move faster and err.

    Masking noise: among the sites that show a token; they are masked, believed in, drawn again, so that the number of
    masks stays. Other noise: p_t(x_i = y | rest) ∝ Σ_{x₀} q(y | x₀) p(x₀ | x_t)/q(x_t | x₀). Costs one evaluation.
    Raises UserError for sites < 1.
    """

    sites: int = 1

    def __post_init__(self) -> None:
        if self.sites < 1:
            raise UserError(f"the Gibbs corrector draws at least 1 site again, got sites={self.sites}.")

    def needs(self) -> tuple[str, ...]:
        return "keep", "log_likelihood"

    def move(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Rng) -> Tensor:
        process, masks = denoiser.process, absorbing(denoiser.process)
        order, u = uniforms(x, rng), uniforms(x, rng)
        if masks:
            order = order.masked_fill(x == process.mask, 2)
        chosen = order.flatten(1).argsort(1).argsort(1).view(x.shape) < self.sites
        if masks:
            chosen &= x != process.mask
            belief = denoiser(x.masked_fill(chosen, process.mask), t)
            log_law = belief.log_probs[chosen]
        else:
            log_law = _conditional(process, x, denoiser(x, t), t)[chosen].log()
        x = x.clone()
        x[chosen] = quantile(log_law, u[chosen])
        return x


def _conditional(process: Any, x: Tensor, belief: Any, t: Tensor) -> Tensor:
    """p_t(x_i = y | rest) up to a factor, (B, *D, states) float64."""
    t, p = as_time(t), belief.probs.double()
    weight = torch.where(p > 0, p / process.log_likelihood(x, t).exp(), 0.0)
    if getattr(process, "redraw", None) is None:  # a general matrix: from every class to every state
        every = torch.arange(process.states, device=x.device)[None]
        return weight @ process.log_likelihood(every, t)[0].exp().T
    kept, lost = process.keep(t).item(), process.keep.lost(t).item()
    law = lost * process.redraw.to(p) * weight.sum(-1, keepdim=True)
    law[..., : process.classes] += kept * weight
    return law


@register("up-down", "corrector")
@dataclass(frozen=True)
class UpDown:
    """Noise is added, t → u with α_u = (1 − ``size``) α_t, and taken back by an Ancestral step u → t: q_t stays what it
    was to the order to which that step is right, for every process that can add noise. Costs one evaluation.
    Raises UserError for a size outside (0, 1).
    """

    size: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.size < 1:
            raise UserError(f"up-down adds a share of noise between 0 and 1, got size={self.size}.")

    def needs(self) -> tuple[str, ...]:
        return "keep", "renoise", "reverse"

    def move(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Rng) -> Tensor:
        process = denoiser.process
        up = process.keep.time((1 - self.size) * process.keep(as_time(t)))
        if not up > t:  # less than the clock can tell apart, or the end of a schedule that keeps more than that
            return x
        x = process.renoise(x, t, up, rng)
        return process.reverse(x, denoiser(x, up), up, t, rng)


@register("corrected", "solver")
@dataclass(frozen=True)
class Corrected:
    """Solver → solver on tokens: ``moves`` of ``corrector`` at t, then the ``predictor`` t → s (the order of Song et
    al. 2021, algorithm 1; for tokens Campbell et al. 2022, section 4.4). What the predictor drew as if independent is
    drawn again beside the rest.

    Each move costs an evaluation beside the predictor's. At t = 1 nothing needs correction and none is made. Raises
    UserError for moves < 1.
    """

    predictor: Solver = Ancestral()
    corrector: Corrector = Gibbs()
    moves: int = 1

    tabulates = False

    def __post_init__(self) -> None:
        if self.moves < 1:
            raise UserError(f"moves of the corrector must be at least 1, got {self.moves}. Use the predictor alone.")

    def init(self, process: Any, times: Tensor) -> Any:
        need_tokens(process, self, *self.corrector.needs())
        return self.predictor.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Any, rng: Rng) -> tuple[Tensor, Any]:
        for _ in range(self.moves if t < 1 else 0):
            x = self.corrector.move(denoiser, x, t, rng)
        return self.predictor.step(denoiser, x, t, s, memory, rng)
