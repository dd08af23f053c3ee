"""The objective of noise-aware classifiers: destroy, say the class, compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng
from ..errors import UserError
from ..registry import register
from .times import LogNormal, Stratified, TimeLaw


@register("classification", "objective")
@dataclass(frozen=True)
class Classification:
    """−log p(label | x_t) in nats with t from ``times``: cross-entropy at noised examples (Song et al. 2021, appendix
    I.1), minimised by the true class posterior at every noise level at once.

    Takes a classifier, a denoiser whose belief is about the class. Examples of label −1 count nothing. Raises UserError
    where there are no labels.
    """

    times: TimeLaw = field(default_factory=lambda: Stratified(LogNormal()))

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D), label (B,) int64 → (B,)."""
        label = cond.get("label")
        if label is None:
            raise UserError("a classifier learns from labels, and these data came without. Give some, or other data.")
        like_times = torch.empty(len(x0), dtype=torch.float64)
        t, correction = rng.over_batch(lambda u: self.times(u, denoiser.process), like_times)
        nats = denoiser(denoiser.process.corrupt(x0, t, rng), t).error(label.clamp_min(0))
        return correction.to(nats) * nats * (label >= 0)
