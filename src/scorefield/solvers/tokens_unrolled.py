"""SUNDAE's sampler, and a solver → solver that asks a network without a clock only where something changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, Solver
from ..errors import UserError, suggest
from ..registry import register
from .ancestral import Ancestral
from .tokens import need_tokens, uniforms

CHOICES = ("random", "unsure")


@register("sundae", "solver")
@dataclass(frozen=True)
class Sundae:
    """x̂ ~ p(x₀ | x) replaces x at a ``share`` of the positions, over and over, until an example repeats itself
    (Savinov et al. 2022, section 2.3): unrolled denoising, without a noise level.

    ``choice`` of the positions: random, each with probability ``share``; unsure, the ⌈share · L⌉ whose x̂ is least
    probable. ``greedy`` takes the likeliest token instead of a draw; put ``Temperature`` around the denoiser for the
    sharpness between. An example is fixed, and stays as it is, once x̂ = x everywhere; when all are, nothing is
    evaluated any more. The times only count the steps. The fixed law is *not* that of the data, not even with an exact
    belief. A share of 1 updates all at once and oscillates. Raises UserError for a share outside (0, 1] and another
    choice.
    """

    share: float = 0.3
    choice: str = "random"
    greedy: bool = False

    tabulates = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"share of the positions that are updated must be above 0 and at most 1, got {self.share}.")
        if self.choice not in CHOICES:
            raise UserError(f"no choice of positions is called {self.choice!r}.{suggest(self.choice, CHOICES)}")

    def init(self, process: Any, times: Tensor) -> None:
        need_tokens(process, self)
        if process.mask is not None:
            raise UserError("Sundae starts from random tokens and knows no mask. Use uniform noise, or MaskGIT.")

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Tensor | None, rng: Rng
    ) -> tuple[Tensor, Tensor]:
        if memory is not None and bool(memory.all()):
            return x, memory
        log_probs = denoiser(x, t).log_probs
        token = log_probs.argmax(-1) if self.greedy else rng.categorical(log_probs)
        same = (token == x).flatten(1).all(1)
        fixed = same if memory is None else memory | same
        update = self._chosen(log_probs, token, rng)
        return torch.where(update & ~fixed.reshape(-1, *[1] * (x.ndim - 1)), token, x), fixed

    def _chosen(self, log_probs: Tensor, token: Tensor, rng: Rng) -> Tensor:
        if self.choice == "random":
            return uniforms(token, rng) < self.share
        sure = log_probs.gather(-1, token[..., None])[..., 0].flatten(1)
        least = -int(-self.share * sure.shape[1] // 1)
        return (sure.argsort(1).argsort(1) < least).view(token.shape)


class Seen(NamedTuple):
    """What was last asked of the denoiser, what it answered, and the memory of the solver inside."""

    inner: Any
    x: Tensor | None = None
    belief: Any = None


@dataclass
class _Remembering:
    """A denoiser that answers from memory while x is what it was."""

    denoiser: Denoiser
    x: Tensor | None
    belief: Any = field(repr=False)

    @property
    def process(self) -> Any:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        if self.x is None or not torch.equal(x, self.x):
            self.x, self.belief = x, self.denoiser(x, t, **cond)
        return self.belief


@register("cached", "solver")
@dataclass(frozen=True)
class Cached:
    """Solver → solver that asks again only where a token of the batch changed (Sahoo et al. 2024, section 3.2.1): of T
    steps over L masked sites at most L then cost an evaluation, for one example.

    Right for networks that take no notice of the noise level, as they may under masking noise, where the exact belief
    does not depend on it. Others are then told the level of an earlier step.
    """

    inner: Solver = Ancestral()

    tabulates = False

    def init(self, process: Any, times: Tensor) -> Seen:
        need_tokens(process, self, masking=True)
        return Seen(self.inner.init(process, times))

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Seen, rng: Rng) -> tuple[Tensor, Seen]:
        asked = _Remembering(denoiser, memory.x, memory.belief)
        x, inner = self.inner.step(asked, x, t, s, memory.inner, rng)
        return x, Seen(inner, asked.x, asked.belief)
