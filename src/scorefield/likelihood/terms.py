"""The parts of a bound, and where on the way from data to noise they come from."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .elbo import Bound


class Terms(NamedTuple):
    """A bound on −log p(x₀) by parts, nats, float64 on the CPU.

    ``prior`` (B,) is KL(q(x₁ | x₀) ‖ prior). Each of ``diffusion`` (S, B) estimates the middle part, from noise of
    ``levels`` (S, B), log σ/α; each of ``reconstruction`` (R, B) the last. Where ``exact``, ``diffusion`` is every step
    once and its parts sum to the whole.
    """

    prior: Tensor
    diffusion: Tensor
    reconstruction: Tensor
    levels: Tensor
    exact: bool = False

    @property
    def middle(self) -> Tensor:
        """What the way from noise to nearly clean data costs (B,)."""
        return self.diffusion.mean(0)

    @property
    def last(self) -> Tensor:
        """What clean data cost, given nearly clean ones (B,)."""
        return self.reconstruction.mean(0)

    @property
    def bound(self) -> Bound:
        """The sum, and its standard error from the random times and noise (the strata make it an upper estimate); NaN
        where every step was taken once, for one draw a step has no error."""
        middle, last = (part.var(0) / len(part) for part in (self.diffusion, self.reconstruction))
        error = torch.full_like(self.prior, math.nan) if self.exact else (middle + last).sqrt()
        return Bound(self.prior + self.middle + self.last, error)

    def by_level(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """What noise between the rising ``edges`` (N + 1,) of log σ/α costs: the mean over examples and its standard
        error (N,), nats. Edges that span all levels give parts of the mean of ``middle``."""
        where = torch.bucketize(self.levels, edges) - 1
        parts = torch.stack([(self.diffusion * (where == i)).sum(0) for i in range(len(edges) - 1)], 1)
        parts = parts / len(self.diffusion)
        return parts.mean(0), parts.std(0) / math.sqrt(len(parts))
