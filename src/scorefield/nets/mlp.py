"""A network for points, tables and small vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .layers import Conditioning, parameters_millions, run, zero


class FiLMBlock(nn.Module):
    """x + Linear(dropout(SiLU(LayerNorm(x)·(1 + scale) + shift))), scale and shift told by the condition
    (Perez et al. 2018, eq. 1), (B, width), (B or 1, width) → (B, width)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.told = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, 2 * width)
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(width, width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told).chunk(2, 1)
        return x + self.out(self.dropout(F.silu(torch.addcmul(shift, self.norm(x), 1 + scale))))


@register("mlp", "net")
class MLP(nn.Module):
    """Residual layers for data without a grid: points of the plane, rows of a table.

    forward(x, level, label, condition): x (B, dim); level (B,) or () = log σ/α in [-10, 10]; label (B,) int64 in
    −1 … classes − 1, −1 or None meaning no class; condition (B, V) standardised numbers for ``condition=V``, NaN or
    None where there is none → (B, dim). ``depth`` residual blocks of ``width`` units; ``checkpoint`` computes them
    again for the gradients instead of keeping what they computed. Zero at initialisation.
    Weights are drawn by torch's global generator: seed it before.
    Raises UserError for sizes below 1, and at forward for an input of another width.
    """

    def __init__(
        self,
        dim: int,
        *,
        width: int = 256,
        depth: int = 4,
        classes: int = 0,
        condition: int = 0,
        dropout: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if min(dim, width, depth) < 1 or classes < 0 or not 0 <= dropout < 1:
            raise UserError(
                "dim, width and depth must be at least 1, classes at least 0, and dropout at least 0 and less than 1; "
                f"got dim={dim}, width={width}, depth={depth}, classes={classes}, dropout={dropout}."
            )
        self.dim, self.checkpoint = dim, checkpoint
        self.told = Conditioning(64, width, classes, condition)
        self.stem = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(FiLMBlock(width, dropout) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), zero(nn.Linear(width, dim))

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise UserError(f"This MLP takes (B, {self.dim}); got an input of shape {tuple(x.shape)}.")
        told = self.told(level, label, x.shape[0], condition)
        h = self.stem(x)
        for block in self.blocks:
            h = run(block, h, told, checkpoint=self.checkpoint)
        return self.head(F.silu(self.norm(h)))

    def __repr__(self) -> str:
        return f"MLP({parameters_millions(self):.1f}M)"
