"""An operator near x̂₀, and the equations in the space of y that moment methods solve."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import UserError
from ..guidance.tilted import View
from ..operators import Spectrum, cg, dense_spectrum

LOST = 100  # units of rounding: a direction of which those before it leave less is none
SLACK = 1e-3  # how far below 0 a covariance may be, of the variance of the noise, and still pass for positive
DENSE = 1024  # numbers on either side up to which an unknown SVD is computed


class Tangent(NamedTuple):
    """The derivative A' of an operator at x̂₀ (B, *D): of a linear one, itself."""

    forward: Callable[[Tensor], Tensor]  # (B, *D) → (B, *M)
    back: Callable[[Tensor], Tensor]  # A'ᵀ: (B, *M) → (B, *D)
    dim: int  # M
    fixed: bool  # the same for all examples

    def rows(self, like: Tensor) -> Tensor:
        """A' as (B, M, *D), or (1, M, *D) where it is one for all; like a measurement (B, *M)."""
        units = torch.eye(self.dim).to(like).view(self.dim, *like.shape[1:])
        if self.fixed:
            return self.back(units)[None]
        return torch.stack([self.back(unit.expand_as(like)) for unit in units], 1)


def tangent(operator: Any, mean: Tensor) -> Tangent:
    """A' at x̂₀ (B, *D), which is detached. Of an operator that is not linear by automatic differentiation: A' by
    differentiating A'ᵀ v by v, which asks no more of the operator than a backward pass that has a gradient itself."""
    dim = prod(operator.measured)
    if operator.linear:
        return Tangent(operator, operator.adjoint, dim, True)
    with torch.enable_grad():
        leaf = mean.detach().requires_grad_()
        y = operator(leaf)

    def back(v: Tensor) -> Tensor:
        return torch.autograd.grad(y, leaf, v, retain_graph=True)[0]

    return Tangent(_forward(operator, y, leaf), back, dim, False)


def _forward(operator: Any, y: Tensor, leaf: Tensor) -> Callable[[Tensor], Tensor]:
    """u ↦ A' u of y (B, *M), a graph over a leaf (B, *D). Raises UserError where torch cannot."""
    graph: list[tuple[Tensor, Tensor]] = []  # v and A'ᵀ v, made when first needed

    def forward(u: Tensor) -> Tensor:
        try:
            if not graph:
                with torch.enable_grad():
                    v = torch.zeros_like(y, requires_grad=True)
                    graph.append((v, torch.autograd.grad(y, leaf, v, create_graph=True)[0]))
            v, back = graph[0]
            return torch.autograd.grad(back, v, u, retain_graph=True)[0]
        except RuntimeError as error:
            raise UserError(
                f"this method differentiates the backward pass of {type(operator).__name__}, and torch cannot. Write "
                "that pass with torch functions and without once_differentiable, or use dps or tds-likelihood, which "
                "need no more than the pass itself."
            ) from error

    return forward


class Solved(NamedTuple):
    """What a Gaussian belief says of y: by how much y moves x̂₀ (B, *D), and log p(y) in nats (B,)."""

    shift: Tensor
    log_density: Tensor


def full_solve(seen: View, near: Tangent, residual: Tensor, std: float, dtype: torch.dtype | None = None) -> Solved:
    """C Aᵀ (A C Aᵀ + std² I)⁻¹ r and log N(r; 0, A C Aᵀ + std² I), C = (σ²/α) ∂x̂₀/∂x_t, in M backward passes and
    without another: what those gave is combined. Matrices are solved in ``dtype``, by default that of r."""
    rows, gain, last = near.rows(residual), seen.gain, near.dim - 1
    columns = [gain * seen.pull(seen.mean, rows[:, i].expand_as(seen.x), more=i < last) for i in range(near.dim)]
    spread = torch.stack(columns, 1).flatten(2)  # C Aᵀ, (B, M, D)
    matrix, b = ((rows.flatten(2) @ spread.mT), residual.flatten(1))
    solved, log_density = solve_positive(matrix.to(dtype or b.dtype), std, b.to(dtype or b.dtype))
    return Solved(_combined(solved.to(spread), spread).view_as(seen.x), log_density)


def projected_solve(seen: View, near: Tangent, residual: Tensor, std: float, count: int) -> Tensor:
    """By how much y moves x̂₀ where no more than ``count`` numbers Qᵀy of it are heard: C AᵀQ (Qᵀ(A C Aᵀ + std² I)Q)⁻¹
    Qᵀr, Q an orthonormal basis of r, A C Aᵀ r, (A C Aᵀ)² r … (Arnoldi 1951). Each is a backward pass.

    Of a covariance that is symmetric and positive it is what as many conjugate gradients give, and with M directions
    it is ``full_solve``. That of a network is neither: conjugate gradients lose their directions, and what they take
    for a small variance is answered a hundred times too loud. Here Q stays orthonormal whatever C is, and
    ``solve_positive`` takes the symmetric and positive part. An example whose directions end earlier has no more of
    them, whatever the others do.
    """
    b, gain, least = residual.flatten(1), seen.gain, LOST * torch.finfo(residual.dtype).eps
    q, bases, spreads, images = _unit(b), [], [], []
    for left in reversed(range(count)):
        spread = gain * seen.pull(seen.mean, near.back(q.view_as(residual)), more=left > 0)
        image = near.forward(spread).flatten(1)
        for rows, row in ((bases, q), (spreads, spread.flatten(1)), (images, image)):
            rows.append(row)
        basis, rest = torch.stack(bases, 1), image
        for _ in range(2):  # once leaves rounding, which grows from direction to direction
            rest = rest - _combined(_along(basis, rest), basis)
        fresh = rest.norm(dim=1, keepdim=True) > least * image.norm(dim=1, keepdim=True)
        q = torch.where(fresh, _unit(rest), 0.0)
    basis, image = torch.stack(bases, 1), torch.stack(images, 1)
    solved, _ = solve_positive(basis @ image.mT, std, _along(basis, b))
    return _combined(solved, torch.stack(spreads, 1)).view_as(seen.x)


def _unit(rows: Tensor) -> Tensor:
    """(B, M) of length 1, or 0 where they are 0."""
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)


def _along(basis: Tensor, rows: Tensor) -> Tensor:
    """Products (B, k) of rows (B, M) with a basis (B, k, M)."""
    return (basis @ rows[..., None])[..., 0]


def _combined(weights: Tensor, rows: Tensor) -> Tensor:
    """Σ_k w_k row_k, weights (B, k) and rows (B, k, D) → (B, D)."""
    return (weights[:, None] @ rows)[:, 0]


def solve_positive(matrix: Tensor, std: float, b: Tensor) -> tuple[Tensor, Tensor]:
    """(C + std² I)⁻¹ b and log N(b; 0, C + std² I), C (B, M, M), b (B, M). C is symmetrised. Where it is not positive,
    as the covariance of a network may be, it is taken for 0 and b says nothing there: C would turn the answer to b
    round, and the smaller std is, the further. With std 0 what is nothing but rounding is left out as well."""
    eye = torch.eye(matrix.shape[-1]).to(matrix)
    symmetric = 0.5 * (matrix + matrix.mT)
    floor = 1e-7 * symmetric.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp_min(0) if std == 0 else 0.0
    _, fault = torch.linalg.cholesky_ex(symmetric + (SLACK * std**2 + floor) * eye)
    factor, _ = torch.linalg.cholesky_ex(symmetric + (std**2 + floor) * eye)
    solved = torch.cholesky_solve(b[..., None], factor)[..., 0]
    spent = (b * solved).sum(1) + 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    failed = fault > 0
    if failed.any():  # these examples alone: what happens to one never depends on its batch
        solved[failed], spent[failed] = _solved_by_parts(symmetric[failed], std, b[failed])
    return solved, -0.5 * (spent + b.shape[1] * math.log(2 * math.pi))


def _solved_by_parts(symmetric: Tensor, std: float, b: Tensor) -> tuple[Tensor, Tensor]:
    """(C + std² I)⁻¹ b and bᵀ(C + std² I)⁻¹ b + log |C + std² I| with the positive part of C, by its eigenvectors; what
    is answered to b lies in that part."""
    values, vectors = torch.linalg.eigh(symmetric.double())
    total = values.clamp_min(0) + std**2
    along = torch.einsum("bmn,bm->bn", vectors, b.double())
    kept = total > 1e-7 * total.amax(1, keepdim=True)
    each = torch.where(kept, along / torch.where(kept, total, 1.0), 0.0)
    solved = torch.einsum("bmn,bn->bm", vectors, torch.where(values > 0, each, 0.0))
    spent = (along * each + torch.where(kept, total, 1.0).log()).sum(1)
    return solved.to(b), spent.to(b)


class Isotropic:
    """y ↦ Aᵀ (var A Aᵀ + std² I)⁻¹ y of a linear operator: through its SVD where that is known or small, else by
    conjugate gradients."""

    def __init__(self, operator: Any, std: float) -> None:
        self.operator, self.std = operator, std
        small = max(prod(operator.event), prod(operator.measured)) <= DENSE
        self.spectrum: Spectrum | None = operator.spectrum() or (dense_spectrum(operator) if small else None)

    def __call__(self, y: Tensor, var: Tensor) -> Tensor:
        """y (B, *M), var () or (B,) → (B, *D)."""
        if self.spectrum is not None:
            return self._weighed(self._weights(self.spectrum.values.to(y), var.to(y)), y)
        var = var.to(y).reshape(-1, *[1] * (y.ndim - 1))
        solved = cg(lambda v: var * self.operator(self.operator.adjoint(v)) + self.std**2 * v, y)
        return self.operator.adjoint(solved)

    def times(self, var: Tensor, scale: Tensor) -> list[Callable[[Tensor], Tensor]]:
        """The map of each var (n,), times its scale (n,): what depends on the noise level alone is done beforehand."""
        if self.spectrum is None:
            return [lambda y, v=v, c=c: c * self(y, v) for v, c in zip(var, scale, strict=True)]
        weights = scale[:, None] * self._weights(self.spectrum.values, var)
        return [partial(self._weighed, row) for row in weights]

    def _weights(self, values: Tensor, var: Tensor) -> Tensor:
        """() or (n,) → (1, r) or (n, r)."""
        return values / (var.reshape(-1, 1) * values**2 + self.std**2)

    def _weighed(self, weights: Tensor, y: Tensor) -> Tensor:
        assert self.spectrum is not None
        return self.spectrum.from_v(self.spectrum.filled(weights.to(y) * self.spectrum.to_u(y)))
