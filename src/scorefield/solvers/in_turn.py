"""How to walk over numbers and tokens: each by a solver of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, Solver, as_time, need
from ..registry import register
from .exponential import Exponential
from .grids import Grid, Rectified
from .tokens_masked import FirstHitting


@register("in-turn", "solver")
@dataclass(frozen=True)
class InTurn:
    """The tokens by ``tokens`` while the numbers are pure noise, then the numbers by ``numbers`` with the tokens as
    they are. With first-hitting the tokens are exact for an exact belief; what is left is the error of ``numbers``.
    Raises UserError, at the start, for a process that is no ``Product`` and for parts that their solvers do not suit.
    """

    numbers: Solver = field(default_factory=lambda: Exponential(2, corrector=3, space="flow", clock="flow"))
    tokens: Solver = field(default_factory=FirstHitting)

    tabulates = False

    def init(self, process: Any, times: Tensor) -> tuple[Any, Any]:
        need(process, self, "split", "clocks")
        own = process.clocks(times)
        return (
            self.numbers.init(process.numbers, _moving(own.numbers)),
            self.tokens.init(process.tokens, _moving(own.tokens)),
        )

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: tuple[Any, Any], rng: Rng
    ) -> tuple[Tensor, tuple[Any, Any]]:
        process, (first, second) = denoiser.process, memory
        (numbers, tokens), high, low = process.split(x), process.clocks(t), process.clocks(s)
        if low.tokens < high.tokens:
            of_tokens: Any = _OfTokens(denoiser, numbers)
            tokens, second = self.tokens.step(of_tokens, tokens, high.tokens, low.tokens, second, rng)
        if process.columns and low.numbers < high.numbers:
            of_numbers: Any = _OfNumbers(denoiser, tokens)
            numbers, first = self.numbers.step(of_numbers, numbers, high.numbers, low.numbers, first, rng)
        return process.join(numbers, tokens), (first, second)


def _moving(times: Tensor) -> Tensor:
    """Times that stand still at an end, without the repetitions."""
    return torch.unique_consecutive(times)


@dataclass(frozen=True, eq=False)
class _OfNumbers:
    """The denoiser as the solver of the numbers sees it, the tokens being known."""

    whole: Any
    known: Tensor

    @property
    def process(self) -> Any:
        return self.whole.process.numbers

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        process = self.whole.process
        return self.whole(process.join(x, self.known), process.when_numbers(t), **cond).numbers


@dataclass(frozen=True, eq=False)
class _OfTokens:
    """The denoiser as the solver of the tokens sees it, the numbers being pure noise."""

    whole: Any
    noise: Tensor

    @property
    def process(self) -> Any:
        return self.whole.process.tokens

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        process = self.whole.process
        return self.whole(process.join(self.noise, x), process.when_tokens(t), **cond).tokens


@register("in-turn", "grid")
@dataclass(frozen=True)
class AfterTokens:
    """The tokens in one step, which first-hitting divides by itself, and then the numbers in the steps of ``inner``."""

    inner: Grid = field(default_factory=Rectified)

    def __call__(self, process: Any, steps: int) -> Tensor:
        if not process.columns:
            return as_time([1.0, 0.0])
        return torch.cat([as_time([1.0]), process.when_numbers(self.inner(process.numbers, steps))])
