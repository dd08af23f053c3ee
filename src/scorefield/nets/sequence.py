"""A transformer for sequences of tokens, such as text: rotary positions, and one table for what goes in and out."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .layers import Conditioning, parameters_millions, run
from .tokens import AdaptiveBlock, AdaptiveHead

LONGEST_WAVE = 10_000  # in places, over 2π (Su et al. 2021, sec. 3.3)
FEATURES = 64  # of the level


def turns(places: Tensor, channels: int) -> Tensor:
    """How far each pair of channels of a head is turned at each place i: cos and sin of i · 10,000^(−2k/channels),
    (T,) real → (2, T, channels/2) (Su et al. 2021, eq. 15). Two tokens then see only how far apart they are."""
    k = torch.arange(channels // 2, device=places.device, dtype=places.dtype)
    angle = places.unsqueeze(-1) * LONGEST_WAVE ** (-2 * k / channels)
    return torch.stack((angle.cos(), angle.sin()))


class Near(nn.Module):
    """h_i ← h_i + Σ_k w_k ⊙ h_{i+k} over 0 < |k| ≤ r, zeros beyond the ends, (B, L, W) → (B, L, W): a depthwise
    convolution, which Primer puts into attention (So et al. 2021). What a letter is depends most on its neighbours, and
    attention takes long to find that out. The weights begin at random, so that no two places look alike.
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.weight = nn.Parameter(torch.empty(2 * reach, width))
        nn.init.normal_(self.weight, std=0.5)

    def forward(self, h: Tensor) -> Tensor:
        length, wide = h.shape[1], F.pad(h, (0, 0, self.reach, self.reach))
        places = [k for k in range(2 * self.reach + 1) if k != self.reach]
        for place, weight in zip(places, self.weight, strict=True):
            h = torch.addcmul(h, wide[:, place : place + length], weight)
        return h


@register("sequence", "net")
class TokenTransformer(nn.Module):
    """What stands at each place of a sequence, from all the others in both directions (Vaswani et al. 2017), told by
    adaptive layer norms that start at zero (Peebles & Xie 2023): the network of masked diffusion on text (Sahoo et al.
    2024, app. C.2).

    forward(x, level, label, condition): x (B, L) int64 in 0 … states − 1; level (B,) or () in [-10, 10]; label (B,)
    int64 in −1 … classes − 1, −1 or None meaning no class; condition (B, V) standardised numbers for ``condition=V``,
    NaN or None where there is none → logits (B, L, tokens), zero at initialisation.

    ``tokens`` is K, the number of things to choose from; ``states`` S ≥ K how many may stand in x, K + 1 with a mask
    (None: K). ``length`` is the longest sequence, None for any: positions are rotations of queries and keys, which have
    no weights and see nothing but distances (Su et al. 2021). ``depth`` blocks of ``width`` channels and ``heads``
    heads. With ``near`` r every token brings along the r before it and the r behind it, see ``Near``. Logits are
    products with the very table that tokens go in by, y = E h + b (Press & Wolf 2017; ``tied`` False gives them weights
    of their own). ``qk_norm`` normalises queries and keys; ``checkpoint`` computes the blocks again for the gradients
    instead of keeping what they computed. Weights are drawn by torch's global generator: seed it before. Raises
    UserError for sizes that do not fit together, and at forward for an input it cannot take.
    """

    def __init__(
        self,
        tokens: int,
        *,
        states: int | None = None,
        length: int | None = None,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        near: int = 0,
        tied: bool = True,
        qk_norm: bool = False,
        dropout: float = 0.0,
        classes: int = 0,
        condition: int = 0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.tokens, self.states, self.length = tokens, tokens if states is None else states, length
        check_tokens(self.tokens, self.states)
        least = min(width, depth, 1 if length is None else length)
        if least < 1 or min(classes, near) < 0 or not 0 <= dropout < 1:
            raise UserError(
                "width, depth and length must be at least 1, classes and near at least 0, and dropout at least 0 and "
                f"less than 1; got width={width}, depth={depth}, length={length}, classes={classes}, near={near}, "
                f"dropout={dropout}."
            )
        if heads > 0 and width % (2 * heads):
            raise UserError(
                f"Rotary positions turn pairs of channels: heads={heads} needs a width that is a multiple of "
                f"{2 * heads}, got {width}."
            )
        self.width, self.checkpoint = width, checkpoint
        self.each = width // max(heads, 1)
        self.told = Conditioning(FEATURES, width, classes, condition)
        self.table = table(self.states, width)
        self.near = Near(width, near) if near else nn.Identity()
        self.blocks = nn.ModuleList(AdaptiveBlock(width, heads, dropout=dropout, qk_norm=qk_norm) for _ in range(depth))
        self.head = AdaptiveHead(width, width if tied else tokens)
        self.bias = nn.Parameter(torch.zeros(tokens)) if tied else None  # how common each token is

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.dtype.is_floating_point or (self.length is not None and x.shape[1] > self.length):
            most = "L" if self.length is None else f"L ≤ {self.length}"
            raise UserError(
                f"This TokenTransformer takes int64 (B, {most}); got an input of shape {tuple(x.shape)}, "
                f"{str(x.dtype).removeprefix('torch.')}."
            )
        told = self.told(level, label, x.shape[0], condition)
        h = self.near(embedded(x, self.table))
        dtype = torch.promote_types(self.table.dtype, torch.float32)  # half precision could not tell far places apart
        turned = turns(torch.arange(x.shape[1], device=x.device, dtype=dtype), self.each)
        for block in self.blocks:
            h = run(block, h, told, turned, checkpoint=self.checkpoint)
        y = self.head(h, told)
        return y if self.bias is None else F.linear(y, self.table[: self.tokens], self.bias)

    def __repr__(self) -> str:
        return f"TokenTransformer({parameters_millions(self):.1f}M)"


def check_tokens(tokens: int, states: int) -> None:
    """Raises UserError for numbers of tokens and states that no process has."""
    if tokens < 2 or states < tokens:
        raise UserError(
            f"tokens must be at least 2 and states at least tokens; got tokens={tokens}, states={states}. "
            "states is tokens + 1 where there is a mask."
        )


def table(states: int, width: int) -> nn.Parameter:
    """One row a token, of unit norm on average, so that the product with a row is of the size of what it is taken of
    (Vaswani et al. 2017, sec. 3.4), (S, width)."""
    rows = nn.Parameter(torch.empty(states, width))
    nn.init.normal_(rows, std=width**-0.5)
    return rows


def embedded(x: Tensor, table: Tensor) -> Tensor:
    """Tokens (B, *D) int64 → (B, *D, width) of unit variance: √width times their rows (ibid.)."""
    return F.embedding(x, table) * math.sqrt(table.shape[1])
