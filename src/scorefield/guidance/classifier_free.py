"""Classifier-free guidance, on any belief that can lerp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core import Belief, Denoiser
from ..errors import UserError


@dataclass(frozen=True)
class ClassifierFree:
    """belief = uncond + scale · (cond − uncond) (Ho and Salimans 2022, eq. 6 with scale = 1 + w).

    ``scale`` 1 is the conditional model and costs no second evaluation, 0 the unconditional one. ``null`` (B-free) are
    the conditions that say "nothing is known"; by default the label −1. ``interval`` (low, high] in σ/α limits the
    guidance to these noise levels (Kynkäänniemi et al. 2024). Raises UserError for an interval that is empty.
    """

    inner: Denoiser
    scale: float
    null: dict[str, int] = field(default_factory=lambda: {"label": -1})
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and not 0 <= self.interval[0] < self.interval[1]:
            raise UserError(f"a guidance interval needs 0 ≤ low < high (in σ/α), got {self.interval}.")

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Belief:
        belief = self.inner(x, t, **cond)
        if self.scale == 1 or not self._guides(t):
            return belief
        return self.inner(x, t, **cond | self._blank(cond)).lerp(belief, self.scale)

    def _guides(self, t: Tensor) -> bool:
        if self.interval is None:
            return True
        level = (-self.process.log_ratio(t)).exp().item()
        return self.interval[0] < level <= self.interval[1]

    def _blank(self, cond: dict[str, Any]) -> dict[str, Tensor]:
        return {key: torch.full_like(cond[key], value) for key, value in self.null.items() if key in cond}
