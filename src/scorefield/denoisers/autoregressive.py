"""A causal network on a raster process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import register


class Law(Protocol):
    """What a pixel of C channels and V levels follows, given the P numbers of a network; knows no weights."""

    def outputs(self, levels: int, channels: int) -> int:
        """P."""
        ...

    def log_prob(self, out: Tensor, x: Tensor, levels: int) -> Tensor:
        """log p of each pixel of x int64 (B, C, H, W), out (B, P, H, W) → (B, H, W) nats."""
        ...

    def draw(self, out: Tensor, u: Tensor, levels: int) -> Tensor:
        """out (B, P), uniform u (B, 1 + C) float64 → (B, C) int64."""
        ...


@dataclass(frozen=True, eq=False)
class Next:
    """The law of each pixel given those before it in raster order, by numbers out (B, P, H, W)."""

    out: Tensor
    law: Law
    levels: int

    def log_prob(self, x0: Tensor) -> Tensor:
        """log p(pixel | those before it) in nats, x0 int64 (B, C, H, W) → (B, H, W)."""
        return self.law.log_prob(self.out, x0, self.levels)

    def error(self, x0: Tensor) -> Tensor:
        """−log p(x₀) in nats, (B,): exact, where out was computed from x₀."""
        return -self.log_prob(x0).flatten(1).sum(1)

    def lerp(self, other: Next, weight: float | Tensor) -> Next:
        """Two laws of a pixel have none in between that is of their form: raises UserError."""
        raise UserError("guidance mixes two beliefs, which autoregressive runs cannot. Leave guidance out.")

    def at(self, place: int) -> Next:
        """The law of one pixel, by its place r W + c."""
        row, column = divmod(place, self.out.shape[3])
        return Next(self.out[:, :, row, column, None, None], self.law, self.levels)

    def draw(self, u: Tensor) -> Tensor:
        """A draw of the one pixel that this is the law of, u (B, 1 + C) float64 in [0, 1) → levels (B, C)."""
        return self.law.draw(self.out[:, :, 0, 0], u, self.levels)


@register("autoregressive", "denoiser")
class Autoregressive(nn.Module):
    """Turns a causal ``net(x, **cond)`` → (B, P, H, W) into a denoiser on a ``Raster`` process: images are scaled to
    [−1, 1], with 0 where nothing is known, and ``law`` reads the P numbers of every pixel.

    The belief is about each pixel given the ones before it, which is what undoing one mask a step needs; no time is
    told, as x_t shows it. With ``place`` and ``memory`` it is about that pixel alone, and the network remembers what it
    computed before. Raises UserError when the network gives another number of numbers than the law takes.
    """

    def __init__(self, net: nn.Module, process: Any, law: Any) -> None:
        super().__init__()
        self.net, self.process, self.law = net, process, law

    def forward(
        self, x: Tensor, t: Tensor, place: int | None = None, memory: dict[Any, Any] | None = None, **cond: Any
    ) -> Next:
        """x_t int64 (B, C, H, W) → the belief, in float32 at least."""
        levels = self.process.levels
        dtype = next((p.dtype for p in self.net.parameters()), torch.float32)
        seen = torch.where(x < levels, x.to(dtype) * (2 / (levels - 1)) - 1, 0.0)
        out = self.net(seen, place=place, memory=memory, **cond)
        wanted = self.law.outputs(levels, x.shape[1])
        if out.shape[1] != wanted:
            raise UserError(
                f"the network gives {out.shape[1]} numbers a pixel; {self.law} of {x.shape[1]} channels of {levels} "
                f"levels takes out_channels={wanted}."
            )
        return Next(out.to(torch.promote_types(out.dtype, torch.float32)), self.law, levels)

    def extra_repr(self) -> str:
        return f"{self.process}, {self.law}"
