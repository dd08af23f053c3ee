"""An operator near x̂₀, and the equations in the space of y that moment methods solve."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..operators import Spectrum, cg, dense_spectrum

FULL = 64  # numbers in y up to which matrices M × M are made and solved
DENSE = 1024  # numbers on either side up to which an unknown SVD is computed


class Tangent(NamedTuple):
    """The derivative A' of an operator at x̂₀ (B, *D): of a linear one, itself."""

    forward: Callable[[Tensor], Tensor]  # (B, *D) → (B, *M)
    back: Callable[[Tensor], Tensor]  # A'ᵀ: (B, *M) → (B, *D)
    dim: int  # M

    def rows(self, like: Tensor) -> Tensor:
        """A' as (B, M, D); like a measurement (B, *M)."""
        units = torch.eye(self.dim).to(like).view(self.dim, 1, *like.shape[1:])
        return torch.stack([self.back(unit.expand_as(like)).flatten(1) for unit in units], 1)


def tangent(operator: Any, mean: Tensor) -> Tangent:
    """A' at x̂₀ (B, *D), which is detached. Of an operator that is not linear by automatic differentiation."""
    dim = prod(operator.measured)
    if operator.linear:
        return Tangent(operator, operator.adjoint, dim)
    with torch.enable_grad():
        leaf = mean.detach().requires_grad_()
        y = operator(leaf)

    def back(v: Tensor) -> Tensor:
        return torch.autograd.grad(y, leaf, v, retain_graph=True)[0]

    return Tangent(lambda u: torch.func.jvp(operator, (mean.detach(),), (u,))[1], back, dim)


def solve_positive(matrix: Tensor, std: float, b: Tensor) -> Tensor:
    """(C + std² I)⁻¹ b, C (B, M, M), b (B, M). C is symmetrised; where it is not positive, as the covariance of a
    network may be, its negative part is left out, and with std 0 also what is nothing but rounding."""
    eye = torch.eye(matrix.shape[-1]).to(matrix)
    symmetric = 0.5 * (matrix + matrix.mT)
    floor = 1e-7 * symmetric.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp_min(0) if std == 0 else 0.0
    factor, fault = torch.linalg.cholesky_ex(symmetric + (std**2 + floor) * eye)
    solved = torch.cholesky_solve(b[..., None], factor)[..., 0]
    failed = fault > 0
    if failed.any():  # these examples alone: what happens to one never depends on its batch
        solved[failed] = _solved_by_parts(symmetric[failed], std, b[failed])
    return solved


def _solved_by_parts(symmetric: Tensor, std: float, b: Tensor) -> Tensor:
    """``solve_positive`` of what is not positive, by its eigenvectors."""
    values, vectors = torch.linalg.eigh(symmetric.double())
    values = values.clamp_min(0) + std**2
    along = torch.einsum("bmn,bm->bn", vectors, b.double())
    kept = values > 1e-7 * values.amax(1, keepdim=True)
    along = torch.where(kept, along / torch.where(kept, values, 1.0), 0.0)
    return torch.einsum("bmn,bn->bm", vectors, along).to(b)


class Isotropic:
    """y ↦ Aᵀ (var A Aᵀ + std² I)⁻¹ y of a linear operator: through its SVD where that is known or small, else by
    conjugate gradients."""

    def __init__(self, operator: Any, std: float) -> None:
        self.operator, self.std = operator, std
        small = max(prod(operator.event), prod(operator.measured)) <= DENSE
        self.spectrum: Spectrum | None = operator.spectrum() or (dense_spectrum(operator) if small else None)

    def __call__(self, y: Tensor, var: Tensor) -> Tensor:
        """y (B, *M), var () or (B,) → (B, *D)."""
        var = var.to(y)
        if self.spectrum is None:
            var = var.reshape(-1, *[1] * (y.ndim - 1))
            solved = cg(lambda v: var * self.operator(self.operator.adjoint(v)) + self.std**2 * v, y)
            return self.operator.adjoint(solved)
        values = self.spectrum.values.to(y)
        weights = values / (var.reshape(-1, 1) * values**2 + self.std**2)
        return self.spectrum.from_v(self.spectrum.filled(weights * self.spectrum.to_u(y)))
