"""A network for points, tables and small vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .layers import Conditioning, parameters_millions, run, zero


class FiLMBlock(nn.Module):
    """x + Linear(dropout(SiLU(LayerNorm(x)·(1 + scale) + shift))), scale and shift told by the condition
    (Perez et al. 2018, eq. 1), (B, width), (B or 1, told) → (B, width)."""

    def __init__(self, width: int, told: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.told = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(told, 2 * width)
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(width, width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told).chunk(2, 1)
        return x + self.out(self.dropout(F.silu(torch.addcmul(shift, self.norm(x), 1 + scale))))


class Waves(nn.Module):
    """What is left of cos ωx₀ and sin ωx₀ under the noise, for ω = 1, 2, 4, … per unit of the data, (B, dim), level
    (B,) or () → (B, 2·count·columns): layers see detail of that fineness in each number, which by themselves they learn
    last (Tancik et al. 2020; for tables Gorishniy et al. 2022, sec. 3.3).

    Where x_t/α = x₀ + (σ/α)·noise, the mean of cos ωx over the noise is cos(ωx₀)·exp(−ω²(σ/α)²/2): each wave is
    weighted with that factor, so none finer than the noise gets through (as in Barron et al. 2021, eq. 8). The input is
    x_t scaled to unit root mean square; ``scale`` is that of the data, with which the scaling is undone.
    """

    def __init__(self, count: int, columns: Sequence[int], scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        self.register_buffer("frequency", 2.0 ** torch.arange(count), persistent=False)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)  # phases need their digits
        noise = (2 * level.to(wide)).exp().reshape(-1, 1)  # (σ/α)²
        values = x[:, self.columns].to(wide) * (noise + self.scale**2).sqrt()
        frequency = self.frequency.to(wide)
        left = (-0.5 * noise * frequency.square()).exp().unsqueeze(1)
        phase = values.unsqueeze(2) * frequency
        return torch.cat((phase.cos() * left, phase.sin() * left), 2).flatten(1).to(x.dtype)


class Table(nn.Module):
    """The sum of a row for each token, (B, count) whole numbers → (B, width) of unit variance; the last row of each
    token is that of the mask."""

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.count = len(sizes)
        last = torch.tensor(sizes, dtype=torch.int64)
        self.register_buffer("last", last, persistent=False)
        self.register_buffer("first", (last + 1).cumsum(0) - last - 1, persistent=False)
        self.rows = nn.Parameter(torch.empty(sum(sizes) + len(sizes), width))
        nn.init.normal_(self.rows, std=len(sizes) ** -0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding_bag(torch.minimum(tokens.long(), self.last) + self.first, self.rows, mode="sum")


@register("mlp", "net")
class MLP(nn.Module):
    """Residual layers for data without a grid: points of the plane, rows of a table.

    forward(x, level, label, condition): x (B, dim); level (B,) or () = log σ/α in [-10, 10]; label (B,) int64 in
    −1 … classes − 1, −1 or None meaning no class; condition (B, V) standardised numbers for ``condition=V``, NaN or
    None where there is none → (B, dim). ``depth`` residual blocks of ``width`` units; ``checkpoint`` computes them
    again for the gradients instead of keeping what they computed. Zero at initialisation.

    ``told`` is the width of what blocks are told of level and condition (0: ``width``, where that costs two thirds of
    the work). ``waves`` > 0 shows that many octaves of detail (see ``Waves``) of the columns ``numbers`` (None: of
    all); ``scale`` is then the root mean square of the data. ``tokens`` are how many values each of further columns
    has, which hold whole numbers up to that and stand after the numbers: x is then (B, dim + their count), any larger
    number means that the token is masked, and the answer (B, dim + Σ tokens) has logits for each. ``dim`` may then be
    0. ``out_channels`` are the numbers of the answer, where they are not dim.
    Weights are drawn by torch's global generator: seed it before.
    Raises UserError for sizes below 1, columns that are not there, and at forward for an input of another width.
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
        told: int = 0,
        waves: int = 0,
        numbers: Sequence[int] | None = None,
        scale: float = 1.0,
        tokens: Sequence[int] = (),
        out_channels: int | None = None,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        outputs = dim if out_channels is None else out_channels
        if min(dim + len(tokens), outputs + len(tokens), width, depth) < 1 or classes < 0 or not 0 <= dropout < 1:
            raise UserError(
                "dim, width and depth must be at least 1, classes at least 0, and dropout at least 0 and less than 1; "
                f"got dim={dim}, width={width}, depth={depth}, classes={classes}, dropout={dropout}."
            )
        columns = range(dim) if numbers is None else numbers
        if any(size < 1 for size in tokens):
            raise UserError(f"tokens are how many values each column has, at least 1, got {list(tokens)}.")
        if told < 0 or waves < 0 or not scale > 0 or any(not 0 <= column < dim for column in columns):
            raise UserError(
                f"told and waves must be at least 0, scale greater than 0, and numbers columns from 0 to {dim - 1}; "
                f"got told={told}, waves={waves}, scale={scale}, numbers={numbers}."
            )
        self.dim, self.checkpoint = dim, checkpoint
        self.told = Conditioning(64, told or width, classes, condition)
        self.waves = Waves(waves, columns, scale) if waves and len(columns) else None
        inputs = dim + (2 * waves * len(columns) if self.waves else 0)
        self.stem = nn.Linear(inputs, width) if dim else None
        self.table = Table(tokens, width) if tokens else None
        self.blocks = nn.ModuleList(FiLMBlock(width, told or width, dropout) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), zero(nn.Linear(width, outputs + sum(tokens)))

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        return self.head(F.silu(self.norm(self.hidden(x, level, label, condition))))

    def hidden(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        """What the last block leaves, (B, dim) → (B, width)."""
        wide = self.dim + (self.table.count if self.table else 0)
        if x.ndim != 2 or x.shape[1] != wide:
            raise UserError(f"This MLP takes (B, {wide}); got an input of shape {tuple(x.shape)}.")
        told = self.told(level, label, x.shape[0], condition)
        numbers = x if self.table is None else x[:, : self.dim]
        shown = [] if self.table is None else [self.table(x[:, self.dim :])]
        if self.stem is not None:
            waves = () if self.waves is None else (self.waves(numbers, level),)
            shown.append(self.stem(torch.cat((numbers, *waves), 1) if waves else numbers))
        h = shown[0] if len(shown) == 1 else shown[0] + shown[1]
        for block in self.blocks:
            h = run(block, h, told, checkpoint=self.checkpoint)
        return h

    def __repr__(self) -> str:
        return f"MLP({parameters_millions(self):.1f}M)"
