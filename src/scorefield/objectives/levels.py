"""A finite list of noise levels to train on, as score networks before SDEs had it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..core import need
from ..errors import UserError
from ..registry import register
from .times import Draw


@register("levels", "times")
@dataclass(frozen=True)
class NoiseLevels:
    """One of ``count`` noise levels σ/α, geometric from ``top`` to ``low``, each as often as the others: the law of
    NCSN (Song and Ermon 2019, section 4.2; with the weight ``Simple`` the loss is 2/D times their eq. 6).

    ``noise.levels`` has the rules by which NCSNv2 finds the numbers. Raises UserError unless 0 < low < top and
    count ≥ 2."""

    top: float
    low: float
    count: int

    def __post_init__(self) -> None:
        if not 0 < self.low < self.top or self.count < 2:
            raise UserError(f"noise levels need 0 < low < top and a count of at least 2, got {self}.")

    def __call__(self, u: Tensor, process: Any) -> Draw:
        need(process, self, "time")
        k = (u * self.count).floor().clamp_max(self.count - 1) / (self.count - 1)
        return Draw(process.time(k * math.log(self.top / self.low) - math.log(self.top)), u.new_ones(u.shape))
