"""A small conditional flow: where in its bin a level lies, given all levels around it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .layers import zero


@register("couplings", "dequantiser")
class Couplings(nn.Module):
    """q(u | v) on [0, 1]ᴰ for levels v (B, C, H, W): u = sigmoid(f(logit(w); v)), w uniform, f affine couplings on the
    two halves of a chessboard in turn (as Flow++, Ho et al. 2019, in small).

    ``channels`` are C, ``width`` those of the convolutions inside, ``count`` the couplings. At first every coupling is
    the identity, and q uniform. Raises UserError for a width or a count below 1.
    """

    def __init__(self, channels: int, width: int = 32, count: int = 4) -> None:
        super().__init__()
        if min(width, count) < 1:
            raise UserError(f"a dequantiser needs a width and a count of at least 1, got {width} and {count}.")
        self.couplings = nn.ModuleList(Coupling(channels, width, bool(i % 2)) for i in range(count))

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Levels x (B, C, H, W) in [−1, 1] and w in (0, 1) of the same shape → u, and log q(u | x) in nats (B,)."""
        y = w.logit()
        log_det = _log_slope(-y)  # of the logistic base: its density is that slope
        for coupling in self.couplings:
            y, scale = coupling(x, y)
            log_det = log_det - scale
        return y.sigmoid(), (log_det - _log_slope(-y)).flatten(1).sum(1)


def _log_slope(y: Tensor) -> Tensor:
    """log of the slope of the sigmoid at y, which is even."""
    return F.logsigmoid(y) + F.logsigmoid(-y)


class Coupling(nn.Module):
    """y ↦ y eˢ + b on one half of a chessboard, s and b told by the other half and by x; s within ±2."""

    def __init__(self, channels: int, width: int, odd: bool) -> None:
        super().__init__()
        self.odd = odd
        self.layers = nn.Sequential(
            nn.Conv2d(3 * channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            zero(nn.Conv2d(width, 2 * channels, 1)),
        )

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) twice → the new y, and s where it moved (0 elsewhere)."""
        rows, columns = (torch.arange(edge, device=x.device) for edge in x.shape[2:])
        moves = (((rows[:, None] + columns) % 2) == int(self.odd)).to(y.dtype)
        seen = y * (1 - moves)
        # Tails of the logit are long: the network sees where in the bin, not how far out.
        told = torch.cat([x, (seen.sigmoid() - 0.5) * (1 - moves) * math.sqrt(12), (1 - moves).expand_as(x)], 1)
        scale, shift = self.layers(told).chunk(2, 1)
        scale = 2 * torch.tanh(scale / 2) * moves
        return y * scale.exp() + shift * moves, scale
