"""ER-SDE: exponential multistep steps whose noise follows a shape of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..registry import register
from .exponential import Node
from .weights import quadrature_weights


def _log_scale(rho: Tensor) -> Tensor:
    """log φ(ρ) of φ = ρ (e^{ρ^0.3} + 10) (Cui et al. 2023, "ER-SDE 5"); ρ = σ/α."""
    return rho.log() + torch.logaddexp(rho**0.3, torch.tensor(10.0, dtype=torch.float64).log())


@register("er-sde", "solver")
@dataclass(frozen=True)
class ERSDE:
    """Extended reverse-time SDE solver (Cui et al. 2023, algorithms 1 to 3): x/α keeps φ(ρ_s)/φ(ρ_t) of itself, the
    rest goes to a polynomial in ρ = σ/α through the last ``order`` beliefs, integrated by quadrature; the noise is what
    keeps the variance right. Raises UserError for an order other than 1, 2, 3."""

    order: int = 3

    tabulates = True

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise UserError(f"order must be 1, 2 or 3, got {self.order}.")

    def init(self, process: Any, times: Tensor) -> tuple[Node, ...]:
        need(process, self, "log_ratio", "schedule", "reverse")
        return ()

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: tuple[Node, ...], rng: Rng
    ) -> tuple[Tensor, tuple[Node, ...]]:
        process, belief = denoiser.process, denoiser(x, t)
        start, end = process.log_ratio(t), process.log_ratio(s)
        past = (*memory, Node(start, belief.mean))[-self.order :]
        if not torch.isfinite(end - start):  # from no signal all is replaced; clean data are the belief
            return process.reverse(x, belief, t, s, rng, eta=float(torch.isneginf(start))), past[:0]
        rho_t, rho_s = (-start).exp(), (-end).exp()
        kept = (_log_scale(rho_s) - _log_scale(rho_t)).exp()
        weights = quadrature_weights(
            [(-node.lam).exp() for node in past], lambda lam: (-lam).exp(), _kernel, start, end
        )
        aim = sum((w * node.value for w, node in zip(weights[1:], past[1:], strict=True)), weights[0] * past[0].value)
        a_t, a_s = process.schedule(t).alpha, process.schedule(s).alpha
        fresh = a_s * (rho_s**2 - (kept * rho_t) ** 2).clamp_min(0).sqrt()
        return a_s * (kept * (x / a_t) + (1 - kept) * aim) + fresh * rng.normal(x), past


def _kernel(lam: Tensor) -> Tensor:
    """∝ d(−1/φ)/dλ: what the linear part of the SDE leaves of a belief at λ."""
    rho = (-lam).exp()
    grown = torch.sigmoid(rho**0.3 - torch.tensor(10.0, dtype=torch.float64).log())
    return (1 + 0.3 * rho**0.3 * grown) / _log_scale(rho).exp()
