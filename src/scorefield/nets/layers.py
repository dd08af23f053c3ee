"""The parts of the networks. They see a noise level and a class, and know nothing of diffusion.

``dims`` (1 or 2) says how many axes a convolution or a change of the edge acts on. Blocks see signals as images of
height 1, (B, C, 1, L): a CPU's kernels for images let channels lie last, those for signals do not.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as rematerialise

from ..errors import UserError
from .fast import Pointwise, convolve_doubled, modulated
from .rules import known_classes, known_numbers

POOLINGS = {3: F.avg_pool1d, 4: F.avg_pool2d}  # by the axes of their input
LEAST_DOUBLED = 7  # edge; tinier images stay bit for bit what their recipe was measured with
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = math.pi / 20, 8.0  # radians per unit of level, see level_features


def convolution(dims: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    """A convolution that keeps the edges (divides them by ``stride``), (B, inputs, H, W) → (B, outputs, H′, W′); for
    signals, ``dims=1``, along the last axis alone."""
    if dims == 1:
        return nn.Conv2d(inputs, outputs, (1, kernel), stride=(1, stride), padding=(0, kernel // 2))
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def zero(module: nn.Module) -> nn.Module:
    """The module with all its parameters at zero: a residual branch that starts as the identity (Ho et al. 2020)."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def group_norm(channels: int, each: int = 16) -> nn.GroupNorm:
    """Group norm of ``each`` channels a group and at most 32 groups, or the next fewer that divide C. 16 was the best
    of Wu & He 2018, tab. 3, and where channels lie last it is computed faster than the 4 of the diffusion papers.
    """
    most = max(1, min(32, channels // each))
    return nn.GroupNorm(next(groups for groups in range(most, 0, -1) if channels % groups == 0), channels)


def parameters_millions(net: nn.Module) -> float:
    """How many million numbers training adjusts."""
    return sum(p.numel() for p in net.parameters()) / 1e6


def level_features(level: Tensor, count: int) -> Tensor:
    """(cos ω·level, sin ω·level), (…,) → (…, count), for levels log σ/α in [-10, 10]; ``count`` is even.

    The frequencies ω are geometric between two ends that the range itself gives. The lowest, π/20, turns by half a
    circle over the 20 units of the range, so no two levels look alike. The highest, 8, is where detail ends: the
    exact denoiser of a Gaussian component is a logistic curve in 2·level, and the spectrum of its slope,
    ω / sinh(πω/2), has fallen below 10⁻⁴ there; faster waves would only make levels between those of training
    unpredictable. (The embeddings of the papers are tied to a step count of 1,000 or to a scale of their own.)
    Computed in float32 at least: in half precision the phase of the fastest wave would be off by a quarter radian.
    """
    dtype = torch.promote_types(level.dtype, torch.float32)
    ends = math.log(LOWEST_FREQUENCY), math.log(HIGHEST_FREQUENCY)
    frequencies = torch.linspace(*ends, count // 2, device=level.device, dtype=dtype).exp()
    phase = level.to(dtype).unsqueeze(-1) * frequencies
    return torch.cat((phase.cos(), phase.sin()), -1)


def run(module: nn.Module, *inputs: Tensor, checkpoint: bool = False) -> Tensor:
    """module(*inputs); with ``checkpoint`` what it computes on the way is not kept but computed again for the gradients
    (Chen et al. 2016): the same numbers for about a third more time and a fraction of the memory."""
    if checkpoint and torch.is_grad_enabled():
        return rematerialise(module, *inputs, use_reentrant=False)
    return module(*inputs)


class Conditioning(nn.Module):
    """What every block is told: how noisy its input is and, for a network with classes or with numbers as conditions,
    of which class and with which numbers it shall be.

    level (B,) or (), label (B,) int64 or None, B, condition (B, V) float or None → (B, width), or (1, width) where
    nothing varies over the batch. Conditions should be standardised. Label −1 and a row of NaN, like no label and no
    condition at all, add nothing: the bias of the last layer then *is* the learned null embedding, so the
    unconditional branch of classifier-free guidance (Ho & Salimans 2022) costs no parameter of its own. In a row that
    is NaN in part, the network is told which numbers are known: σ(W [c, known]) with 0 for an unknown c.
    Raises UserError for a label without classes or a condition without numbers, of the wrong shape or, where that can
    be seen without waiting for an accelerator (on the CPU, outside torch.compile), out of range.
    """

    def __init__(self, features: int, width: int, classes: int = 0, condition: int = 0) -> None:
        super().__init__()
        self.features, self.classes, self.numbers = features + features % 2, classes, condition
        self.first, self.last = nn.Linear(self.features, width), nn.Linear(width, width)
        self.table = nn.Embedding(classes, width) if classes else None
        self.seen = nn.Linear(2 * condition, width) if condition else None
        self.meant = nn.Linear(width, width, bias=False) if condition else None

    def forward(self, level: Tensor, label: Tensor | None, batch: int, condition: Tensor | None = None) -> Tensor:
        features = level_features(level.reshape(-1), self.features).to(self.first.weight.dtype)
        told = self.last(F.silu(self.first(features)))
        if label is not None:
            told = told + self.of_class(label, batch)
        if condition is not None:
            told = told + self.of_numbers(condition, batch)
        return F.silu(told)

    def of_class(self, label: Tensor, batch: int) -> Tensor:
        """Row ``label`` of the table, or zeros for −1, (B,) → (B, width)."""
        index, known = known_classes(label, self.classes, batch)
        assert self.table is not None  # known_classes refuses a label where there is none
        return self.table(index) * known

    def of_numbers(self, condition: Tensor, batch: int) -> Tensor:
        """What the known numbers of each row say, or zeros where none is, (B, V) → (B, width)."""
        row, known = known_numbers(condition, self.numbers, batch, self.first.weight.dtype)
        assert self.seen is not None and self.meant is not None  # as above
        return self.meant(F.silu(self.seen(row))) * known


class Halve(nn.Module):
    """Half the edge of the last ``dims`` axes, without parameters: the mean of neighbours, or the filter
    [1, 3, 3, 1] / 8 (``fir``).

    The filter is that of NCSN++ (Song et al. 2021, after Zhang 2019), but it repeats the border instead of padding
    with zeros, so constants stay constant up to the edge. Edges must be even.
    """

    def __init__(self, dims: int, fir: bool = False) -> None:
        super().__init__()
        self.dims, self.fir = dims, fir

    def forward(self, x: Tensor) -> Tensor:
        if not self.fir:
            return POOLINGS[x.ndim](x, _edges(x, self.dims))
        for dim in range(-self.dims, 0):
            x = _fir_halve(x, x.ndim + dim)
        return x

    def into(self, conv: nn.Module, x: Tensor) -> Tensor:
        """conv(self(x)), see ``Double``."""
        return conv(self(x))


class Keep(nn.Module):
    """The same edge: where ``Halve`` and ``Double`` would change it."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def into(self, conv: nn.Module, x: Tensor) -> Tensor:
        """conv(x), see ``Double``."""
        return conv(x)


class Double(nn.Module):
    """Twice the edge of the last ``dims`` axes, without parameters: every value repeated, or the filter
    [1, 3, 3, 1] / 4 (``fir``), see Halve."""

    def __init__(self, dims: int, fir: bool = False) -> None:
        super().__init__()
        self.dims, self.fir = dims, fir

    def forward(self, x: Tensor) -> Tensor:
        if not self.fir:
            return F.interpolate(x, scale_factor=[float(edge) for edge in _edges(x, self.dims)], mode="nearest")
        for dim in range(-self.dims, 0):
            x = _fir_double(x, x.ndim + dim)
        return x

    def into(self, conv: nn.Module, x: Tensor) -> Tensor:
        """conv(self(x)) for a 3×3 convolution that keeps the edge, in fewer products where that is known to be faster:
        of repeated pixels on a CPU."""
        if self.fir or self.dims != 2 or x.device.type != "cpu" or x.shape[-1] < LEAST_DOUBLED:
            return conv(self(x))
        return convolve_doubled(x, conv.weight, conv.bias)  # pyrefly: ignore[bad-argument-type]


def _edges(x: Tensor, dims: int) -> list[int]:
    """2 for the last ``dims`` axes, 1 for the other axes behind the channels."""
    return [1] * (x.ndim - 2 - dims) + [2] * dims


def _fir_halve(x: Tensor, dim: int) -> Tensor:
    """y_i = (x_{2i−1} + 3 x_{2i} + 3 x_{2i+1} + x_{2i+2}) / 8 along ``dim``; plain slices, deterministic everywhere."""
    even, odd = x.unflatten(dim, (-1, 2)).unbind(dim + 1)
    n = even.shape[dim]
    before = torch.cat((even.narrow(dim, 0, 1), odd.narrow(dim, 0, n - 1)), dim)
    after = torch.cat((even.narrow(dim, 1, n - 1), odd.narrow(dim, n - 1, 1)), dim)
    return (before + 3 * (even + odd) + after) / 8


def _fir_double(x: Tensor, dim: int) -> Tensor:
    """y_{2i} = (x_{i−1} + 3 x_i) / 4 and y_{2i+1} = (3 x_i + x_{i+1}) / 4 along ``dim``."""
    n = x.shape[dim]
    before = torch.cat((x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)), dim)
    after = torch.cat((x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)), dim)
    return torch.stack(((before + 3 * x) / 4, (3 * x + after) / 4), dim + 1).flatten(dim, dim + 1)


class ResidualBlock(nn.Module):
    """x + f(x, told): the block of DDPM (Ho et al. 2020), and with ``scale_shift`` and ``resample`` of ADM
    (Dhariwal & Nichol 2021, sec. 3).

    x (B, inputs, H, W), told (B or 1, width) → (B, outputs, H′, W′); a signal has H = 1 and ``dims=1``.
    ``resample`` (Halve or Double) acts on both branches before the first convolution. ``rescale`` multiplies the sum by
    1/√2, which keeps its variance (DDPM++); ``project`` puts a 1×1 convolution on the skip even where the channels
    agree; ``group`` channels are normed together. The branch starts at zero.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        dims: int = 2,
        dropout: float = 0.0,
        scale_shift: bool = True,
        rescale: bool = False,
        project: bool = False,
        resample: Halve | Double | None = None,
        group: int = 16,
    ) -> None:
        super().__init__()
        self.scale_shift, self.gain = scale_shift, math.sqrt(0.5) if rescale else 1.0
        self.norm_in, self.conv_in = group_norm(inputs, group), convolution(dims, inputs, outputs)
        self.resample: Any = Keep() if resample is None else resample
        self.told = nn.Linear(width, 2 * outputs if scale_shift else outputs)
        self.norm_out, self.conv_out = group_norm(outputs, group), zero(convolution(dims, outputs, outputs))
        self.dropout = nn.Dropout(dropout)
        projected = project or inputs != outputs
        self.skip = Pointwise(inputs, outputs) if projected else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.resample.into(self.conv_in, modulated(self.norm_in, x))
        condition = self.told(told).unflatten(1, (-1, 1, 1))
        h = (
            modulated(self.norm_out, h, *condition.chunk(2, 1))
            if self.scale_shift
            else modulated(self.norm_out, h + condition)
        )
        h = self.skip(self.resample(x)) + self.conv_out(self.dropout(h))
        return h * self.gain if self.gain != 1 else h


class Attention(nn.Module):
    """x + every position's view of all positions (Vaswani et al. 2017, eq. 1), (B, C, *S) → the same shape.

    ``heads``, or as many of about ``head_channels`` each as divide C. The branch starts at zero. Second derivatives
    and forward mode need ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`` around the call: fused kernels have none.
    Raises UserError when ``heads`` does not divide C.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int | None = None,
        head_channels: int = 64,
        rescale: bool = False,
        group: int = 16,
    ) -> None:
        super().__init__()
        if head_channels < 1 or (heads is not None and heads < 1):
            raise UserError(f"heads and head_channels must be at least 1; got {heads} and {head_channels}.")
        if heads is None:
            most = max(1, channels // head_channels)
            heads = next(h for h in range(most, 0, -1) if channels % h == 0)
        if channels % heads:
            raise UserError(f"heads={heads} does not divide the {channels} channels of an attention layer.")
        self.heads, self.gain = heads, math.sqrt(0.5) if rescale else 1.0
        self.norm, self.qkv = group_norm(channels, group), nn.Linear(channels, 3 * channels)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        places = modulated(self.norm, x, silu=False).flatten(2).transpose(1, 2)  # (B, L, C), L = all positions
        qkv = self.qkv(places).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, L, C / heads)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.out(seen).transpose(1, 2).reshape(x.shape)
        return x * self.gain if self.gain != 1 else x
