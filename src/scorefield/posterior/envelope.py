"""The likeliest x₀ near a mean, for any likelihood: what a belief of given spread makes of y, without the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import like
from ..operators import cg

MOVES, SOLVES, TRIES = 6, 12, 4  # Newton steps, iterations of conjugate gradients in each, sizes that a step may have
TOLERANCE = 1e-6  # nats: an example whose next step promises less has arrived


class Envelope(NamedTuple):
    """The place z (B, *D) where ℓ(z) − ‖z − m‖²/(2 v) is greatest, or the best that was found, and its height (B,)."""

    place: Tensor
    height: Tensor


def envelope(log_likelihood: Callable[[Tensor], Tensor], mean: Tensor, var: float) -> Envelope:
    """max_z ℓ(z) − ‖z − m‖²/(2 v), example by example (Moreau 1965): log ∫ exp ℓ(x₀) N(x₀; m, v I) dx₀ in Laplace's
    approximation, but for a volume. ℓ (B, *D) → (B,) nats is differentiable, m (B, *D), v > 0.

    Newton's method with conjugate gradients, so that one step does where ℓ is quadratic; steps are cut to an eighth
    until the height grows, and where ℓ is not concave they follow the gradient instead.
    """

    def height(z: Tensor) -> Tensor:
        return log_likelihood(z) - (z - mean).square().flatten(1).sum(1) / (2 * var)

    z, best = mean, height(mean).detach()
    going = torch.ones(len(mean), dtype=torch.bool, device=mean.device)
    for _ in range(MOVES):
        step, promise = _newton(height, z)
        going = going & (promise > TOLERANCE)
        if not going.any():
            break
        moved = torch.zeros_like(going)
        for i in range(TRIES):
            there = z + 0.125**i * step
            found = height(there).detach()
            better = going & ~moved & (found > best)
            z, best = torch.where(like(better, z).bool(), there, z), torch.where(better, found, best)
            moved = moved | better
            if (moved | ~going).all():
                break
        going = moved
    return Envelope(z, best)


def _newton(height: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """A step uphill (B, *D), and by how much the height would grow if it were quadratic, (B,)."""
    leaf = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(height(leaf).sum(), leaf, create_graph=True)
    gradient = slope.detach()

    def bend(v: Tensor) -> Tensor:
        """−∇²height · v. Where the slope is straight autograd has nothing to say of its first part."""
        (image,) = torch.autograd.grad(slope, leaf, v, retain_graph=True, materialize_grads=True)
        return -image

    step = cg(bend, gradient, SOLVES)
    curvature = _inner(gradient, bend(gradient)).abs()
    square = _inner(gradient, gradient)
    plain = like(square / torch.where(curvature > 0, curvature, 1.0), z) * gradient
    stuck = (square > 0) & ~(_inner(step, gradient) > 0)  # the very first direction bends upwards
    step = torch.where(like(stuck, z).bool(), plain, step)
    return step, 0.5 * _inner(step, gradient)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(B, *D) → (B,)."""
    return (a * b).flatten(1).sum(1)
