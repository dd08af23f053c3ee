"""Gated PixelCNN: each pixel from those before it in raster order, without a blind spot."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .causal import At, Shifted, Told, check_image, with_ones
from .layers import parameters_millions


def gated(h: Tensor) -> Tensor:
    """tanh(a) ⊙ σ(b) of the two halves of h, (B, 2 C, H, W) → (B, C, H, W) (van den Oord et al. 2016, eq. 2)."""
    a, b = h.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class Layer(nn.Module):
    """One layer of both stacks (van den Oord et al. 2016, fig. 2): v sees the rows above, h also what is to the left.

    ``first`` is the layer that sees the image itself and so must leave out the row, and the place, where it stands.
    """

    def __init__(self, inputs: int, width: int, kernel: int, told: int, dropout: float, first: bool = False) -> None:
        super().__init__()
        reach, self.first = kernel // 2, first
        self.rows = Shifted(inputs, 2 * width, (reach + 1, kernel), reach + first, reach)
        self.line = Shifted(inputs, 2 * width, (1, reach + (not first)), 0, reach)
        self.link = Shifted(2 * width, 2 * width)
        self.out = Shifted(width, width)
        self.told = nn.Linear(told, 4 * width)
        self.dropout = nn.Dropout(dropout)

    def above(self, v: Tensor, told: Tensor, at: At | None) -> tuple[Tensor, Tensor]:
        """The next v, and what h takes from it."""
        seen = self.rows.seen(v, at) if self.first and at is not None else self.rows(v, at)
        seen = seen + self.told(told)[:, : seen.shape[1], None, None]
        return gated(seen), self.link(seen)

    def beside(self, h: Tensor, link: Tensor, told: Tensor, at: At | None) -> Tensor:
        """The next h."""
        seen = self.line.seen(h, at) if self.first and at is not None else self.line(h, at)
        found = gated(seen + link + self.told(told)[:, seen.shape[1] :, None, None])
        found = self.out(self.dropout(found))
        return found if self.first else h + found


@register("pixelcnn", "net")
class PixelCNN(nn.Module):
    """Features of every pixel from the pixels before it in raster order (van den Oord et al. 2016, Gated PixelCNN):
    a stack for the rows above and one for the row itself, gates tanh ⊙ σ, and classes in every gate.

    forward(x, label, condition): x real (B, in_channels, H, W), the image on [−1, 1], of which output (r, c) sees rows
    above r and columns before c of row r alone; label (B,) int64 in −1 … classes − 1, −1 or None meaning no class;
    condition (B, V) standardised numbers, NaN or None where there is none → (B, out_channels, H, W), zero at
    initialisation. With ``place`` = r W + c and ``memory``, a dict that was empty at place 0, only that pixel, (B,
    out_channels, 1, 1): places must come in their order, and x be known up to there.

    ``depth`` layers of ``channels`` in each stack with windows of ``kernel`` (odd). Where the paper masks channels, so
    that green sees red of its pixel, here the law of a pixel says how its channels hang together. Weights are drawn by
    torch's global generator: seed it before. Raises UserError for an even kernel, numbers below 1, and at forward for
    an input that it cannot take.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: int | None = None,
        channels: int = 32,
        depth: int = 6,
        kernel: int = 5,
        dropout: float = 0.0,
        classes: int = 0,
        condition: int = 0,
    ) -> None:
        super().__init__()
        if kernel < 3 or kernel % 2 == 0 or min(channels, depth, in_channels) < 1:
            raise UserError(
                f"pixelcnn needs an odd kernel of at least 3, channels and depth of at least 1; got kernel={kernel}, "
                f"channels={channels}, depth={depth}."
            )
        self.in_channels = in_channels
        self.told = Told(channels, classes, condition)
        inputs = [in_channels + 1] + [channels] * (depth - 1)
        self.layers: Any = nn.ModuleList(
            Layer(n, channels, kernel, channels, dropout, first=not i) for i, n in enumerate(inputs)
        )
        self.hidden = Shifted(channels, channels)
        self.last = Shifted(channels, out_channels or in_channels, scale=0.0)

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        condition: Tensor | None = None,
        place: int | None = None,
        memory: dict[Any, Any] | None = None,
    ) -> Tensor:
        check_image("PixelCNN", x, self.in_channels)
        told, seen = self.told(x, label, condition), with_ones(x)
        if place is None or memory is None:
            return self._beside(seen, self._above(seen, told, None), told, None)
        row, column = divmod(place, x.shape[3])
        if column == 0:
            memory[self] = self._above(seen, told, At(memory, row, x.shape[3]))
        links = [link[..., column, None] for link in memory[self]]
        return self._beside(seen, links, told, At(memory, row, x.shape[3], column))

    def _above(self, v: Tensor, told: Tensor, at: At | None) -> list[Tensor]:
        links: list[Tensor] = []
        for layer in self.layers:
            v, link = layer.above(v, told, at)
            links.append(link)
        return links

    def _beside(self, h: Tensor, links: list[Tensor], told: Tensor, at: At | None) -> Tensor:
        for layer, link in zip(self.layers, links, strict=True):
            h = layer.beside(h, link, told, at)
        return self.last(F.relu(self.hidden(F.relu(h))))

    def __repr__(self) -> str:
        return f"PixelCNN({parameters_millions(self):.1f}M)"
