"""The U-Net of the diffusion papers: DDPM, DDPM++ and ADM are choices of its arguments (see presets)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import UserError, suggest
from ..registry import register
from .edges import attended_levels, check_halvings
from .fast import modulated
from .layers import (
    Attention,
    Conditioning,
    Double,
    Halve,
    ResidualBlock,
    convolution,
    group_norm,
    parameters_millions,
    run,
    zero,
)
from .waves import PixelWaves


class Unit(nn.Module):
    """A residual block, followed by attention where its level has it, (B, C, H, W) → (B, C′, H′, W′)."""

    def __init__(self, block: ResidualBlock, attention: Attention | None = None) -> None:
        super().__init__()
        self.block, self.attention = block, nn.Identity() if attention is None else attention

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return self.attention(self.block(x, told))


class Downsampling(nn.Module):
    """DDPM's way down: a strided convolution, or the filter and then a convolution. Not told anything."""

    def __init__(self, dims: int, channels: int, fir: bool) -> None:
        super().__init__()
        self.filter = Halve(dims, fir) if fir else nn.Identity()
        self.conv = convolution(dims, channels, channels, stride=1 if fir else 2)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return self.conv(self.filter(x))


class Upsampling(nn.Module):
    """DDPM's way up: double, then convolve. Not told anything."""

    def __init__(self, dims: int, channels: int, fir: bool) -> None:
        super().__init__()
        self.filter, self.conv = Double(dims, fir), convolution(dims, channels, channels)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return self.filter.into(self.conv, x)


# How a level is left: its last features (channels, channels) at half or at twice the edge.
Block = Callable[..., ResidualBlock]
UPDOWN: dict[str, tuple[Callable[[Block, int, int, bool], nn.Module], ...]] = {
    "block": (
        lambda block, dims, c, fir: block(c, c, resample=Halve(dims, fir)),
        lambda block, dims, c, fir: block(c, c, resample=Double(dims, fir)),
    ),
    "conv": (
        lambda block, dims, c, fir: Downsampling(dims, c, fir),
        lambda block, dims, c, fir: Upsampling(dims, c, fir),
    ),
}
# Which of the n units of a level on the way up have attention, where the level has it.
ATTENTION_UP: dict[str, Callable[[int, int], bool]] = {
    "every": lambda i, n: True,
    "last": lambda i, n: i == n - 1,
}


@register("unet", "net")
class UNet(nn.Module):
    """Maps noisy images to a prediction of the same size, coarse structure and fine detail together, told how noisy
    they are (Ronneberger et al. 2015; Ho et al. 2020, app. B; Dhariwal & Nichol 2021, sec. 3).

    forward(x, level, label, condition): x (B, in_channels, *S) with ``dims`` spatial axes; level (B,) or () = log σ/α
    in [-10, 10]; label (B,) int64 in −1 … classes − 1, −1 or None meaning no class; condition (B, V) standardised
    numbers for ``condition=V``, NaN or None where there is none → (B, out_channels, *S).
    The output is zero at initialisation, so that the first EDM loss of data with RMS sigma_data is 1.

    channels × mult[i] are the channels of level i, whose edges are those of x halved i times; ``blocks`` residual
    blocks stand on every level. ``attention`` lists the edge lengths, in pixels of inputs of edge ``size``, of the
    levels that have attention (the deepest always has one layer in its middle); ``size`` (of rectangles the longer
    edge) serves for nothing else: the network takes every input that can be halved. ``attention_up`` gives it to
    "every" unit on the way up or to the "last" of a level. ``updown`` resamples inside residual "block"s (ADM,
    DDPM++) or by a "conv" (DDPM), ``fir`` with the filter [1, 3, 3, 1]. ``scale_shift`` conditions by x·(1 + scale) +
    shift instead of adding; ``rescale`` scales every residual sum by 1/√2; ``project`` puts a 1×1 convolution on the
    skip of resampling blocks. ``group`` channels are normed together, in at most 32 groups (4 in the papers).

    ``waves`` adds Fourier features of these frequencies (see ``PixelWaves``); ``scale`` is then the root mean square of
    the data.
    ``checkpoint`` computes the blocks again for the gradients instead of keeping what they computed: less memory.
    Weights are drawn by torch's global generator: seed it before.
    Raises UserError for arguments that do not fit together, and at forward for an input it cannot take.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: int | None = None,
        dims: int = 2,
        size: int | None = None,
        channels: int = 128,
        mult: Sequence[int | float] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (),
        attention_up: Literal["every", "last"] = "every",
        heads: int | None = None,
        head_channels: int = 64,
        scale_shift: bool = True,
        updown: Literal["block", "conv"] = "block",
        fir: bool = False,
        rescale: bool = False,
        project: bool = False,
        group: int = 16,
        dropout: float = 0.0,
        waves: Sequence[float] = (),
        scale: float = 1.0,
        classes: int = 0,
        condition: int = 0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        widths = [int(channels * m) for m in mult]
        out_channels = in_channels if out_channels is None else out_channels
        if min(in_channels, out_channels) < 1:
            raise UserError(f"in_channels and out_channels must be at least 1, got {in_channels} and {out_channels}.")
        _check_arguments(dims, widths, blocks, group, classes, dropout, attention_up, updown)
        self.in_channels, self.dims, self.halvings = in_channels, dims, len(widths) - 1
        self.checkpoint = checkpoint
        if size is not None:
            self.check(size)
        attended = attended_levels(size, attention, self.halvings)
        told = 4 * channels
        block = partial(ResidualBlock, width=told, dims=dims, dropout=dropout, scale_shift=scale_shift)
        block = partial(block, rescale=rescale, group=group)
        look = partial(Attention, heads=heads, head_channels=head_channels, rescale=rescale, group=group)
        down, up = UPDOWN[updown]
        resampling = partial(block, project=project)

        def unit(inputs: int, outputs: int, attends: bool) -> Unit:
            return Unit(block(inputs, outputs), look(outputs) if attends else None)

        self.told = Conditioning(channels, told, classes, condition)
        c = min(channels, widths[0])
        self.waves = PixelWaves(waves, scale) if len(waves) else None
        self.stem = convolution(dims, in_channels * (1 + 2 * len(waves)), c)
        skips = [c]
        self.down = nn.ModuleList()
        for level, wide in enumerate(widths):
            if level:
                self.down.append(down(resampling, dims, c, fir))
                skips.append(c)
            for _ in range(blocks):
                self.down.append(unit(c, wide, level in attended))
                c = wide
                skips.append(c)

        self.middle = nn.ModuleList((unit(c, c, True), unit(c, c, False)))

        self.up = nn.ModuleList()
        self.joins: list[bool] = []  # which modules of the way up take a skip beside what comes from below
        for level, wide in reversed(list(enumerate(widths))):
            for i in range(blocks + 1):
                attends = level in attended and ATTENTION_UP[attention_up](i, blocks + 1)
                self.up.append(unit(c + skips.pop(), wide, attends))
                self.joins.append(True)
                c = wide
            if level:
                self.up.append(up(resampling, dims, c, fir))
                self.joins.append(False)

        self.norm = group_norm(c, group)
        self.head = zero(convolution(dims, c, out_channels))

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        self._check_input(x)
        told = self.told(level, label, x.shape[0], condition)
        x = x if self.waves is None else torch.cat((x, self.waves(x, level)), 1)
        h = self.stem(x.unsqueeze(2) if self.dims == 1 else x)  # a signal is an image of height 1, see layers
        skips = [h]
        for module in self.down:
            h = run(module, h, told, checkpoint=self.checkpoint)
            skips.append(h)
        for module in self.middle:
            h = run(module, h, told, checkpoint=self.checkpoint)
        for module, joins in zip(self.up, self.joins, strict=True):
            h = run(module, torch.cat((h, skips.pop()), 1) if joins else h, told, checkpoint=self.checkpoint)
        h = self.head(modulated(self.norm, h))
        return h.squeeze(2) if self.dims == 1 else h

    def check(self, size: int | Sequence[int]) -> None:
        """Raises UserError, naming the nearest sizes that work, unless every edge can be halved len(mult) − 1 times."""
        check_halvings([size] * self.dims if isinstance(size, int) else [int(edge) for edge in size], self.halvings)

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels:
            axes = ("L",) if self.dims == 1 else ("H", "W")
            raise UserError(
                f"This U-Net takes (B, {self.in_channels}, {', '.join(axes)}); got an input of shape {tuple(x.shape)}."
            )
        self.check(x.shape[2:])

    def __repr__(self) -> str:
        return f"UNet({parameters_millions(self):.1f}M)"


def _check_arguments(
    dims: int,
    widths: Sequence[int],
    blocks: int,
    group: int,
    classes: int,
    dropout: float,
    attention_up: str,
    updown: str,
) -> None:
    faults = {
        f"dims must be 1 (signals) or 2 (images), got {dims}.": dims not in (1, 2),
        f"channels times mult must be at least 1 channel on at least one level, got {list(widths)}.": (
            not widths or min(widths) < 1
        ),
        f"blocks must be at least 1, got {blocks}.": blocks < 1,
        f"group must be at least 1 channel, got {group}.": group < 1,
        f"classes must be 0 (none) or more, got {classes}.": classes < 0,
        f"dropout must be at least 0 and less than 1, got {dropout}.": not 0 <= dropout < 1,
        f"no attention_up is called {attention_up!r}.{suggest(attention_up, ATTENTION_UP)}": (
            attention_up not in ATTENTION_UP
        ),
        f"no updown is called {updown!r}.{suggest(updown, UPDOWN)}": updown not in UPDOWN,
    }
    for sentence, fault in faults.items():
        if fault:
            raise UserError(sentence)
