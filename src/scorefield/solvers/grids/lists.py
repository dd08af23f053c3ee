"""Grids that somebody wrote down: published lists of noise levels, and lists of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...core import as_time
from ...errors import UserError, suggest
from ...registry import register
from .base import closed, falling, top

# σ/α of Align Your Steps (Sabour et al. 2024): ten steps, the last level being the model's σ_min. Published as lists;
# diffusers' ``AysSchedules`` holds the same with 0 in the place of the last.
PUBLISHED: dict[str, tuple[float, ...]] = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{v:g}" for v in values[:6]) + (", …" if len(values) > 6 else "")


@register("knots", "grid")
@dataclass(frozen=True)
class Knots:
    """Levels tuned at one number of steps, for any other: log σ/α is interpolated linearly in the index to n + 1
    levels, and the last becomes 0 (Align Your Steps, Sabour et al. 2024, and its published recipe).

    ``levels`` is ``sd15``, ``sdxl``, ``svd`` (10 steps each: there the list itself is walked), or k + 1 falling
    levels σ/α > 0 for k steps. Levels above the end of a schedule are replaced by its end; the first becomes t = 1.
    Raises UserError for an unknown name, levels that do not fall, or a schedule that ends below all but one of them.
    """

    levels: str | tuple[float, ...] = "sd15"

    def __post_init__(self) -> None:
        if isinstance(self.levels, str) and self.levels not in PUBLISHED:
            raise UserError(f"no list of knots is called {self.levels!r}.{suggest(self.levels, PUBLISHED)}")
        if len(own := self.table) < 2 or not own[-1] > 0 or not all(a > b for a, b in pairwise(own)):
            raise UserError(f"knots are at least two falling noise levels σ/α > 0, got {_shown(own)}.")

    @property
    def table(self) -> tuple[float, ...]:
        """The levels themselves, noisiest first."""
        return PUBLISHED[self.levels] if isinstance(self.levels, str) else tuple(self.levels)

    def __call__(self, process: Any, steps: int) -> Tensor:
        end = top(process)
        reached = [level for level in self.table if level < end]
        knots = ([] if len(reached) == len(self.table) else [end]) + reached
        if len(knots) < 2:
            raise UserError(f"all knots, {_shown(self.table)}, lie above the schedule, which ends at σ/α = {end:g}.")
        logs = torch.tensor(knots, dtype=torch.float64).log()
        position = torch.linspace(0, len(knots) - 1, steps + 1, dtype=torch.float64)
        i = position.floor().long().clamp_max(len(knots) - 2)
        return closed(process, torch.lerp(logs[i], logs[i + 1], position - i)[:-1].exp())


@register("times", "grid")
@dataclass(frozen=True)
class Listed:
    """The times of your own list, n + 1 of them for n steps, falling within [0, 1].

    Raises UserError for a list that does not fall, leaves [0, 1], or has another number of steps than asked for."""

    times: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times) < 2 or self.times[0] > 1 or self.times[-1] < 0:
            raise UserError(f"a list of times holds two or more numbers from at most 1 to 0, got {_shown(self.times)}.")
        falling(as_time(list(self.times)), "a list of times")

    def __call__(self, process: Any, steps: int) -> Tensor:
        _require_steps(steps, len(self.times) - 1, "times")
        return as_time(list(self.times))


@register("sigmas", "grid")
@dataclass(frozen=True)
class Sigmas:
    """Your own noise levels σ/α, falling, n of them for n steps and then 0, which may be written or left out: what
    k-diffusion and EDM call sigmas, on any schedule.

    The levels are taken as they are: a first level below the end of the schedule starts below t = 1, one above it
    starts at 1. Raises UserError for levels that do not fall or are not positive, a second level above the end of the
    schedule, or another number of steps than asked for.
    """

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        own = self._positive
        if not own or not own[-1] > 0 or not all(a > b for a, b in pairwise(own)):
            raise UserError(f"sigmas are falling noise levels σ/α > 0, and may end in 0, got {_shown(self.levels)}.")

    @property
    def _positive(self) -> tuple[float, ...]:
        return tuple(self.levels[:-1]) if self.levels and self.levels[-1] == 0 else tuple(self.levels)

    def __call__(self, process: Any, steps: int) -> Tensor:
        own = self._positive
        _require_steps(steps, len(own), "sigmas")
        times = torch.cat([process.time(-torch.tensor(own, dtype=torch.float64).log()), as_time([0.0])])
        return falling(times, f"sigmas on a schedule that ends at σ/α = {top(process):g}")


def _require_steps(steps: int, have: int, name: str) -> None:
    if steps != have:
        raise UserError(f"this list of {name} makes {have} steps, but {steps} were asked for. Write steps={have}.")
