"""PixelCNN++: gated residual blocks on several scales, that see the pixels before theirs in raster order."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .causal import At, Shifted, Told, Twice, check_image, with_ones
from .layers import parameters_millions

WINDOWS = {  # of the rows above, and of the row itself: kernel, rows above, columns before
    "above": ((2, 3), 1, 1),
    "beside": ((2, 2), 1, 1),
}
Kept = tuple[list[Tensor], list[Tensor], Any]  # what the second stream takes from the first: down, up, coarser


def both(x: Tensor) -> Tensor:
    """The concatenated ELU: ELU of x and of −x, (B, C, H, W) → (B, 2 C, H, W) (Salimans et al. 2017, code)."""
    return F.elu(torch.cat([x, -x], 1))


class Block(nn.Module):
    """x + a ⊙ σ(b), with (a, b) of two convolutions of x and of ``more`` (Salimans et al. 2017, fig. 2)."""

    def __init__(self, window: str, width: int, more: int, told: int, dropout: float) -> None:
        super().__init__()
        self.one = Shifted(2 * width, width, *WINDOWS[window], normed=True)
        self.more = Shifted(2 * more, width, normed=True) if more else None
        self.two = Shifted(2 * width, 2 * width, *WINDOWS[window], normed=True, scale=0.1)
        self.told = nn.Linear(told, 2 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, more: Tensor | None, told: Tensor, at: At | None) -> Tensor:
        h = self.one(both(x), at)
        if self.more is not None and more is not None:
            h = h + self.more(both(more))
        a, b = (self.two(self.dropout(both(h)), at) + self.told(told)[:, :, None, None]).chunk(2, 1)
        return x + a * b.sigmoid()


class Stream(nn.Module):
    """The blocks of one stream on one scale, and its ways to the coarser scale and back. ``down`` and ``up`` are how
    many channels the blocks on each way are given beside their input."""

    def __init__(self, window: str, width: int, blocks: int, coarser: bool, more: tuple[int, int], how: Any) -> None:
        super().__init__()
        self.down = nn.ModuleList(Block(window, width, more[0], width, how) for _ in range(blocks))
        self.up = nn.ModuleList(Block(window, width, more[1], width, how) for _ in range(blocks + coarser))
        self.halved = Shifted(width, width, *WINDOWS[window], stride=2, normed=True) if coarser else None
        self.twice = Twice()
        self.filled = Shifted(width, width, *WINDOWS[window], normed=True) if coarser else None


class Scale(nn.Module):
    """Both streams on one scale, with the coarser ones inside, and long skips from the way down to the way up."""

    def __init__(self, width: int, blocks: int, scales: int, dropout: float) -> None:
        super().__init__()
        self.above = Stream("above", width, blocks, scales > 1, (0, width), dropout)
        self.beside = Stream("beside", width, blocks, scales > 1, (width, 2 * width), dropout)
        self.inner = Scale(width, blocks, scales - 1, dropout) if scales > 1 else None

    def rows(self, x: Tensor, told: Tensor, at: At | None) -> tuple[Tensor, Kept]:
        """The stream of the rows above, and what it leaves for the other one."""
        stream, downs, ups, inner = self.above, [x], [], None
        for block in stream.down:
            downs.append(block(downs[-1], None, told, at))
        h, skips = downs[-1], list(downs)
        if self.inner is None:
            skips.pop()
        else:
            low, inner = self._lower(stream, h, at), None
            if low is not None:
                low, inner = self.inner.rows(low, told, None if at is None else at.half)
            h = stream.filled(stream.twice(low, at), at)  # pyrefly: ignore[not-callable]
        for block in stream.up:
            h = block(h, skips.pop(), told, at)
            ups.append(h)
        return h, (downs[1:], ups, inner)

    def line(self, x: Tensor, kept: Kept, told: Tensor, at: At | None) -> Tensor:
        """The stream that also sees what is to the left."""
        stream, downs = self.beside, [x]
        for block, above in zip(stream.down, kept[0], strict=True):
            downs.append(block(downs[-1], _taken(above, at), told, at))
        h, skips = downs[-1], list(downs)
        if self.inner is None:
            skips.pop()
        else:
            low = self._lower(stream, h, at)
            if low is not None:
                low = self.inner.line(low, kept[2], told, None if at is None else at.half)
            h = stream.filled(stream.twice(low, at), at)  # pyrefly: ignore[not-callable]
        for block, above in zip(stream.up, kept[1], strict=True):
            h = block(h, torch.cat([_taken(above, at), skips.pop()], 1), told, at)
        return h

    def _lower(self, stream: Stream, h: Tensor, at: At | None) -> Tensor | None:
        """What goes to the coarser grid; None between its places."""
        assert stream.halved is not None
        low = stream.halved(h, at)
        return low if at is None or stream.halved.due(at) else None


def _taken(above: Tensor, at: At | None) -> Tensor:
    """Of a row, the place where the walk is."""
    return above if at is None or at.column is None else above[..., at.column, None]


@register("pixelcnn++", "net")
class PixelCNNpp(nn.Module):
    """Features of every pixel from the pixels before it in raster order (Salimans et al. 2017, PixelCNN++): two streams
    of gated residual blocks, one for the rows above and one that takes from it, on ``scales`` grids of falling edge
    with long skips between the ways down and up.

    forward(x, label, condition, place, memory) as that of ``PixelCNN``; edges must be multiples of 2^(scales − 1).

    ``blocks`` gated blocks of ``channels`` on each scale and way. Two things are not the paper's: upwards a coarse
    value is repeated and then convolved, where the paper has a transposed convolution; and the gains of weight norm
    begin at the size of the weights instead of at what a first batch asks for. Weights are drawn by torch's global
    generator: seed it before. Raises UserError for numbers below 1, and at forward for an input that it cannot take.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: int | None = None,
        channels: int = 32,
        blocks: int = 2,
        scales: int = 2,
        dropout: float = 0.0,
        classes: int = 0,
        condition: int = 0,
    ) -> None:
        super().__init__()
        if min(in_channels, channels, blocks, scales) < 1:
            raise UserError(
                f"pixelcnn++ needs channels, blocks and scales of at least 1; got channels={channels}, "
                f"blocks={blocks}, scales={scales}."
            )
        self.in_channels, self.scales = in_channels, scales
        self.told = Told(channels, classes, condition)
        self.above = Shifted(in_channels + 1, channels, (2, 3), 2, 1, normed=True)
        self.corner = Shifted(in_channels + 1, channels, (1, 3), 1, 1, normed=True)
        self.left = Shifted(in_channels + 1, channels, (2, 1), 1, 1, normed=True)
        self.body = Scale(channels, blocks, scales, dropout)
        self.last = Shifted(channels, out_channels or in_channels, scale=0.0)

    def forward(
        self,
        x: Tensor,
        label: Tensor | None = None,
        condition: Tensor | None = None,
        place: int | None = None,
        memory: dict[Any, Any] | None = None,
    ) -> Tensor:
        check_image("PixelCNN++", x, self.in_channels, self.scales - 1)
        told, seen = self.told(x, label, condition), with_ones(x)
        if place is None or memory is None:
            _, kept = self.body.rows(self.above(seen), told, None)
            return self._out(self.body.line(self.corner(seen) + self.left(seen), kept, told, None))
        row, column = divmod(place, x.shape[3])
        if column == 0:
            at = At(memory, row, x.shape[3])
            memory[self] = self.body.rows(self.above.seen(seen, at), told, at)[1]
        at = At(memory, row, x.shape[3], column)
        return self._out(self.body.line(self.corner.seen(seen, at) + self.left.seen(seen, at), memory[self], told, at))

    def _out(self, h: Tensor) -> Tensor:
        return self.last(F.elu(h))

    def __repr__(self) -> str:
        return f"PixelCNN++({parameters_millions(self):.1f}M)"
