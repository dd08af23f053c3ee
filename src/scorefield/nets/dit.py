"""The diffusion transformer: images and signals as rows of patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError, suggest
from ..registry import register
from .edges import by, nearest
from .layers import Conditioning, parameters_millions, run
from .tokens import AdaptiveBlock, AdaptiveHead

FEATURES = 256  # of the level, as many as DiT's
LONGEST_WAVE = 10_000  # in patches, over 2π (Vaswani et al. 2017, sec. 3.5)
STEMS = {1: nn.Conv1d, 2: nn.Conv2d}
RESIZED = {1: "linear", 2: "bilinear"}
POSITIONS = ("sincos", "learned")


def places(grid: Sequence[int], width: int, like: Tensor) -> Tensor:
    """Where each patch stands, (rows × columns, width): for the column and then the row i, (sin i ω, cos i ω) with
    geometric ω from 1 down to 1/10,000 (Peebles & Xie 2023 after Vaswani et al. 2017); one axis for signals."""
    each = width // len(grid)
    ω = LONGEST_WAVE ** -(torch.arange(each // 2, device=like.device, dtype=torch.float32) / (each // 2))
    waves = []
    for axis in reversed(range(len(grid))):
        phase = torch.arange(grid[axis], device=like.device, dtype=torch.float32)[:, None] * ω
        wave = torch.cat((phase.sin(), phase.cos()), 1)
        spread = [grid[k] if k == axis else 1 for k in range(len(grid))]
        waves.append(wave.reshape(*spread, each).expand(*grid, each))
    return torch.cat(waves, -1).flatten(0, -2).to(like.dtype)


@register("dit", "net")
class DiT(nn.Module):
    """A transformer over patches, told by adaptive layer norms that start at zero (Peebles & Xie 2023): more to learn
    than a U-Net on little data, and better with more of it and more computation.

    forward(x, level, label, condition): x (B, in_channels, *S) with ``dims`` spatial axes of any length that
    ``patch`` divides, square or not; level (B,) or () = log σ/α in [-10, 10]; label (B,) int64 in −1 … classes − 1, −1
    or None meaning no class; condition (B, V) standardised numbers for ``condition=V``, NaN or None where there is
    none → (B, out_channels, *S). Zero at initialisation.

    ``depth`` blocks of ``width`` channels and ``heads`` heads; ``patch`` is the edge of a patch: half of it costs four
    times the tokens. ``positions`` are "sincos", which need no ``size`` and reach to any, or "learned", a table for
    inputs of ``size`` that is resized for others. ``qk_norm`` normalises queries and keys. ``checkpoint`` computes the
    blocks again for the gradients instead of keeping what they computed.

    Weights are drawn by torch's global generator: seed it before.
    Raises UserError for arguments that do not fit together, and at forward for an input it cannot take.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: int | None = None,
        dims: int = 2,
        size: int | Sequence[int] | None = None,
        patch: int = 2,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        positions: Literal["sincos", "learned"] = "sincos",
        qk_norm: bool = False,
        dropout: float = 0.0,
        classes: int = 0,
        condition: int = 0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, in_channels if out_channels is None else out_channels
        _check_arguments(self.in_channels, self.out_channels, dims, patch, width, depth, dropout, positions)
        self.dims, self.patch, self.checkpoint = dims, patch, checkpoint
        self.told = Conditioning(FEATURES, width, classes, condition)
        self.stem = STEMS[dims](in_channels, width, patch, stride=patch)
        for parameter in self.stem.parameters():
            nn.init.zeros_(parameter) if parameter.ndim == 1 else nn.init.xavier_uniform_(parameter.view(width, -1))
        edges = [size] * dims if isinstance(size, int) else list(size or ())
        if edges:
            self.check(edges)
        self.table = self._table(edges, width) if positions == "learned" else None
        self.blocks = nn.ModuleList(AdaptiveBlock(width, heads, dropout=dropout, qk_norm=qk_norm) for _ in range(depth))
        self.head = AdaptiveHead(width, patch**dims * self.out_channels)

    def _table(self, edges: Sequence[int], width: int) -> nn.Parameter:
        if not edges:
            raise UserError("positions='learned' is a table for one size: give size, or write positions='sincos'.")
        table = nn.Parameter(torch.empty(1, width, *(edge // self.patch for edge in edges)))
        nn.init.normal_(table, std=0.02)
        return table

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels:
            axes = ", ".join(("L",) if self.dims == 1 else ("H", "W"))
            raise UserError(f"This DiT takes (B, {self.in_channels}, {axes}); got an input of shape {tuple(x.shape)}.")
        self.check(x.shape[2:])
        told = self.told(level, label, x.shape[0], condition)
        h = self.stem(x)
        grid = h.shape[2:]
        h = h.flatten(2).transpose(1, 2) + self._places(grid, h)
        for block in self.blocks:
            h = run(block, h, told, checkpoint=self.checkpoint)
        return self._joined(self.head(h, told), grid)

    def _places(self, grid: Sequence[int], like: Tensor) -> Tensor:
        if self.table is None:
            return places(grid, like.shape[1], like)
        table = self.table
        if tuple(grid) != tuple(table.shape[2:]):
            table = F.interpolate(table, tuple(grid), mode=RESIZED[self.dims], align_corners=False)
        return table.flatten(2).transpose(1, 2).to(like.dtype)

    def _joined(self, patches: Tensor, grid: Sequence[int]) -> Tensor:
        """Patches (B, T, patch … patch · C), the channel last, back in their places (B, C, *S)."""
        d = self.dims
        apart = patches.reshape(patches.shape[0], *grid, *[self.patch] * d, self.out_channels)
        order = [axis for i in range(d) for axis in (1 + i, 1 + d + i)]
        return apart.permute(0, 1 + 2 * d, *order).reshape(
            patches.shape[0], self.out_channels, *(edge * self.patch for edge in grid)
        )

    def check(self, size: int | Sequence[int]) -> None:
        """Raises UserError, naming the nearest sizes that work, unless ``patch`` divides every edge."""
        edges = [size] * self.dims if isinstance(size, int) else [int(edge) for edge in size]
        if any(edge % self.patch or edge < self.patch for edge in edges):
            fitting = next(p for p in range(min(self.patch, *edges), 0, -1) if not math.gcd(*edges) % p)
            raise UserError(
                f"size {by(edges)} does not fit this DiT: patch={self.patch} must divide every edge. "
                f"Use patch={fitting}, or size {nearest(edges, self.patch)}."
            )

    def __repr__(self) -> str:
        return f"DiT({parameters_millions(self):.1f}M)"


def _check_arguments(
    inputs: int, outputs: int, dims: int, patch: int, width: int, depth: int, dropout: float, positions: str
) -> None:
    faults = {
        f"in_channels and out_channels must be at least 1, got {inputs} and {outputs}.": min(inputs, outputs) < 1,
        f"dims must be 1 (signals) or 2 (images), got {dims}.": dims not in (1, 2),
        f"patch, width and depth must be at least 1, got {patch}, {width} and {depth}.": min(patch, width, depth) < 1,
        f"width={width} cannot hold {dims} axes of sines and cosines: it must be a multiple of {2 * dims}.": (
            dims in (1, 2) and width % (2 * dims) > 0 and positions == "sincos"
        ),
        f"dropout must be at least 0 and less than 1, got {dropout}.": not 0 <= dropout < 1,
        f"no positions are called {positions!r}.{suggest(positions, POSITIONS)}": positions not in POSITIONS,
    }
    for sentence, fault in faults.items():
        if fault:
            raise UserError(sentence)
