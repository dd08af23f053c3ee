"""What the transformers share: attention over a row of tokens, and the block whose every part begins at zero."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .layers import zero

EPS = 1e-6  # of the layer norms, as in DiT


class UnitNorm(nn.Module):
    """x / rms(x) · weight over the last axis, in the weight's own precision and back (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.to(self.weight.dtype), self.weight.shape, self.weight, EPS).to(x.dtype)


class SelfAttention(nn.Module):
    """Every token's view of all tokens (Vaswani et al. 2017, eq. 1), (B, T, W) → (B, T, W).

    ``qk_norm`` brings queries and keys of each head to unit root mean square first (Dehghani et al. 2023), which keeps
    the attention logits of large networks bounded. ``turns`` (2, T, W / heads / 2) rotate both by their positions (see
    ``sequence.turns``). Second derivatives and forward mode need ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``
    around the call. Raises UserError when ``heads`` does not divide the width.
    """

    def __init__(self, width: int, heads: int, qk_norm: bool = False) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise UserError(f"heads={heads} does not divide the width {width} of a transformer.")
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_q, self.norm_k = (UnitNorm(width // heads) if qk_norm else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor, turns: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, T, ·)
        q, k = self.norm_q(q), self.norm_k(k)
        if turns is not None:
            q, k = turned(q, turns), turned(k, turns)
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(1, 2).flatten(2))


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Every pair (x_i, x_{i + d/2}) of a query or key turned by the angle of its place, (…, T, d) with the cosines and
    sines (2, T, d/2) → (…, T, d), in the precision of ``turns`` and back (Su et al. 2021, eq. 34)."""
    cos, sin = turns.unbind(0)
    first, second = x.to(turns.dtype).chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)


class AdaptiveBlock(nn.Module):
    """adaLN-Zero (Peebles & Xie 2023, sec. 3.2): x ← x + g₁ · attention(n(x)(1 + s₁) + h₁), then
    x ← x + g₂ · MLP(n(x)(1 + s₂) + h₂), with layer norm n and (h₁, s₁, g₁, h₂, s₂, g₂) = W told + b, zero at first.

    x (B, T, width), told (B or 1, width), turns as in ``SelfAttention`` → (B, T, width); the MLP is ``ratio`` times as
    wide inside, with tanh-GELU.
    """

    def __init__(self, width: int, heads: int, *, ratio: float = 4.0, dropout: float = 0.0, qk_norm: bool = False):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width, EPS, elementwise_affine=False)
        self.attention = SelfAttention(width, heads, qk_norm)
        self.norm_mlp = nn.LayerNorm(width, EPS, elementwise_affine=False)
        self.wide, self.narrow = nn.Linear(width, int(width * ratio)), nn.Linear(int(width * ratio), width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.attention.qkv, self.attention.out, self.wide, self.narrow):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.told = zero(nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, told: Tensor, turns: Tensor | None = None) -> Tensor:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.told(told).unsqueeze(1).chunk(6, 2)
        x = x + gate * self.attention(torch.addcmul(shift, self.norm_attention(x), 1 + scale), turns)
        h = F.gelu(self.wide(torch.addcmul(shift_mlp, self.norm_mlp(x), 1 + scale_mlp)), approximate="tanh")
        return x + gate_mlp * self.narrow(self.dropout(h))


class AdaptiveHead(nn.Module):
    """Linear(n(x)(1 + s) + h) with (h, s) = W told + b, all zero at first: tokens to numbers (ibid., fig. 3),
    (B, T, width), (B or 1, width) → (B, T, outputs)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, EPS, elementwise_affine=False)
        self.told, self.out = zero(nn.Linear(width, 2 * width)), zero(nn.Linear(width, outputs))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shift, scale = self.told(told).unsqueeze(1).chunk(2, 2)
        return self.out(torch.addcmul(shift, self.norm(x), 1 + scale))
