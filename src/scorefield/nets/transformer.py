"""A transformer without positions for sets of points, and with one token a column for vectors and tables."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .layers import Conditioning, parameters_millions, run
from .tokens import AdaptiveBlock, AdaptiveHead


@register("transformer", "net")
class Transformer(nn.Module):
    """Attention between the members of an example: points of a cloud, in whatever order they come, or the columns of a
    row, each told by its own embedding (Vaswani et al. 2017; conditioned as Peebles & Xie 2023).

    With ``columns`` (vectors and tables): x (B, dim), every number a token with weights of its own (Gorishniy et al.
    2021, eq. 1) → (B, dim). Without: x (B, N, dim), N points of ``dim`` coordinates, any N → (B, N, dim), and a
    permutation of the points permutes the output. forward(x, level, label, condition): level (B,) or () = log σ/α in
    [-10, 10]; label (B,) int64 in −1 … classes − 1, −1 or None meaning no class; condition (B, V) standardised numbers
    for ``condition=V``, NaN or None where there is none. Zero at initialisation.

    ``depth`` blocks of ``width`` channels and ``heads`` heads; ``checkpoint`` computes them again for the gradients
    instead of keeping what they computed. Weights are drawn by torch's global generator: seed it before.
    Raises UserError for sizes below 1, and at forward for an input of another shape.
    """

    def __init__(
        self,
        dim: int,
        *,
        columns: bool = True,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        qk_norm: bool = False,
        dropout: float = 0.0,
        classes: int = 0,
        condition: int = 0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if min(dim, width, depth) < 1 or classes < 0 or not 0 <= dropout < 1:
            raise UserError(
                "dim, width and depth must be at least 1, classes at least 0, and dropout at least 0 and less than 1; "
                f"got dim={dim}, width={width}, depth={depth}, classes={classes}, dropout={dropout}."
            )
        self.dim, self.columns, self.checkpoint = dim, columns, checkpoint
        self.told = Conditioning(64, width, classes, condition)
        self.stem = Columns(dim, width) if columns else nn.Linear(dim, width)
        self.blocks = nn.ModuleList(AdaptiveBlock(width, heads, dropout=dropout, qk_norm=qk_norm) for _ in range(depth))
        self.head = AdaptiveHead(width, 1 if columns else dim)

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        if x.ndim != (2 if self.columns else 3) or x.shape[-1] != self.dim:
            wanted = f"(B, {self.dim})" if self.columns else f"(B, N, {self.dim})"
            raise UserError(f"This Transformer takes {wanted}; got an input of shape {tuple(x.shape)}.")
        told = self.told(level, label, x.shape[0], condition)
        h = self.stem(x)
        for block in self.blocks:
            h = run(block, h, told, checkpoint=self.checkpoint)
        y = self.head(h, told)
        return y.squeeze(2) if self.columns else y

    def __repr__(self) -> str:
        return f"Transformer({parameters_millions(self):.1f}M)"


class Columns(nn.Module):
    """One token a column: token_j = x_j · w_j + b_j (Gorishniy et al. 2021, eq. 1), (B, D) → (B, D, width)."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.empty(count, width)) for _ in range(2))
        for parameter in self.parameters():  # x_j has unit variance: so has each coordinate of its token
            nn.init.normal_(parameter, std=0.5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, x.unsqueeze(-1), self.weight)
