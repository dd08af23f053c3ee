"""Operators that act along each axis in turn: smaller pictures, grey pictures, any Kronecker product of matrices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError, suggest
from .protocol import Composes, Kept, Spectrum, expect

LUMA = (0.299, 0.587, 0.114)  # red, green, blue in ITU-R BT.601: what Pillow's "L" is


@dataclass(frozen=True, eq=False)
class _Axes(Composes, ABC):
    """y = x multiplied along axis i by ``factors[i]`` (m_i, n_i) float64, or left alone where that is None. Its SVD is
    the Kronecker product of theirs, so no large matrix is ever made."""

    event: tuple[int, ...]
    linear = True
    differentiable = True

    @property
    @abstractmethod
    def factors(self) -> tuple[Tensor | None, ...]:
        """A matrix for each axis of the event."""

    @cached_property
    def _kept(self) -> tuple[Kept | None, ...]:
        return tuple(None if factor is None else Kept(factor.double()) for factor in self.factors)

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """(m_1, …), n_i where an axis is left alone."""
        return tuple(n if f is None else f.shape[0] for n, f in zip(self.event, self.factors, strict=True))

    def __call__(self, x: Tensor) -> Tensor:
        return _along(expect(self, self.event, x), [_cast(f, x) for f in self._kept])

    def adjoint(self, y: Tensor) -> Tensor:
        return _along(expect(self, self.measured, y), [_transposed(_cast(f, y)) for f in self._kept])

    @cached_property
    def _spectrum(self) -> Spectrum:
        U, s, V = zip(*(_svd(f, n) for f, n in zip(self.factors, self.event, strict=True)), strict=True)
        ranks = [len(part) for part in s]
        values = torch.ones((), dtype=torch.float64)
        for part in s:
            values = values[..., None] * part
        measured = torch.zeros(self.event, dtype=torch.bool)
        measured[tuple(slice(r) for r in ranks)] = True
        order = Kept(torch.cat([measured.flatten().nonzero()[:, 0], (~measured).flatten().nonzero()[:, 0]]))
        back = Kept(order.tensor.argsort())
        return Spectrum(
            values=values.flatten(),
            to_v=lambda x: _along(x, [_transposed(_cast(f, x)) for f in V]).flatten(1).index_select(1, order.on(x)),
            from_v=lambda c: _along(c.index_select(1, back.on(c)).unflatten(1, self.event), [_cast(f, c) for f in V]),
            to_u=lambda y: _along(y, [_transposed(_cast(f, y)) for f in U]).flatten(1),
            from_u=lambda c: _along(c.unflatten(1, ranks), [_cast(f, c) for f in U]),
            size=prod(self.event),
        )

    def spectrum(self) -> Spectrum:
        return self._spectrum


@dataclass(frozen=True, eq=False)
class Separable(_Axes):
    """A matrix (m_i, n_i) along each axis of the event, None for axes left alone: R x Cᵀ of each channel is
    ``Separable((1, 28, 28), (None, R, C))``. Raises UserError when sizes do not fit."""

    matrices: tuple[Tensor | None, ...]

    def __post_init__(self) -> None:
        sizes = [n if f is None else f.shape[-1] for n, f in zip(self.event, self.matrices, strict=False)]
        if len(self.matrices) != len(self.event) or sizes != list(self.event):
            raise UserError(f"matrices for axes of {sizes} do not fit an event {tuple(self.event)}: one for each axis.")

    @property
    def factors(self) -> tuple[Tensor | None, ...]:
        """As given."""
        return self.matrices


@dataclass(frozen=True, eq=False)
class Downsample(_Axes):
    """Pictures (C, H, W), signals (C, T) or vectors (D,) made smaller by ``factor`` along their places.

    ``average`` of blocks, s = 1/factor in two dimensions; ``bicubic`` with antialiasing, as Pillow does it (Keys
    1981, a = −½). Raises UserError unless the factor divides every size.
    """

    factor: int
    method: str = "average"

    def __post_init__(self) -> None:
        if self.method not in _SHRINK:
            raise UserError(f"no way to make smaller is called {self.method!r}.{suggest(self.method, _SHRINK)}")
        places = self.event[-2:] if len(self.event) > 2 else self.event[-1:]
        if self.factor < 1 or any(n % self.factor for n in places):
            raise UserError(
                f"an event {tuple(self.event)} cannot be made smaller by {self.factor}: "
                "a whole number that divides its height and width (its length) is needed."
            )

    @cached_property
    def factors(self) -> tuple[Tensor | None, ...]:
        """The same kind of matrix along each place."""
        places = 2 if len(self.event) > 2 else 1
        free = [None] * (len(self.event) - places)
        return (*free, *(_SHRINK[self.method](n, self.factor) for n in self.event[len(free) :]))


@dataclass(frozen=True, eq=False)
class Grey(_Axes):
    """Colours (3, H, W) → (1, H, W): 0.299 R + 0.587 G + 0.114 B, or other ``weights``. What is left to find is the
    colour. Raises UserError unless there are as many channels as weights."""

    weights: tuple[float, ...] = LUMA

    def __post_init__(self) -> None:
        if len(self.event) < 2 or self.event[0] != len(self.weights):
            raise UserError(
                f"grey pictures are made of {len(self.weights)} channels, but an example has shape {tuple(self.event)}."
            )

    @cached_property
    def factors(self) -> tuple[Tensor | None, ...]:
        """The weights along the channels."""
        return (torch.tensor([self.weights], dtype=torch.float64), *[None] * (len(self.event) - 1))


def _average(n: int, factor: int) -> Tensor:
    return torch.eye(n // factor, dtype=torch.float64).repeat_interleave(factor, 1) / factor


def _bicubic(n: int, factor: int) -> Tensor:
    """Row i weighs pixel j by Keys' kernel at their distance in output pixels, normalised, also at the edges."""
    out, into = (torch.arange(k, dtype=torch.float64) + 0.5 for k in (n // factor, n))
    d = (into / factor - out[:, None]).abs()
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    w = torch.where(d < 1, near, torch.where(d < 2, far, 0.0))
    return w / w.sum(1, keepdim=True)


_SHRINK: dict[str, Any] = {"average": _average, "bicubic": _bicubic}


def _svd(factor: Tensor | None, n: int) -> tuple[Kept | None, Tensor, Kept | None]:
    """(U (m, r), s (r,), V (n, n)) of one axis; None where it is left alone."""
    if factor is None:
        return None, torch.ones(n, dtype=torch.float64), None
    U, s, Vt = torch.linalg.svd(factor.double(), full_matrices=True)
    r = int((s > max(factor.shape) * torch.finfo(torch.float64).eps * s.max()).sum())
    return Kept(U[:, :r]), s[:r].cpu(), Kept(Vt.mT)


def _along(x: Tensor, factors: list[Tensor | None]) -> Tensor:
    for axis, factor in enumerate(factors, 1):
        if factor is not None:
            x = (x.movedim(axis, -1) @ factor.mT).movedim(-1, axis)
    return x


def _cast(kept: Kept | None, x: Tensor) -> Tensor | None:
    return None if kept is None else kept.like(x)


def _transposed(factor: Tensor | None) -> Tensor | None:
    return None if factor is None else factor.mT
