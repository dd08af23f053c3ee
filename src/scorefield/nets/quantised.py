"""Images as a small grid of codes, and back: an autoencoder whose middle is the nearest row of a learned table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import UserError
from ..registry import from_config, register, to_config
from .layers import Double, convolution, group_norm, parameters_millions

GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, fill [0, 1) evenly however many there are
DEAD = 0.05  # of the mean use: a code that is used less is put elsewhere
AT_ONCE = 1 << 22  # numbers of the widest layer that encode and decode hold at once: 16 MB
GREY = 128  # of a place whose code is not known yet


class Codebook(nn.Module):
    """K vectors that follow the data as the centres of k-means do, and what is nearest to each input.

    (…, dim) → the rows nearest to the inputs (…, dim), without gradient, and their numbers (…) int64. In training mode
    the rows are running means of the inputs nearest to them (van den Oord et al. 2017, app. A.1): n ← γ n + (1 − γ)
    count, m ← γ m + (1 − γ) sum, e = m / n. They begin at the best of a few runs of Lloyd's algorithm on the first
    batch, from inputs each taken by its squared distance to those before it (k-means++, Arthur & Vassilvitskii 2007);
    a code with less than a twentieth of the mean use begins again the same way, beside the others. Such choices walk by
    the golden ratio through the batch, whose order is random already: what happens is a function of the batch alone.
    """

    book: Tensor
    uses: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, codes: int, dim: int, decay: float = 0.99) -> None:
        super().__init__()
        if codes < 2 or dim < 1 or not 0 <= decay < 1:
            raise UserError(
                f"codes must be at least 2, dim at least 1 and decay from 0 to below 1; got codes={codes}, dim={dim}, "
                f"decay={decay}."
            )
        self.decay = decay
        self.register_buffer("book", torch.zeros(codes, dim))
        self.register_buffer("uses", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dim))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        flat = z.detach().reshape(-1, z.shape[-1]).to(self.book.dtype)
        if self.training and not self.begun:
            self._begin(flat)
        codes = self.nearest(flat)
        found = self.book[codes].view(z.shape)
        if self.training:
            self._follow(flat, codes)
        return found, codes.view(z.shape[:-1])

    def nearest(self, flat: Tensor) -> Tensor:
        """(M, dim) → the number of the nearest row, (M,) int64."""
        with torch.autocast(flat.device.type, enabled=False):  # half precision would mix up near rows
            return (flat.to(self.book.dtype) @ self.book.T - self.book.square().sum(1) / 2).argmax(1)

    @torch.no_grad()
    def _begin(self, flat: Tensor) -> None:
        self.book.copy_(lloyd(flat, len(self.book)))
        self.begun.fill_(True)
        self._restart(flat, torch.arange(len(self.book), device=flat.device))

    @torch.no_grad()
    def _follow(self, flat: Tensor, codes: Tensor) -> None:
        count = torch.zeros_like(self.uses).index_add_(0, codes, torch.ones_like(flat[:, 0]))
        total = torch.zeros_like(self.sums).index_add_(0, codes, flat)
        self.uses.lerp_(count, 1 - self.decay)
        self.sums.lerp_(total, 1 - self.decay)
        self.book.copy_(self.sums / self.uses.clamp_min(torch.finfo(self.uses.dtype).tiny)[:, None])
        dead = (self.uses < DEAD * self.uses.mean()).nonzero().flatten()
        if len(dead):
            alive = self.book[self.uses >= DEAD * self.uses.mean()]
            self.book[dead] = spread(flat, len(dead), alive)
            self._restart(flat, dead)

    def _restart(self, flat: Tensor, which: Tensor) -> None:
        """As if these rows had had a fair share of the inputs."""
        self.uses[which] = len(flat) / len(self.book)
        self.sums[which] = self.book[which] * self.uses[which, None]


def lloyd(points: Tensor, count: int, runs: int = 8, rounds: int = 12) -> Tensor:
    """Centres (count, dim) of the points (M, dim) by k-means: the best of ``runs`` runs of ``rounds`` rounds."""
    best, least = points[:1].repeat(count, 1), torch.full((), torch.inf, device=points.device)
    for run in range(runs):
        book = spread(points, count, start=run / runs)
        for _ in range(rounds):
            codes = torch.cdist(points, book).argmin(1)
            uses = torch.zeros_like(book[:, 0]).index_add_(0, codes, torch.ones_like(points[:, 0]))
            sums = torch.zeros_like(book).index_add_(0, codes, points)
            book = torch.where(uses[:, None] > 0, sums / uses.clamp_min(1)[:, None], book)
        lost = torch.cdist(points, book).square().amin(1).mean()
        best, least = torch.where(lost < least, book, best), torch.minimum(lost, least)
    return best


def spread(points: Tensor, count: int, beside: Tensor | None = None, start: float = 0.5) -> Tensor:
    """``count`` of the points (M, dim), each taken with a chance of its squared distance to those before it and to the
    rows of ``beside``, (count, dim); another ``start`` in [0, 1) takes others."""
    chosen: list[Tensor] = []
    first = beside is None
    far = torch.ones_like(points[:, 0]) if first else torch.cdist(points, beside).square().amin(1)
    for k in range(count):
        reached = far.double().cumsum(0)
        here = torch.searchsorted(reached, reached[-1] * ((k * GOLDEN + start) % 1)).clamp_max(len(points) - 1)
        chosen.append(points[here])
        distance = (points - points[here]).square().sum(1)
        far = distance if first and k == 0 else torch.minimum(far, distance)
    return torch.stack(chosen)


class _Block(nn.Module):
    """x + f(x), f two 3×3 convolutions after group norm and SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(group_norm(channels) for _ in range(2))
        self.convolutions = nn.ModuleList(convolution(2, channels, channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for norm, conv in zip(self.norms, self.convolutions, strict=True):
            h = conv(F.silu(norm(h)))
        return x + h


@register("vq", "codec")
class Quantised(nn.Module):
    """A VQ-VAE (van den Oord et al. 2017): an image of edge S becomes S/factor × S/factor codes, which discrete
    diffusion learns (VQ-Diffusion, Gu et al. 2022), and codes become an image.

    A codec with weights: ``encode`` uint8 (B, C, H, W) → int64 (B, H/factor, W/factor) in 0 … codes − 1, ``decode``
    back to uint8. forward(x) is what training minimises over (``objectives.Quantising``): x (B, C, H, W) in [−1, 1] →
    what it becomes, and the mean squared distance to the codes, (B,). ``factor`` is a power of two; with ``patch``,
    another that divides it, squares of so many pixels go in and come out as channels, and nothing is computed at the
    full resolution (Shi et al. 2016): several times faster. Train it with
    ``fit(…, Pixels(), Quantising(), Settings(ema=(), …))``: the table is an average already. Raises UserError for sizes
    that do not fit together, and for images whose edges ``factor`` does not divide.
    """

    def __init__(
        self, in_channels: int, *, codes: int = 256, factor: int = 4, dim: int = 16, channels: int = 64,
        decay: float = 0.99, patch: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(in_channels, dim, channels, patch) < 1 or any(edge < 1 or edge & (edge - 1) for edge in (factor, patch)):
            raise UserError(
                f"factor must be a power of two, and in_channels, dim and channels at least 1; got factor={factor}, "
                f"in_channels={in_channels}, dim={dim}, channels={channels}, patch={patch}."
            )
        if patch > factor:
            raise UserError(f"patch must be at most factor, got patch={patch} and factor={factor}.")
        self.in_channels, self.factor, self.classes = in_channels, factor, codes
        self._width = in_channels + channels // patch**2  # numbers a pixel in the widest layer
        inward, outward = ([], []) if patch == 1 else ([nn.PixelUnshuffle(patch)], [nn.PixelShuffle(patch)])
        down: list[nn.Module] = [*inward, convolution(2, in_channels * patch**2, channels), _Block(channels)]
        up: list[nn.Module] = [convolution(2, dim, channels), _Block(channels)]
        for _ in range((factor // patch).bit_length() - 1):
            down += [convolution(2, channels, channels, stride=2), _Block(channels)]
            up += [Double(2), convolution(2, channels, channels), _Block(channels)]
        down += [group_norm(channels), nn.SiLU(), convolution(2, channels, dim, kernel=1)]
        up += [group_norm(channels), nn.SiLU(), convolution(2, channels, in_channels * patch**2), *outward]
        self.down, self.codebook, self.up = nn.Sequential(*down), Codebook(codes, dim, decay), nn.Sequential(*up)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self._check(x)
        z = self.down(x).movedim(1, -1)
        found, _ = self.codebook(z)
        away = (z.to(found.dtype) - found).square().flatten(1).mean(1)
        through = z + (found.to(z.dtype) - z).detach()  # what goes on is the code, its gradient is that of z
        return self.up(through.movedim(-1, 1)), away

    def sites(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the codes of an image of ``shape`` (C, H, W)."""
        return tuple(edge // self.factor for edge in shape[1:])

    @torch.no_grad()
    def encode(self, raw: Tensor) -> Tensor:
        """Images as stored, uint8 (B, C, H, W) → codes (B, H/factor, W/factor) int64, where the weights are."""
        self._check(raw)
        parts = raw.split(max(1, AT_ONCE // (self._width * math.prod(raw.shape[2:]))))
        return torch.cat([self._encode(part) for part in parts])

    def _encode(self, raw: Tensor) -> Tensor:
        z = self.down(raw.to(self.codebook.book) / 127.5 - 1).movedim(1, -1)
        return self.codebook.nearest(z.flatten(0, 2)).view(z.shape[:-1])

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) → images uint8 (B, C, h·factor, w·factor); a mask looks like the first code."""
        z = z.to(self.codebook.book.device)
        parts = z.split(max(1, AT_ONCE // (self._width * math.prod(z.shape[1:]) * self.factor**2)))
        return torch.cat([self._decode(part) for part in parts])

    def _decode(self, z: Tensor) -> Tensor:
        found = self.codebook.book[torch.where(z < self.classes, z, 0)]
        return ((self.up(found.movedim(-1, 1)) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    def pictures(self, z: Tensor) -> Tensor:
        """As ``decode``, and grey where a code is masked (``classes`` and more)."""
        unknown = (z.to(self.codebook.book.device) >= self.classes)[:, None]
        unknown = unknown.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)
        return self.decode(z).masked_fill(unknown, GREY)

    def save(self, path: str | Path) -> None:
        """Weights and the call that made it, as one safetensors file."""
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(state, str(path), {"codec": json.dumps(to_config(self))})

    @classmethod
    def load(cls, path: str | Path) -> Quantised:
        """What ``save`` wrote, in eval mode. Raises UserError for another file."""
        try:
            with safe_open(str(path), "pt") as file:
                made = from_config(json.loads((file.metadata() or {})["codec"]), "codec")
            made.load_state_dict(load_file(str(path)))
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"'{path}' is not a quantiser that Quantised.save wrote ({error}).") from error
        return made.eval()

    def _check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels or any(edge % self.factor for edge in x.shape[2:]):
            raise UserError(
                f"This quantiser takes (B, {self.in_channels}, H, W), edges multiples of {self.factor}; got an input "
                f"of shape {tuple(x.shape)}."
            )

    def __repr__(self) -> str:
        return f"Quantised({self.classes} codes, 1/{self.factor}, {parameters_millions(self):.1f}M)"
