"""Sequences longer than a network: a denoiser of windows becomes one of sequences. Denoiser → denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser, as_time
from ..errors import UserError


@dataclass(frozen=True)
class Windowed:
    """The belief about place i of a long sequence is that of the window i − k … i + k about its middle, window =
    2k + 1; the first k places are told by the first window, the last k by the last (Rozet and Louppe 2023, algorithm
    2).

    ``inner`` believes in events whose ``axis`` has ``window`` places: signals (B, C, T) with axis −1, the default;
    sequences of fields (B, T, C, H, W) with axis 1, counted with the batch. The sequence may have any length from
    ``window`` on, another at every call. What is left out is what places further than k apart know of each other beyond
    what lies between them: **exact without noise for Markov chains of order ≤ k**, and nearer the larger k is against
    the length over which noisy places inform each other (docs/operators.md has the numbers). Differentiable, so
    posterior guidance goes round it: ``SDA(Windowed(model, 9), measurement)``.

    One evaluation of L − 2k windows an example, ``at_once`` of them together where memory is short. Conditions are
    those of the sequence, the same for each of its windows. Raises UserError for an even window, an axis that is no
    place of x, and a sequence shorter than the window.
    """

    inner: Denoiser
    window: int
    axis: int = -1
    at_once: int | None = None

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise UserError(f"a window has an odd number of places, so that it has a middle; got {self.window}.")
        if self.axis == 0 or (self.at_once is not None and self.at_once < 1):
            raise UserError("the axis of time comes after that of the batch (1, 2 … or −1), and at_once is at least 1.")

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        axis = self.axis if self.axis > 0 else self.axis + x.ndim
        if not 0 < axis < x.ndim:
            raise UserError(f"x {tuple(x.shape)} has no axis {self.axis} beside that of the batch.")
        if x.shape[axis] < self.window:
            raise UserError(f"a sequence of {x.shape[axis]} places is shorter than the window of {self.window}.")
        windows = x.unfold(axis, self.window, 1).movedim(axis, 1)  # (B, N, …, window)
        many = windows.shape[1]
        batch = windows.movedim(-1, axis + 1).flatten(0, 1)  # (B N, *window event)
        t = as_time(t)
        parts = [
            self._ask(batch[rows], t if not t.ndim else t[rows // many], rows // many, len(x), cond)
            for rows in torch.arange(len(batch)).split(self.at_once or len(batch))
        ]
        mean = self._joined(torch.cat([part.mean for part in parts]), len(x), axis)
        if any(part.var is None for part in parts):
            return Moments(mean)
        var = torch.cat([part.var.expand_as(part.mean) for part in parts if part.var is not None])
        return Moments(mean, self._joined(var, len(x), axis))

    def _ask(self, x: Tensor, t: Tensor, whose: Tensor, batch: int, cond: dict[str, Any]) -> Moments:
        """The belief about some windows, with the conditions of the sequences whose they are."""
        return self.inner(x, t, **{k: v[whose] if _per_example(v, batch) else v for k, v in cond.items()})

    def _joined(self, windows: Tensor, batch: int, axis: int) -> Tensor:
        """(B N, *window event) → (B, *event): middles, and the ends of the first and the last."""
        k, windows = self.window // 2, windows.unflatten(0, (batch, -1))
        middles = windows.select(axis + 1, k).movedim(1, axis)
        first, last = windows[:, 0].narrow(axis, 0, k), windows[:, -1].narrow(axis, k + 1, k)
        return torch.cat([first, middles, last], axis)


def _per_example(value: Any, batch: int) -> bool:
    return torch.is_tensor(value) and value.ndim > 0 and len(value) == batch
