"""The objective that works everywhere: destroy, believe, compare."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, like
from ..errors import UserError
from ..registry import register
from .times import LogNormal, Stratified, TimeLaw
from .weights import Weight


@register("denoising", "objective")
@dataclass(frozen=True)
class Denoising:
    """w(t) · ‖x̂₀(x_t) − x₀‖² / D with t from ``times`` (Vincent 2011; Ho et al. 2020, eq. 14, with x̂₀ for ε̂).

    ``weight`` None is the process's own. ``label_dropout`` replaces that fraction of the ``label`` (B,) condition by
    −1, "no class", so that one network also learns the unconditional score (Ho and Salimans 2022, algorithm 1).
    Raises UserError when label_dropout is outside [0, 1].
    """

    times: TimeLaw = field(default_factory=lambda: Stratified(LogNormal()))
    weight: Weight | None = None
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.label_dropout <= 1:
            raise UserError(f"label_dropout must be between 0 and 1, got {self.label_dropout}.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,), a mean over dimensions so as not to grow with them."""
        process = denoiser.process
        t, correction = self.times(rng.uniform(torch.empty(len(x0), dtype=torch.float64)), process)
        if "label" in cond and self.label_dropout:
            dropped = rng.uniform(torch.empty(len(x0))) < self.label_dropout
            cond = cond | {"label": cond["label"].masked_fill(dropped.to(cond["label"].device), -1)}
        belief = denoiser(process.corrupt(x0, t, rng), t, **cond)
        weight = process.weight(t) if self.weight is None else self.weight(process, t)
        return like(weight * correction, x0).flatten() * belief.error(x0) / math.prod(x0.shape[1:])
