"""Guidance by a worse version of the same model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Belief, Denoiser, as_time, need
from ..errors import UserError
from .combine import Combine, straight
from .strength import Interval, Scale, check_interval, strength


@dataclass(frozen=True)
class Autoguidance:
    """belief = weak + scale · (inner − weak), both under the same conditions: away from what a smaller or less trained
    ``weak`` model gets wrong, without losing variety, and for unconditional models too (Karras et al. 2024, eq. 5).

    ``scale``, ``interval`` and ``combine`` as in ``ClassifierFree``; scale 1 does not evaluate ``weak``. Raises
    UserError for an empty interval, or a weak model with other noise levels.
    """

    inner: Denoiser
    weak: Denoiser
    scale: Scale
    interval: Interval = None
    combine: Combine = straight

    def __post_init__(self) -> None:
        check_interval(self.interval)
        mine, other = self.inner.process, self.weak.process
        if mine is not other and mine != other:
            need(mine, self, "log_ratio")
            need(other, self, "log_ratio")
            times = as_time([0.1, 0.5, 0.9])
            if not torch.allclose(mine.log_ratio(times), other.log_ratio(times), rtol=1e-6):
                raise UserError(
                    f"autoguidance needs two models on one schedule, got {mine} and {other}. "
                    "Write weak.under(model.process): a network is told the noise level, never the time."
                )

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Belief:
        belief = self.inner(x, t, **cond)
        scale = strength(self, self.process, t, x)
        if isinstance(scale, float | int) and scale == 1:
            return belief
        return self.combine(self.process, x, t, belief, self.weak(x, t, **cond), scale)
