"""The random numbers of a step belong to the examples of its batch, not to whoever computes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core import Rng, quantile

BLOCK = 8_000_000  # numbers drawn at once at most: 32 MB in float32

Draw = Callable[[Rng, int], Tensor]  # (generator, examples) ↦ a draw for that many examples


class Draws:
    """All draws of one optimiser step, made for the whole batch; a micro-batch on a process takes its rows.

    How many processes and micro-batches share a batch therefore changes nothing that is random. The batch is drawn in
    blocks of as many examples as hold ``BLOCK`` numbers, so that nobody draws much more than it uses; block k has the
    generator f(seed, step, k). Every part must ask for the same draws in the same order, as an objective does.
    """

    def __init__(self, seed: int, step: int, batch: int, event: Sequence[int], device: torch.device) -> None:
        self.seed, self.step, self.batch, self.device = seed, step, batch, device
        self.block = max(1, min(batch, BLOCK // max(1, math.prod(event))))
        self._asked: list[Draw] = []
        self._made: dict[int, tuple[Rng, list[Tensor]]] = {}
        self._laws: dict[int, tuple[Tensor, ...]] = {}

    def part(self, start: int, count: int) -> Part:
        """The generator of the examples start … start + count − 1 of the batch. Blocks before them are forgotten."""
        for k in [k for k in self._made if (k + 1) * self.block <= start]:
            del self._made[k]
        return Part(self, start, count)

    def rows(self, call: int, draw: Draw, start: int, count: int) -> Tensor:
        """Draw number ``call`` of the step, the rows of these examples."""
        if call == len(self._asked):
            self._asked.append(draw)
        parts = []
        for k in range(start // self.block, (start + count - 1) // self.block + 1):
            low = k * self.block
            parts.append(self._drawn(k, call)[max(0, start - low) : start + count - low])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def law(self, call: int, draw: Draw, of: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """``of`` draw number ``call`` of the whole batch."""
        if call not in self._laws:
            self._laws[call] = of(self.rows(call, draw, 0, self.batch))
        return self._laws[call]

    def _drawn(self, k: int, call: int) -> Tensor:
        if k not in self._made:
            self._made[k] = Rng(Rng.fold(self.seed, self.step, k, 0), self.device), []
        rng, draws = self._made[k]
        examples = min(self.block, self.batch - k * self.block)
        while len(draws) <= call:
            draws.append(self._asked[len(draws)](rng, examples))
        return draws[call]


class Part:
    """The ``Rng`` of some examples of a batch: the leading dimension of everything drawn is that of these examples."""

    def __init__(self, draws: Draws, start: int, count: int) -> None:
        self.device, self._draws, self._start, self._count, self._calls = draws.device, draws, start, count, 0

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers, shaped like ``like`` (B, …)."""
        return self._rows(Rng.normal, like)

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers on [0, 1), shaped like ``like`` (B, …)."""
        return self._rows(Rng.uniform, like)

    def integers(self, high: int, like: Tensor) -> Tensor:
        """Uniform integers in [0, high), int64, shaped like ``like`` (B, …)."""
        return self._rows(lambda rng, shape: rng.integers(high, shape), like)

    def categorical(self, log_probs: Tensor) -> Tensor:
        """Draws from log-probabilities (B, …, K), int64 (B, …), as those of ``Rng``."""
        return quantile(log_probs, self.uniform(log_probs.new_empty(log_probs.shape[:-1], dtype=torch.float64)))

    def permutation(self, n: int) -> Tensor:
        """A random order of 0 … n − 1, (n,) int64, of these examples among themselves: not the same for other parts."""
        return Rng(Rng.fold(self._draws.seed, self._draws.step, self._start, 0, 1), self.device).permutation(n)

    def over_batch(self, of: Callable[[Tensor], tuple[Tensor, ...]], like: Tensor) -> tuple[Tensor, ...]:
        """``of`` uniform numbers of the whole batch, the rows of these examples."""
        call = self._next(like)
        whole = self._draws.law(call, _shaped(Rng.uniform, like), of)
        return tuple(rows[self._start : self._start + self._count] for rows in whole)

    def _rows(self, draw: Callable[[Rng, Tensor], Tensor], like: Tensor) -> Tensor:
        return self._draws.rows(self._next(like), _shaped(draw, like), self._start, self._count)

    def _next(self, like: Tensor) -> int:
        if like.ndim == 0 or len(like) != self._count:
            raise ValueError(f"This generator draws for {self._count} examples; got a shape of {tuple(like.shape)}.")
        self._calls += 1
        return self._calls - 1


def _shaped(draw: Callable[[Rng, Tensor], Tensor], like: Tensor) -> Draw:
    """``draw`` for any number of examples shaped like those of ``like``, which is not kept."""
    one, shape = like.new_empty(()), like.shape[1:]
    return lambda rng, examples: draw(rng, one.expand(examples, *shape))
