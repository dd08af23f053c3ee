"""Weighted samples: what sequential Monte Carlo gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Rng
from .resampling import ancestors


@dataclass(frozen=True, eq=False)
class Particles:
    """R independent populations of K weighted examples, and what they say of themselves.

    - ``x`` (R, K, *D), ``log_weights`` (R, K) in nats, normalised in each population;
    - ``ess`` (steps, R), the effective sample size 1 … K before each resampling;
    - ``log_evidence`` (R,), log p̂(y) in nats: its exponential is an unbiased estimate of the evidence of the sampler's
      own model, which tends to the denoiser's as the steps get finer;
    - ``roots`` (R, K), which of the first K particles each descends from: few distinct roots mean that what was decided
      at high noise was decided by few, which ``ess`` does not show;
    - ``nfe``, evaluations of the network for each particle.
    """

    x: Tensor
    log_weights: Tensor
    ess: Tensor
    log_evidence: Tensor
    roots: Tensor
    nfe: int

    @property
    def joint(self) -> Tensor:
        """Log-weights (R, K) over all populations, each as heavy as its evidence; they sum to 1. For populations of one
        and the same measurement."""
        heavy = self.log_weights + self.log_evidence[:, None]
        return heavy - heavy.logsumexp((0, 1))

    def resampled(self, n: int, seed: int = 0) -> Tensor:
        """n unweighted draws (n, *D) from all populations together, by systematic resampling of ``joint``."""
        flat = self.joint.flatten()[None]
        return self.x.flatten(0, 1)[ancestors(flat, Rng(seed), n=n)[0].to(self.x.device)]

    def one_each(self, seed: int = 0) -> Tensor:
        """One draw from each population, (R, *D): independent of each other, unlike those from one population."""
        place = Rng(seed).categorical(self.log_weights)
        return self.x[torch.arange(len(self.x), device=self.x.device), place.to(self.x.device)]
