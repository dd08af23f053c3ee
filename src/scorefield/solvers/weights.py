"""Which clean image (or which noise) an exponential step aims at: a weighted average of beliefs, weights summing to 1.

The exact step of the probability-flow ODE and of the reverse SDE aims at ∫ K(λ) f(λ) dλ / ∫ K(λ) dλ, λ = log α/σ,
with the kernel K = e^{rate λ}. Interpolating f through the last beliefs gives weights; the methods of the literature
differ in what they interpolate in, and in the short cuts that their authors took.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

POINTS = 64  # of Gauss–Legendre: e^{20 v} is integrated to rounding


def exponential_moments(h: Tensor, count: int) -> Tensor:
    """∫₀¹ e^{hv} vᵏ dv / ∫₀¹ e^{hv} dv for k = 0 … count − 1, (count,) float64, any finite h.

    By parts, M_k = 1/(1 − e^{−h}) − (k/h) M_{k−1}; for |h| < 1 that cancels, so the Taylor series in h takes over:
    numerator Σ_j hʲ/(j! (j + k + 1)), exact to rounding with 20 terms.
    """
    if h.abs() < 1:
        j = torch.arange(20, dtype=torch.float64)
        terms = h**j / torch.lgamma(j + 1).exp()
        sums = torch.stack([(terms / (j + k + 1)).sum() for k in range(count)])
        return sums / sums[0]
    moments = [torch.ones_like(h)]
    for k in range(1, count):
        moments.append(1 / -torch.expm1(-h) - k / h * moments[-1])
    return torch.stack(moments)


def _exact(moments: Tensor, h: Tensor) -> Tensor:
    return moments


def _bh1(moments: Tensor, h: Tensor) -> Tensor:
    """UniPC with B(h) = h: where one difference is used, its coefficient is ½ B(h) (Zhao et al. 2023, section 3.3)."""
    return torch.stack([moments[0], 0.5 * h / -torch.expm1(-h)]) if len(moments) == 2 else moments


def _bh2(moments: Tensor, h: Tensor) -> Tensor:
    """UniPC with B(h) = e^h − 1, and the usual code of DPM-Solver++(2M): the first moment is replaced by ½."""
    return torch.stack([moments[0], torch.full_like(h, 0.5)]) if len(moments) == 2 else moments


def _third_halved(moments: Tensor, h: Tensor) -> Tensor:
    """Third order as k-diffusion runs it: the second difference counts half, which leaves order 2."""
    return torch.cat([moments[:2], moments[2:] / 2])


def _published(moments: Tensor, h: Tensor) -> Tensor:
    """DPM-Solver++ multistep as its authors and diffusers run it: ½ at two beliefs, the second difference halved at
    three, which leaves order 2."""
    return _third_halved(_bh2(moments, h), h)


RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exact": _exact,
    "bh1": _bh1,
    "bh2": _bh2,
    "published": _published,
    "k-diffusion": _third_halved,
}


def aim_weights(nodes: list[Tensor], t: Tensor, s: Tensor, rate: Tensor | float = 1.0, rule: str = "exact") -> Tensor:
    """Weights (n,) of the beliefs at λ = ``nodes`` for a step λ: t → s under the kernel e^{rate λ}.

    With the exact ``rule`` the polynomial through n beliefs is integrated exactly (Lu et al. 2022b, eq. 3.3), so a
    belief that is a polynomial of degree n − 1 in λ is followed without error. Across an infinite step only the last
    node is meaningful.
    """
    h = (s - t) * rate
    if not torch.isfinite(h):
        return torch.cat([t.new_zeros(len(nodes) - 1), t.new_ones(1)])
    u = torch.stack([(node - t) / (s - t) for node in nodes])
    powers = torch.arange(len(nodes), dtype=torch.float64)[:, None]
    return torch.linalg.solve(u**powers, RULES[rule](exponential_moments(h, len(nodes)), h))


def quadrature_weights(
    nodes: list[Tensor], clock: Callable[[Tensor], Tensor], kernel: Callable[[Tensor], Tensor], t: Tensor, s: Tensor
) -> Tensor:
    """Weights (n,) of the beliefs at ``nodes`` on any ``clock`` (λ ↦ position) under any ``kernel`` of λ over λ: t → s.

    The Lagrange polynomials in the clock are integrated by Gauss–Legendre. Across an infinite step only the last node
    is meaningful.
    """
    if len(nodes) == 1 or not torch.isfinite(s - t):
        return torch.cat([t.new_zeros(len(nodes) - 1), t.new_ones(1)])
    points, shares = (torch.from_numpy(part) for part in _gauss_legendre())
    lam = t + (s - t) * (points + 1) / 2
    mass = shares * kernel(lam)
    where, at = torch.stack(nodes), clock(lam)
    weights = []
    for j, node in enumerate(nodes):
        others = torch.cat([where[:j], where[j + 1 :]])
        weights.append((mass * ((at[:, None] - others) / (node - others)).prod(1)).sum())
    return torch.stack(weights) / mass.sum()


@lru_cache(1)
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(POINTS)
