"""Classifier-free guidance, on any belief that can lerp."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core import Belief, Denoiser
from .combine import Combine, straight
from .strength import Interval, Scale, check_interval, strength


@dataclass(frozen=True)
class ClassifierFree:
    """belief = uncond + scale · (cond − uncond) (Ho and Salimans 2022, eq. 6 with scale = 1 + w).

    ``scale`` 1 is the conditional model and costs no second evaluation, 0 the unconditional one; it may be a function
    of the noise level σ/α (a float, infinite at α = 0). ``null`` (B-free) are the conditions that say "nothing is
    known"; by default the label −1 and numbers that are NaN, both at once. ``interval`` (low, high] in σ/α limits the
    guidance to these noise levels (Kynkäänniemi et al. 2024). ``combine`` is another way to put the two beliefs
    together: ``Rescaled``, ``Projected``, ``OptimisedScale``. Raises UserError for an interval that is empty.
    """

    inner: Denoiser
    scale: Scale
    null: dict[str, float] = field(default_factory=lambda: {"label": -1, "condition": math.nan})
    interval: Interval = None
    combine: Combine = straight

    def __post_init__(self) -> None:
        check_interval(self.interval)

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Belief:
        belief = self.inner(x, t, **cond)
        scale = strength(self, self.process, t, x)
        if isinstance(scale, float | int) and scale == 1:
            return belief
        blank = {key: torch.full_like(cond[key], value) for key, value in self.null.items() if key in cond}
        return self.combine(self.process, x, t, belief, self.inner(x, t, **cond | blank), scale)
