"""Convolutions that look back only: at the rows above and, in the same row, to the left.

They compute a whole image at once or, ``at`` a place, only what is new there, with the few rows that they still need
kept in ``At.memory``: drawing an image then costs about as much as looking at it once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .layers import Conditioning

UNTOLD = 2  # features of a noise level, of which there is none here: they are constant


@dataclass(frozen=True)
class At:
    """Where a walk in raster order is: a whole row, or one place of it (``column``), of an image ``width`` wide."""

    memory: dict[Any, Any]
    row: int
    width: int
    column: int | None = None

    @property
    def half(self) -> At:
        """The same place on a grid of half the edge."""
        column = None if self.column is None else self.column // 2
        return replace(self, row=self.row // 2, width=self.width // 2, column=column)


class Shifted(nn.Module):
    """A convolution whose window reaches from ``top`` rows above a place and ``left`` columns before it, (B, inputs, H,
    W) → (B, outputs, H / stride, W / stride), zeros beyond the edges.

    With kernel (h, w), ``top`` = h − 1 ends the window in the row of the place and ``top`` = h above it; likewise
    ``left`` = w − 1 and w. With ``normed`` the weights are g v/‖v‖ (Salimans & Kingma 2016); g begins at ‖v‖, for
    inputs of unit variance, and not at what a first batch asks for.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (1, 1),
        top: int = 0,
        left: int = 0,
        *,
        stride: int = 1,
        normed: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.kernel, self.top, self.left, self.stride = kernel, top, left, stride
        self.v = nn.Parameter(torch.empty(outputs, inputs, *kernel))
        nn.init.normal_(self.v, std=scale * (inputs * kernel[0] * kernel[1]) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.g = nn.Parameter(self.v.detach().flatten(1).norm(dim=1)) if normed else None

    @property
    def weight(self) -> Tensor:
        """What is convolved with."""
        if self.g is None:
            return self.v
        return self.v * (self.g / self.v.flatten(1).norm(dim=1))[:, None, None, None]

    def forward(self, x: Tensor, at: At | None = None) -> Tensor:
        if self.kernel == (1, 1) and not (self.top or self.left):
            return F.conv2d(x, self.weight, self.bias)
        (high, wide), top, left = self.kernel, self.top, self.left
        if at is None:
            return F.conv2d(F.pad(x, (left, wide - 1 - left, top, high - 1 - top)), self.weight, self.bias, self.stride)
        window = self._row(x, at) if at.column is None else self._place(x, at, at.column)
        return F.conv2d(window, self.weight, self.bias, (1, self.stride))

    def seen(self, x: Tensor, at: At) -> Tensor:
        """The value ``at`` a place or a row where all of x (B, inputs, H, W) up to there is known, as of images."""
        (high, wide), first = self.kernel, at.row - self.top
        rows = F.pad(x, (self.left, max(0, wide - 1 - self.left), self.top, 0))[:, :, first + self.top :][:, :, :high]
        columns = slice(None, at.width + wide - 1) if at.column is None else slice(at.column, at.column + wide)
        return F.conv2d(rows[..., columns], self.weight, self.bias)

    def due(self, at: At) -> bool:
        """Whether there is an output ``at`` this place: with a stride, at even rows and columns alone."""
        return not (at.row % self.stride or (at.column or 0) % self.stride)

    def _row(self, x: Tensor, at: At) -> Tensor:
        rows = self._rows(x, at)
        rows[:, :, -1, self.left : self.left + at.width] = x[:, :, 0]
        return rows

    def _place(self, x: Tensor, at: At, column: int) -> Tensor:
        rows = self._rows(x, at) if column == 0 else at.memory[self]
        rows[:, :, -1, self.left + column] = x[:, :, 0, 0]
        return rows[..., column : column + self.kernel[1]]

    def _rows(self, x: Tensor, at: At) -> Tensor:
        """The last rows of the input, padded, with a new one of zeros."""
        fresh = x.new_zeros(*x.shape[:2], 1, at.width + self.kernel[1] - 1)
        before = at.memory.get(self, fresh.expand(-1, -1, self.kernel[0], -1))
        at.memory[self] = torch.cat([before[:, :, 1:], fresh], 2)
        return at.memory[self]


class Twice(nn.Module):
    """Every place of a coarse grid as four of the next finer one, (B, C, H, W) → (B, C, 2 H, 2 W). ``at`` a place, what
    is there, from a coarse value that may be older: None where none is new."""

    def forward(self, x: Tensor | None, at: At | None = None) -> Tensor:
        if at is None:
            assert x is not None
            return x.repeat_interleave(2, -2).repeat_interleave(2, -1)
        if at.column is None:
            at.memory[self] = at.memory[self] if x is None else x.repeat_interleave(2, -1)
            return at.memory[self]
        if x is not None:
            held = at.memory.get(self)
            held = x.new_zeros(*x.shape[:3], at.width // 2) if held is None else held
            held[..., at.column // 2] = x[..., 0]
            at.memory[self] = held
        return at.memory[self][..., at.column // 2, None]


class Told(nn.Module):
    """What every layer is told of the class and of numbers, as in the other networks; nothing where there are none."""

    def __init__(self, width: int, classes: int, condition: int) -> None:
        super().__init__()
        self.known = Conditioning(UNTOLD, width, classes, condition)

    def forward(self, x: Tensor, label: Tensor | None, condition: Tensor | None) -> Tensor:
        """(B, width), or (1, width) where nothing varies."""
        return self.known(x.new_zeros(1), label, x.shape[0], condition)


def with_ones(x: Tensor) -> Tensor:
    """x (B, C, H, W) and a channel of ones, by which the edges of an image are told from grey."""
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def check_image(net: str, x: Tensor, channels: int, halvings: int = 0) -> None:
    """Raises UserError for an input that is no image of so many channels, or cannot be halved so often."""
    fits = x.ndim == 4 and x.shape[1] == channels and x.dtype.is_floating_point
    if not fits or any(edge % (1 << halvings) for edge in x.shape[2:]):
        edges = f", edges that are multiples of {1 << halvings}" if halvings else ""
        raise UserError(f"This {net} takes real (B, {channels}, H, W){edges}; got {tuple(x.shape)}, {x.dtype}.")
