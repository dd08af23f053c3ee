"""Exponential multistep solvers for Gaussian diffusion, all of them one rule.

Every x₀-prediction method takes the *same* step, ``Gaussian.reverse``, and differs only in the clean image it aims
at: a weighted average of the last few beliefs, weights summing to one. With λ = log α/σ the exact step of the
probability-flow ODE aims at ∫ e^λ x̂₀(λ) dλ / ∫ e^λ dλ; interpolating x̂₀(λ) through the last n beliefs gives weights.

    Exponential(1)         DDIM               Exponential(2)         DPM-Solver++(2M), exact weights
    Exponential(1, eta=1)  DDPM               Exponential(2, eta=1)  SDE-DPM-Solver++(2M)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser, Rng
from ..errors import UserError
from ..registry import register

Memory = tuple[tuple[Tensor, Tensor], ...]  # (λ, mean) of the last beliefs, newest last


def exponential_moments(h: Tensor, count: int) -> Tensor:
    """∫₀¹ e^{hv} vᵏ dv / ∫₀¹ e^{hv} dv for k = 0 … count − 1, (count,) float64, h > 0.

    By parts, M_k = 1/(1 − e^{−h}) − (k/h) M_{k−1}; for h < 1 that cancels, so the Taylor series in h takes over:
    numerator Σ_j hʲ/(j! (j + k + 1)), exact to rounding with 20 terms.
    """
    if h < 1:
        j = torch.arange(20, dtype=torch.float64)
        terms = h**j / torch.lgamma(j + 1).exp()
        sums = torch.stack([(terms / (j + k + 1)).sum() for k in range(count)])
        return sums / sums[0]
    moments = [torch.ones_like(h)]
    for k in range(1, count):
        moments.append(1 / -torch.expm1(-h) - k / h * moments[-1])
    return torch.stack(moments)


def aim_weights(nodes: list[Tensor], t: Tensor, s: Tensor, rate: float = 1.0) -> Tensor:
    """Weights (n,) of the beliefs at λ = ``nodes`` for a step λ: t → s under the kernel e^{rate λ}.

    The polynomial through n beliefs is integrated exactly (Lu et al. 2022b, eq. 3.3), so a belief that is a polynomial
    of degree n − 1 in λ is followed without error. Across an infinite step only the last node is meaningful.
    """
    h = (s - t) * rate
    if not torch.isfinite(h):
        return torch.cat([t.new_zeros(len(nodes) - 1), t.new_ones(1)])
    u = torch.stack([(node - t) / (s - t) for node in nodes])
    powers = torch.arange(len(nodes), dtype=torch.float64)[:, None]
    return torch.linalg.solve(u**powers, exponential_moments(h, len(nodes)))


@register("exponential", "solver")
@dataclass(frozen=True)
class Exponential:
    """Multistep exponential integrator of ``order`` 1 to 3: one evaluation a step, and one more in the first step of
    order 3, which has no past to extrapolate and would hold the whole method to order 2.

    ``eta`` 0 follows the probability-flow ODE, 1 the reverse SDE; between them only order 1 (DDIM, Song et al. 2021a)
    is defined. Raises UserError outside these ranges.
    """

    order: int = 2
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise UserError(f"order must be 1, 2 or 3, got {self.order}.")
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must be between 0 (deterministic) and 1 (as noisy as DDPM), got {self.eta}.")
        if self.order > 1 and self.eta not in (0, 1):
            raise UserError(f"order {self.order} knows eta=0 and eta=1 only, got {self.eta}. Between them use ddim.")

    def init(self) -> Memory:
        return ()

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Memory, rng: Rng
    ) -> tuple[Tensor, Memory]:
        process, belief = denoiser.process, denoiser(x, t)
        start, end = process.log_ratio(t), process.log_ratio(s)
        if self.order == 1 or torch.isneginf(start):  # a belief formed at λ = −∞ is no node to interpolate from
            return process.reverse(x, belief, t, s, rng, eta=self.eta), ()
        past = (*memory, (start, belief.mean))[-self.order :]
        nodes = past
        if self.order == 3 and len(past) == 1 and self.eta == 0 and torch.isfinite(end):
            ahead = process.reverse(x, belief, t, s, rng, eta=0.0)
            nodes = (*past, (end, denoiser(ahead, s).mean))
        weights = aim_weights([node for node, _ in nodes], start, end, rate=1 + self.eta**2)
        aim = sum((w * mean for w, (_, mean) in zip(weights, nodes, strict=True)), torch.zeros(()))
        return process.reverse(x, Moments(aim), t, s, rng, eta=self.eta), past
