"""Projections along lines: computed tomography."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import UserError
from .protocol import Composes, Kept, Spectrum, expect


@dataclass(frozen=True, eq=False)
class Radon(Composes):
    """Line integrals of each channel (C, H, W) at ``angles`` in degrees (counter-clockwise; 0 sums the columns):
    y (C, angles, bins), lengths in units of the longer side.

    A sparse matrix, pixel-driven: each pixel falls between two bins and is shared linearly, so every projection holds
    all of the picture's mass, and the adjoint is the same numbers read the other way (no filtered back-projection).
    Raises UserError without finite angles.
    """

    event: tuple[int, ...]
    angles: tuple[float, ...]
    linear = True
    differentiable = True

    def __post_init__(self) -> None:
        if len(self.event) != 3 or not self.angles or not all(map(math.isfinite, self.angles)):
            raise UserError(f"a Radon transform needs pictures (C, H, W) and angles, got {tuple(self.event)}.")

    @classmethod
    def views(cls, event: tuple[int, ...], count: int, span: float = 180.0) -> Radon:
        """``count`` angles, even over ``span`` degrees from 0. Raises UserError unless count ≥ 1."""
        if count < 1:
            raise UserError(f"a Radon transform needs at least 1 angle, got {count}.")
        return cls(event, tuple(span * i / count for i in range(count)))

    @property
    def bins(self) -> int:
        """Detector bins, one pixel wide: enough for the diagonal."""
        return math.ceil(math.hypot(*self.event[1:])) + 2

    @property
    def measured(self) -> tuple[int, ...]:
        """(C, angles, bins)."""
        return (self.event[0], len(self.angles), self.bins)

    @cached_property
    def _entries(self) -> tuple[Kept, Kept, Kept]:
        """For each angle and pixel (angles, H W): the lower bin, its weight, and that of the next."""
        h, w = self.event[1:]
        y, x = torch.meshgrid(
            (h - 1) / 2 - torch.arange(h, dtype=torch.float64),
            torch.arange(w, dtype=torch.float64) - (w - 1) / 2,
            indexing="ij",
        )
        turn = torch.tensor([math.radians(angle) for angle in self.angles], dtype=torch.float64)[:, None]
        at = turn.cos() * x.flatten() + turn.sin() * y.flatten() + (self.bins - 1) / 2
        low = at.floor()
        unit = 1 / max(h, w)
        return Kept(low.long()), Kept((1 - (at - low)) * unit), Kept((at - low) * unit)

    def __call__(self, x: Tensor) -> Tensor:
        flat = expect(self, self.event, x).flatten(2)
        low, (here, there) = self._entries[0].on(x), (kept.like(x) for kept in self._entries[1:])
        views = []
        for i in range(len(self.angles)):
            empty = torch.zeros(*flat.shape[:2], self.bins, dtype=x.dtype, device=x.device)
            views.append(empty.index_add(2, low[i], flat * here[i]).index_add(2, low[i] + 1, flat * there[i]))
        return torch.stack(views, 2)

    def adjoint(self, y: Tensor) -> Tensor:
        expect(self, self.measured, y)
        low, (here, there) = self._entries[0].on(y), (kept.like(y) for kept in self._entries[1:])
        flat = torch.zeros(len(y), self.event[0], here.shape[1], dtype=y.dtype, device=y.device)
        for i in range(len(self.angles)):
            flat = flat + y[:, :, i, low[i]] * here[i] + y[:, :, i, low[i] + 1] * there[i]
        return flat.unflatten(2, self.event[1:])

    def spectrum(self) -> Spectrum | None:
        return None
