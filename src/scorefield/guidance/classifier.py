"""Classifier guidance: the belief of a denoiser after a classifier was heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, as_time, like, need
from ..errors import UserError
from .strength import Interval, Scale, check_interval, strength


@dataclass(frozen=True)
class Classifier:
    """x̂₀ + scale · σ²/α ∇ log p(label | x_t) (Sohl-Dickstein et al. 2015; Dhariwal and Nichol 2021, section 4).

    **Exact** with exact beliefs, scale 1 and an ``inner`` that is not told the class: then it is Bayes' rule, and the
    belief is that of the conditional model. Larger scales draw from p(x) p(label | x_t)^scale level by level, which no
    data have. ``classifier`` (x_t, t) → a belief about the class with ``log_probs`` (B, K), such as
    ``denoisers.Classifying``; examples of label −1, or a call without ``label``, are not guided. ``told`` says whether
    ``inner`` is told the label as well (a class-conditional model: guidance then adds to what it knows).

    ``scale`` may be a function of the noise level σ/α, ``interval`` (low, high] in σ/α limits the guidance to these
    levels. Gradients are taken under ``no_grad`` too, and the result carries none. Where α_t = 0 there is nothing to
    hear, and nothing is added. Raises UserError for an interval that is empty, and at the call for a process that
    cannot be tilted.
    """

    inner: Denoiser
    classifier: Any
    scale: Scale = 1.0
    told: bool = False
    interval: Interval = None

    def __post_init__(self) -> None:
        check_interval(self.interval)
        need(self.inner.process, self, "tilt", "schedule")

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, label: Tensor | None = None, **cond: Any) -> Any:
        belief = self.inner(x, t, **cond | ({"label": label} if self.told and label is not None else {}))
        scale = strength(self, self.process, t, x, off=0.0)
        if label is None or (isinstance(scale, float | int) and scale == 0):
            return belief
        alpha = self.process.schedule(as_time(t)).alpha
        if not (alpha > 0).any():
            return belief
        grad = scale * self.pull(x, t, label)
        tilted = self.process.tilt(x, belief, grad, t)
        if (alpha > 0).all():
            return tilted
        return tilted.with_mean(torch.where(like(alpha, x) > 0, tilted.mean, belief.mean))

    def pull(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """∇ log p(label | x_t) at x_t, (B, *D), 0 for label −1. Raises UserError for labels that do not fit."""
        if label.shape != x.shape[:1]:
            raise UserError(f"classifier guidance needs a label for each of {len(x)} examples, got {len(label)}.")
        with torch.enable_grad():
            seen = x.detach().requires_grad_()
            log_probs = self.classifier(seen, t).log_probs
            chosen = log_probs.gather(-1, label.clamp_min(0)[:, None])[:, 0] * (label >= 0)
            (grad,) = torch.autograd.grad(chosen.sum(), seen)
        return grad
