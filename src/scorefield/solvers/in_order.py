"""The solver of autoregressive models: pixel after pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from ..core import Denoiser, Rng, need
from ..registry import register


class Walked(NamedTuple):
    """What the network remembers, and how many pixels it has seen."""

    memory: dict[Any, Any]
    seen: int


@register("in-order", "solver")
@dataclass(frozen=True)
class InOrder:
    """Every pixel from its law given those before it, whatever the grid: exact for an exact belief. Times only say
    where to stop and show, and a step from t to s draws as many pixels as x_s knows more than x_t.

    A pixel costs an evaluation. With ``cached`` it is one of that pixel alone, by a network that remembers what it
    computed before (Ramachandran et al. 2017); without, of the whole image, with the same result to rounding. Raises
    UserError, at the start, for a process that is no ``Raster``.
    """

    cached: bool = field(default=True)

    tabulates = False

    def init(self, process: Any, times: Tensor) -> Walked:
        need(process, self, "known", "written")
        return Walked({}, 0)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Walked, rng: Rng
    ) -> tuple[Tensor, Walked]:
        process, pixels = denoiser.process, x.shape[2] * x.shape[3]
        first, last = process.known(t, pixels), process.known(s, pixels)
        for place in range(memory.seen if self.cached else first, last):
            law = denoiser(x, t, place=place, memory=memory.memory) if self.cached else denoiser(x, t).at(place)
            if place >= first:  # a walk that begins with known pixels has the network look at them first
                x = process.written(x, law, place, rng)
        return x, Walked(memory.memory, last)
