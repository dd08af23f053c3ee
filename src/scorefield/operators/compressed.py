"""Compressed sensing: a few random combinations of everything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .dense import Matrix
from .frequencies import hartley, with_v
from .protocol import Composes, Kept, Spectrum, expect


@dataclass(frozen=True, eq=False)
class Compressed(Composes):
    """y = ``m`` rows, drawn by ``seed``, of an orthogonal transform of x with random signs: (B, *D) → (B, m), s = 1.

    Hadamard's transform where D is a power of two, else Hartley's: D log D operations, no matrix (Ailon & Chazelle
    2009). Raises UserError unless 1 ≤ m ≤ D.
    """

    event: tuple[int, ...]
    m: int
    seed: int = 0
    linear = True
    differentiable = True

    def __post_init__(self) -> None:
        if not 1 <= self.m <= prod(self.event):
            raise UserError(f"an event of {prod(self.event)} numbers has 1 to so many combinations, got {self.m}.")

    @classmethod
    def gaussian(cls, event: tuple[int, ...], m: int, seed: int = 0) -> Matrix:
        """Instead a matrix (m, D) of independent N(0, 1/D): rows of expected length 1. It takes m D numbers."""
        d = prod(event)
        return Matrix(Rng(Rng.fold(seed, d)).normal(torch.empty(m, d, dtype=torch.float64)) / d**0.5, tuple(event))

    @property
    def measured(self) -> tuple[int, ...]:
        """(m,)."""
        return (self.m,)

    @cached_property
    def _drawn(self) -> tuple[Kept, Kept, Kept]:
        """Signs (D,), the rows with the measured ones first (D,), and the way back."""
        d, rng = prod(self.event), Rng(Rng.fold(self.seed, 1))
        signs = 2.0 * rng.integers(2, torch.empty(d)).double() - 1
        order = rng.permutation(d)
        return Kept(signs), Kept(order), Kept(order.argsort())

    def _to_v(self, x: Tensor) -> Tensor:
        signs, order, _ = self._drawn
        return _flat_transform(x.flatten(1) * signs.like(x)).index_select(1, order.on(x))

    def _from_v(self, c: Tensor) -> Tensor:
        signs, _, back = self._drawn
        x = _flat_transform(c.index_select(1, back.on(c))) * signs.like(c)
        return x.unflatten(1, self.event)

    def __call__(self, x: Tensor) -> Tensor:
        return self._to_v(expect(self, self.event, x))[:, : self.m]

    def adjoint(self, y: Tensor) -> Tensor:
        expect(self, self.measured, y)
        return self._from_v(torch.cat([y, y.new_zeros(len(y), prod(self.event) - self.m)], 1))

    def spectrum(self) -> Spectrum:
        return with_v(self, torch.ones(self.m, dtype=torch.float64), self._to_v, self._from_v)


def hadamard(x: Tensor) -> Tensor:
    """Sylvester's Hadamard matrix times x along the last axis, orthonormal; its length is a power of two."""
    n = x.shape[-1]
    step = 1
    while step < n:
        pairs = x.unflatten(-1, (n // (2 * step), 2, step))
        a, b = pairs.unbind(-2)
        x = torch.stack([a + b, a - b], -2).flatten(-3)
        step *= 2
    return x / n**0.5


def _flat_transform(x: Tensor) -> Tensor:
    n = x.shape[-1]
    return hadamard(x) if n & (n - 1) == 0 else hartley(x, (-1,))
