"""Sequential Monte Carlo: particles that walk under guidance, weighed so that what they say is the posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..solvers import Exponential, Row, tabulate
from .resampling import ancestors, check_rule, effective
from .twist import Kernel, Look, Twist


class Cloud(NamedTuple):
    """The memory of ``SMC``: the rows left, log-weights (R, K) since the last resampling with what the last move added,
    log-evidence (R,) until then, looks, roots (R, K), and the effective sizes so far, steps × (R,)."""

    rows: tuple[Row, ...]
    log_weights: Tensor | None = None
    log_evidence: Tensor | float = 0.0
    looks: tuple[Look, ...] = ()
    roots: Tensor | None = None
    ess: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class SMC:
    """The twisted diffusion sampler (Wu et al. 2023, algorithm 1) as a solver. **Exact in the limit** of many particles
    and steps, whatever the prior, the operator and the noise.

    Its target is the path of an unguided sampler of the SDE times the true likelihood of where that ends: x_s ~ N(μ, f²
    I), μ = keep x_t + Σ c_j x̂_{−j} of ``Exponential(order, eta=1)``; order 1 is DDPM. Where the effective sample size
    falls below ``ess`` K the particles are resampled, each population for itself.

    The state is (R K, *D), population by population; the generator has one seed for each population; the denoiser is a
    ``Twisted``; ``rows`` (R K,) say which row of y is whose. Raises UserError for numbers outside these, and for times
    that end above 0.
    """

    particles: int
    twist: Twist
    rows: Tensor
    resample: str = "systematic"
    ess: float = 0.5
    order: int = 2

    tabulates = False

    def __post_init__(self) -> None:
        check_rule(self.resample)
        if self.particles < 2:
            raise UserError(f"sequential Monte Carlo needs at least 2 particles, got {self.particles}.")
        if not 0 <= self.ess <= 1:
            raise UserError(f"ess is a share of the particles, 0 (never resample) to 1 (always), got {self.ess}.")

    def init(self, process: Any, times: Tensor) -> Cloud:
        need(process, self, "bridge", "scales", "schedule", "log_ratio")
        if times[-1] != 0:
            raise UserError(f"sequential Monte Carlo weighs clean examples: its times end at 0, not at {times[-1]:g}.")
        return Cloud(tabulate(Exponential(self.order, eta=1.0), process, times).rows)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Cloud, rng: Rng
    ) -> tuple[Tensor, Cloud]:
        first, k = memory.log_weights is None, self.particles
        kernel = Kernel(denoiser.process, t, s, memory.rows[0], first, self.rows)
        looks: tuple[Any, ...] = (denoiser(x, t), *memory.looks)[: len(kernel.row.beliefs)]
        weights = self.twist.potential(x, looks, kernel).view(-1, k)
        weights = weights if memory.log_weights is None else memory.log_weights + weights
        size, evidence, roots = effective(weights), memory.log_evidence, memory.roots
        if size.isnan().any():
            raise UserError(
                f"no particle explains y at t = {t:.3g}: in some population all weights are 0 or NaN. Give the noise a "
                "larger std, or use more particles or steps."
            )
        own = torch.arange(k, device=x.device).expand_as(weights)
        roots = own if roots is None else roots
        place = ancestors(weights, rng, self.resample)  # drawn always, so that populations never see each other
        tired = (size < self.ess * k)[:, None]
        if tired.any():
            chosen = torch.where(tired, place, own)
            evidence = evidence + torch.where(tired[:, 0], mean_weight(weights), 0.0)
            weights, roots = torch.where(tired, 0.0, weights), roots.gather(1, chosen)
            flat = (chosen + k * torch.arange(len(chosen), device=x.device)[:, None]).flatten()
            x, looks = x[flat], tuple(Look(*(part[flat] for part in look)) for look in looks)
        z = rng.normal(x.unflatten(0, (-1, k))).flatten(0, 1)
        x, gained = self.twist.move(x, looks, kernel, z)
        weights = weights + gained.view(-1, k)
        if s == 0:
            weights = weights + self.twist.last(x, self.rows).view(-1, k)
            evidence = evidence + mean_weight(weights)
        return x, Cloud(memory.rows[1:], weights, evidence, looks, roots, (*memory.ess, size))


def mean_weight(log_weights: Tensor) -> Tensor:
    """log of the mean weight, (R, K) → (R,)."""
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])
