"""A part of every example is known: inpainting, outpainting, imputation, forecasting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .protocol import Composes, Kept, Spectrum, expect

SIDES = {"left": (-1, False), "right": (-1, True), "top": (-2, False), "bottom": (-2, True)}  # axis, its second part


@dataclass(frozen=True, eq=False)
class Mask(Composes):
    """y = the known entries of x, as a vector (M,) in their order. ``where`` bool (*D) is **True where x is known**; in
    a brush picture **white is what is to be painted**, and every constructor is told what is hidden.

    ``adjoint`` puts the entries back, with zeros for the hidden ones. Singular values: all 1. Raises UserError unless
    ``where`` is a bool tensor that knows something.
    """

    where: Tensor
    linear = True
    differentiable = True

    def __post_init__(self) -> None:
        if self.where.dtype != torch.bool or not self.where.ndim:
            raise UserError(f"a mask needs a bool tensor of the event's shape, got {self.where.dtype}.")
        if not self.where.any():
            raise UserError("this mask hides everything, so there is nothing to condition on.")

    @classmethod
    def box(cls, event: tuple[int, ...], top: int, left: int, height: int, width: int) -> Mask:
        """Hide a box of an image (C, H, W), in pixels. Raises UserError for a box that does not lie in it."""
        inside = top >= 0 and left >= 0 and height > 0 and width > 0
        if len(event) != 3 or not inside or top + height > event[1] or left + width > event[2]:
            raise UserError(f"a box {height}x{width} at ({top}, {left}) does not lie in an event {tuple(event)}.")
        where = torch.ones(event, dtype=torch.bool)
        where[:, top : top + height, left : left + width] = False
        return cls(where)

    @classmethod
    def half(cls, event: tuple[int, ...], side: str = "right") -> Mask:
        """Hide one half: left, right, top or bottom (signals and vectors: left or right)."""
        if side not in SIDES or -SIDES[side][0] > len(event):
            raise UserError(f"half of an event {tuple(event)} is left, right, top or bottom, got {side!r}.")
        axis, second = SIDES[side]
        where = torch.ones(event, dtype=torch.bool)
        n = event[axis]
        where.narrow(axis, n // 2 if second else 0, n - n // 2 if second else n // 2).fill_(False)
        return cls(where)

    @classmethod
    def random(cls, event: tuple[int, ...], hidden: float, seed: int = 0) -> Mask:
        """Hide a share of the pixels (of all channels together), drawn by ``seed``: 0 < hidden < 1."""
        if not 0 < hidden < 1:
            raise UserError(f"the hidden share of a random mask lies between 0 and 1, got {hidden:g}.")
        places = event[1:] if len(event) > 1 else event
        n = prod(places)
        where = torch.ones(n, dtype=torch.bool)
        where[Rng(seed).permutation(n)[: min(n - 1, round(hidden * n))]] = False
        return cls(where.view(places).expand(event).clone())

    @classmethod
    def brush(cls, event: tuple[int, ...], picture: Any) -> Mask:
        """From a picture (a path or a PIL image) painted over one of shape (C, H, W): **white is to be painted**, black
        stays. Grey from 50 % on counts as white; a transparent background is black. Raises UserError for another size,
        an unreadable file, and a picture that is white all over or nowhere."""
        from .picture import white

        painted = white(picture, event)
        if not painted.any() or painted.all():
            share = "all" if painted.all() else "none"
            raise UserError(
                f"the mask has {share} of its pixels white. White is what is to be painted, black what stays."
            )
        return cls(~painted.expand(event).clone())

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of ``where``."""
        return tuple(self.where.shape)

    @property
    def measured(self) -> tuple[int, ...]:
        """(M,), the number of known entries."""
        return (len(self._known.tensor),)

    @cached_property
    def _known(self) -> Kept:
        return Kept(self.where.flatten().nonzero()[:, 0])

    @cached_property
    def _order(self) -> tuple[Kept, Kept]:
        """The known entries before the hidden ones, and back."""
        order = torch.cat([self._known.tensor, (~self.where).flatten().nonzero()[:, 0].to(self._known.tensor.device)])
        return Kept(order), Kept(order.argsort())

    def __call__(self, x: Tensor) -> Tensor:
        return expect(self, self.event, x).flatten(1).index_select(1, self._known.on(x))

    def adjoint(self, y: Tensor) -> Tensor:
        flat = torch.zeros(len(expect(self, self.measured, y)), prod(self.event), dtype=y.dtype, device=y.device)
        return flat.index_copy(1, self._known.on(y), y).unflatten(1, self.event)

    def spectrum(self) -> Spectrum:
        order, back = self._order
        return Spectrum(
            values=torch.ones(self.measured, dtype=torch.float64),
            to_v=lambda x: x.flatten(1).index_select(1, order.on(x)),
            from_v=lambda c: c.index_select(1, back.on(c)).unflatten(1, self.event),
            to_u=lambda y: y,
            from_u=lambda c: c,
            size=prod(self.event),
        )
