"""Guidance by any differentiable log-likelihood: classifiers, CLIP, energies, measurements. Denoiser → denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser, as_time, like, need
from ..errors import UserError
from .strength import Interval, Scale, check_interval, strength

LogLikelihood = Callable[[Tensor, Tensor, Any], Tensor]  # (x_t, t, belief) ↦ (B,) nats
NOISIEST = 148.0  # guidance looks at x_t as if σ/α were at most so large: beyond, α is too small to divide by


@dataclass(eq=False)
class Leaf:
    """What gradients are taken of: x_t (B, *D), a leaf, and the belief about it, a graph over x_t."""

    x: Tensor
    belief: Moments

    @property
    def mean(self) -> Tensor:
        """x̂₀ (B, *D), a graph over x_t."""
        return self.belief.mean

    def pull(self, outputs: Tensor, weights: Tensor | None = None, more: bool = False) -> Tensor:
        """∇_{x_t} ⟨outputs, weights⟩ (B, *D); without weights the outputs are (B,), one sum an example. ``more`` keeps
        the graph for another one. Raises UserError where the outputs do not depend on x_t."""
        weights = torch.ones_like(outputs) if weights is None else weights
        if not outputs.requires_grad:
            raise UserError(
                "guidance needs the gradient of its log-likelihood, which does not depend on x_t here. Compute it of "
                "x or of belief.mean, without detach and without no_grad."
            )
        (grad,) = torch.autograd.grad(outputs, self.x, weights, retain_graph=more, allow_unused=True)
        return torch.zeros_like(self.x) if grad is None else grad

    def settled(self, shift: Tensor | None = None) -> Moments:
        """The belief without its graph, its mean moved by ``shift`` (B, *D)."""
        mean, var = self.belief.mean.detach(), self.belief.var
        return Moments(mean if shift is None else mean + shift, None if var is None else var.detach())


@dataclass(eq=False)
class View(Leaf):
    """What guidance of beliefs differentiates: a leaf with its time t, its σ and its level σ/α, () or (B,)."""

    t: Tensor
    sigma: Tensor
    level: Tensor

    @property
    def gain(self) -> Tensor:
        """σ²/α, ready to multiply x: by Tweedie's formula what a change of the score does to x̂₀."""
        return like(self.sigma * self.level, self.x)


def differentiable() -> AbstractContextManager[Any]:
    """Gradients are on, also inside ``sample``, which turns them off, and inside ``torch.inference_mode``."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else torch.enable_grad()


def leaf(inner: Denoiser, x: Tensor, t: Tensor, asker: Any, **cond: Any) -> Leaf:
    """Evaluate ``inner`` at x (B, *D) and t, () or (B,), as a graph over x. Call it within ``differentiable``.

    x is float32 at least, since gradients in half precision vanish. Raises UserError where inner has no gradient.
    """
    x = x.clone() if x.is_inference() else x.detach()
    x = (x if x.dtype.itemsize >= 4 else x.float()).requires_grad_()
    belief = inner(x, t, **cond)
    if not belief.mean.requires_grad:
        raise UserError(
            f"{type(asker).__name__} needs the gradient of the denoiser, and {type(inner).__name__} gives beliefs that "
            "have none. Put guidance that differentiates innermost, and only once."
        )
    return Leaf(x, belief)


def view(inner: Denoiser, x: Tensor, t: Tensor, asker: Any, **cond: Any) -> View:
    """A ``leaf`` that knows its noise. Where σ/α > ``NOISIEST`` (at t = 1 many schedules have no signal at all) x is
    looked at as if it had that level: there x̂₀ hardly depends on x_t, and Tweedie's factor σ²/α would be infinite.
    Raises UserError as ``leaf``, and where the process is not Gaussian.
    """
    process = inner.process
    need(process, asker, "schedule", "tilt", "time")
    t = as_time(t)
    alpha, sigma = process.schedule(t)
    level = sigma / alpha
    if (beyond := level > NOISIEST).any():
        t = torch.where(beyond, process.time(as_time(-math.log(NOISIEST))), t)
        alpha, nearer = process.schedule(t)
        x, sigma, level = like(nearer / sigma, x) * x, nearer, nearer / alpha
    seen = leaf(inner, x, t, asker, **cond)
    return View(seen.x, seen.belief, t, sigma, level)


@dataclass(frozen=True)
class Tilted:
    """x̂₀ + scale · (σ²/α) ∇_{x_t} log p(y | x_t): the belief after the law of x_t was multiplied by a likelihood
    (Dhariwal and Nichol 2021, eq. 10; Song et al. 2021, eq. 14).

    ``log_likelihood`` (x_t (B, *D), t, belief about x₀) ↦ (B,) in nats, differentiable through x_t or the belief. A
    noise-aware classifier looks at x_t; a classifier, CLIP or an energy that knows clean data only looks at
    ``belief.mean``. **Exact** where log p(y | x_t) is; on clean-data likelihoods **heuristic**, since they are asked
    about a mean. ``scale`` 1 is Bayes' rule, a larger one sharpens; it may be a function of σ/α. ``interval`` (low,
    high] in σ/α limits the guidance to these levels.

    One evaluation of ``inner``, with gradient. Raises UserError for an empty interval, and at the call where the
    log-likelihood is not one number an example, or has no gradient.
    """

    inner: Denoiser
    log_likelihood: LogLikelihood
    scale: Scale = 1.0
    interval: Interval = None

    def __post_init__(self) -> None:
        check_interval(self.interval)

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        scale = strength(self, self.process, as_time(t), x, off=0.0)
        if isinstance(scale, float | int) and scale == 0:
            return self.inner(x, t, **cond)
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            log_likelihood = self.log_likelihood(seen.x, seen.t, seen.belief)
            if log_likelihood.shape != (len(x),):
                raise UserError(
                    f"a log-likelihood gives one number an example, ({len(x)},), got {tuple(log_likelihood.shape)}. "
                    "Sum over everything but the first dimension."
                )
            grad = seen.pull(log_likelihood)
        return self.process.tilt(seen.x.detach(), seen.settled(), scale * grad, seen.t)
