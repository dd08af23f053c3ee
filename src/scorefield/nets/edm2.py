"""The magnitude-preserving U-Net of EDM2 (Karras et al. 2024, config G)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register
from .edges import attended_levels, check_halvings
from .layers import Double, Halve, parameters_millions, run
from .magnitude import MPConv, MPFourier, mp_cat, mp_silu, mp_sum, normalise
from .rules import known_classes, known_numbers

RESIDUAL = ATTENDED = 0.3  # share of a branch in its sum with what it bypasses
CLIPPED = 256.0  # activations, so that half precision cannot overflow
LEVEL = 0.25  # c_noise = ln σ / 4 (Karras et al. 2022, tab. 1)


class Told(nn.Module):
    """What every block is told: Fourier features of the level, summed with the class and the numbers it shall have.

    level (B,) or (), label (B,) or None, B, condition (B, V) or None → (B or 1, width), of unit magnitude. A class is
    a column of a magnitude-preserving layer, the answer to a one-hot input of length √K (ibid., sec. B.3); numbers
    [c, known] go through two such layers. Label −1 and rows of NaN, like no label and no condition, are embedded as
    zero.
    """

    def __init__(self, features: int, width: int, classes: int, condition: int) -> None:
        super().__init__()
        self.classes, self.numbers = classes, condition
        self.fourier, self.noise = MPFourier(features), MPConv(features, width)
        self.label = MPConv(classes, width) if classes else None
        self.seen = MPConv(2 * condition, width) if condition else None
        self.meant = MPConv(width, width) if condition else None

    def forward(self, level: Tensor, label: Tensor | None, batch: int, condition: Tensor | None) -> Tensor:
        dtype = self.noise.weight.dtype
        told = self.noise(self.fourier(LEVEL * level.reshape(-1)).to(dtype))
        if self.label is not None or label is not None:
            told = mp_sum(told, self.of_class(label, batch, told))
        if self.seen is not None or condition is not None:
            told = mp_sum(told, self.of_numbers(condition, batch, told))
        return mp_silu(told)

    def of_class(self, label: Tensor | None, batch: int, like: Tensor) -> Tensor:
        """The embedding of each class, zero for none, (B,) → (B, width)."""
        if label is None:
            return torch.zeros_like(like)
        index, known = known_classes(label, self.classes, batch)
        assert self.label is not None  # known_classes refuses a label where there is none
        return self.label.column(index) * known

    def of_numbers(self, condition: Tensor | None, batch: int, like: Tensor) -> Tensor:
        """The embedding of the known numbers, zero where none is, (B, V) → (B, width)."""
        if condition is None:
            return torch.zeros_like(like)
        row, known = known_numbers(condition, self.numbers, batch, self.noise.weight.dtype)
        assert self.seen is not None and self.meant is not None  # as above
        return self.meant(mp_silu(self.seen(row))) * known


class CosineAttention(nn.Module):
    """Attention between queries and keys of unit magnitude, so that no logit exceeds √C by much (ibid., sec. B.2),
    (B, C, *S) → the same shape. Second derivatives need ``sdpa_kernel(SDPBackend.MATH)`` around the call."""

    def __init__(self, channels: int, heads: int, dims: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = MPConv(channels, 3 * channels, *[1] * dims)
        self.out = MPConv(channels, channels, *[1] * dims)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).flatten(2).unflatten(1, (self.heads, -1, 3))  # (B, heads, C / heads, 3, L)
        q, k, v = normalise(qkv, 2).permute(3, 0, 1, 4, 2).unbind(0)  # each (B, heads, L, C / heads)
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(2, 3).reshape(x.shape))


class MPBlock(nn.Module):
    """The block of EDM2 (ibid., fig. 21), x (B, inputs, *S), told (B or 1, width) → (B, outputs, *S′).

    On the way down (``down``) it puts every pixel on the sphere first; ``resample`` (Halve or Double) comes before
    all. ``heads`` 0 is no attention.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        dims: int,
        down: bool,
        heads: int = 0,
        resample: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.down, self.trailing = down, (1,) * dims
        self.told_gain = nn.Parameter(torch.zeros(()))
        self.resample = nn.Identity() if resample is None else resample
        self.conv_in = MPConv(outputs if down else inputs, outputs, *[3] * dims)
        self.told = MPConv(width, outputs)
        self.conv_out = MPConv(outputs, outputs, *[3] * dims)
        self.skip = MPConv(inputs, outputs, *[1] * dims) if inputs != outputs else nn.Identity()
        self.attention = CosineAttention(outputs, heads, dims) if heads else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        x = self.resample(x)
        x = normalise(self.skip(x), 1) if self.down else x
        h = self.conv_in(mp_silu(x))
        scale = self.told(told, gain=self.told_gain).unflatten(1, (-1, *self.trailing)) + 1
        h = self.conv_out(self.dropout(mp_silu(h * scale)))
        x = mp_sum(x if self.down else self.skip(x), h, RESIDUAL)
        x = x if self.attention is None else mp_sum(x, self.attention(x), ATTENDED)
        return x.clamp(-CLIPPED, CLIPPED)


@register("edm2", "net")
class EDM2(nn.Module):
    """A U-Net in which nothing grows: activations, weights and updates keep their magnitude by construction, so that
    it needs no normalisation, no warm-up and large learning rates (Karras et al. 2024, config G).

    forward(x, level, label, condition): x (B, in_channels, *S) with ``dims`` spatial axes; level (B,) or () = log σ/α
    in [-10, 10]; label (B,) int64 in −1 … classes − 1, −1 or None meaning no class; condition (B, V) standardised
    numbers for ``condition=V``, NaN or None where there is none → (B, out_channels, *S). Zero at initialisation. In
    training, each forward pass first puts the weights back on the sphere, in place.

    channels × mult[i] are the channels of level i, ``blocks`` a level on the way down and one more on the way up;
    ``attention`` lists the edges, for inputs of edge ``size``, of the levels that attend (the deepest always does
    once), with heads of about ``head_channels``. ``checkpoint`` computes the blocks again for the gradients instead of
    keeping what they computed.

    Train with decay=rsqrt and a learning rate near 0.01: what counts is the angle by which weights turn. Weights are
    drawn by torch's global generator: seed it before.
    Raises UserError for arguments that do not fit together, and at forward for an input it cannot take.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: int | None = None,
        dims: int = 2,
        size: int | None = None,
        channels: int = 192,
        mult: Sequence[int] = (1, 2, 3, 4),
        blocks: int = 3,
        attention: Sequence[int] = (),
        head_channels: int = 64,
        dropout: float = 0.0,
        classes: int = 0,
        condition: int = 0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        widths = [channels * m for m in mult]
        outputs = in_channels if out_channels is None else out_channels
        _check_arguments(min(in_channels, outputs), dims, widths, blocks, head_channels, dropout, classes)
        self.in_channels, self.dims, self.halvings, self.checkpoint = in_channels, dims, len(widths) - 1, checkpoint
        if size is not None:
            self.check(size)
        attended = attended_levels(size, attention, self.halvings)
        self.out_gain = nn.Parameter(torch.zeros(()))
        self.told = Told(widths[0], max(widths), classes, condition)
        block = partial(MPBlock, width=max(widths), dims=dims, dropout=dropout)

        def heads(width: int, attends: bool) -> int:
            most = max(1, width // head_channels)
            return next(h for h in range(most, 0, -1) if width % h == 0) if attends else 0

        c = widths[0]
        self.stem = MPConv(in_channels + 1, c, *[3] * dims)
        skips = [c]
        self.down = nn.ModuleList()
        for level, wide in enumerate(widths):
            if level:
                self.down.append(block(c, c, down=True, resample=Halve(dims)))
                skips.append(c)
            for _ in range(blocks):
                self.down.append(block(c, wide, down=True, heads=heads(wide, level in attended)))
                c = wide
                skips.append(c)

        self.up = nn.ModuleList()
        self.joins: list[bool] = []  # which blocks of the way up take a skip beside what comes from below
        for level, wide in reversed(list(enumerate(widths))):
            if level == self.halvings:
                self.up.extend((block(c, c, down=False, heads=heads(c, True)), block(c, c, down=False)))
                self.joins += [False, False]
            else:
                self.up.append(block(c, c, down=False, resample=Double(dims)))
                self.joins.append(False)
            for _ in range(blocks + 1):
                self.up.append(block(c + skips.pop(), wide, down=False, heads=heads(wide, level in attended)))
                self.joins.append(True)
                c = wide
        self.head = MPConv(c, outputs, *[3] * dims)
        self.layers = [module for module in self.modules() if type(module) is MPConv]

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels:
            axes = ", ".join(("L",) if self.dims == 1 else ("H", "W"))
            raise UserError(f"This EDM2 takes (B, {self.in_channels}, {axes}); got an input of shape {tuple(x.shape)}.")
        self.check(x.shape[2:])
        if self.training:
            for layer in self.layers:
                layer.force()
        told = self.told(level, label, x.shape[0], condition)
        h = self.stem(torch.cat((x, torch.ones_like(x[:, :1])), 1))  # the constant makes up for missing biases
        skips = [h]
        for block in self.down:
            h = run(block, h, told, checkpoint=self.checkpoint)
            skips.append(h)
        for block, joins in zip(self.up, self.joins, strict=True):
            h = run(block, mp_cat(h, skips.pop()) if joins else h, told, checkpoint=self.checkpoint)
        return self.head(h, gain=self.out_gain)

    def check(self, size: int | Sequence[int]) -> None:
        """Raises UserError, naming the nearest sizes that work, unless every edge can be halved len(mult) − 1 times."""
        check_halvings([size] * self.dims if isinstance(size, int) else [int(edge) for edge in size], self.halvings)

    def __repr__(self) -> str:
        return f"EDM2({parameters_millions(self):.1f}M)"


def _check_arguments(
    least: int, dims: int, widths: Sequence[int], blocks: int, head_channels: int, dropout: float, classes: int
) -> None:
    faults = {
        f"in_channels and out_channels must be at least 1, got {least}.": least < 1,
        f"dims must be 1 (signals) or 2 (images), got {dims}.": dims not in (1, 2),
        f"channels times mult must be at least 1 channel on at least one level, got {list(widths)}.": (
            not widths or min(widths) < 1
        ),
        f"blocks and head_channels must be at least 1, got {blocks} and {head_channels}.": min(blocks, head_channels)
        < 1,
        f"classes must be 0 (none) or more, got {classes}.": classes < 0,
        f"dropout must be at least 0 and less than 1, got {dropout}.": not 0 <= dropout < 1,
    }
    for sentence, fault in faults.items():
        if fault:
            raise UserError(sentence)
