"""What methods ask of linear operators: their matrix, their SVD, solves without a matrix, a test of linearity."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .protocol import Kept, Spectrum, name_of

LARGEST = 4096  # numbers on either side of an SVD without structure: 128 MB and a minute
_ROWS = 1 << 22  # numbers that go through an operator at once


def matrix(operator: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    """A as (M, D), by its columns A eᵢ. Raises UserError for one that is not linear."""
    need_linear(operator)
    d = prod(operator.event)
    eye = torch.eye(d, dtype=dtype, device=_device(operator))
    parts = eye.split(max(1, _ROWS // d))
    return torch.cat([operator(part.unflatten(1, operator.event)).flatten(1) for part in parts]).mT


def dense_spectrum(operator: Any) -> Spectrum:
    """The SVD of the matrix. Raises UserError above 4096 × 4096, and for an operator that is not linear."""
    need_linear(operator)
    d, m = prod(operator.event), prod(operator.measured)
    if max(d, m) > LARGEST:
        raise UserError(
            f"{name_of(operator)} maps {d} numbers to {m} and its SVD is not known in closed form; it is "
            f"computed up to {LARGEST} only. Use a method that needs none (mmps, dps, sda)."
        )
    return svd_spectrum(matrix(operator), operator.event, operator.measured)


def svd_spectrum(A: Tensor, event: tuple[int, ...], measured: tuple[int, ...]) -> Spectrum:
    """The spectrum of A (M, D) between examples of shape ``event`` and measurements of shape ``measured``.

    Singular values below max(M, D) · ε · s_max, ε that of A's dtype, are rounding and left out.
    """
    U, s, Vt = torch.linalg.svd(A.double(), full_matrices=True)
    tolerance = max(A.shape) * torch.finfo(A.dtype).eps * s.max().item()
    r = int((s > tolerance).sum())
    u, v = Kept(U[:, :r]), Kept(Vt.mT)
    return Spectrum(
        values=s[:r].cpu(),
        to_v=lambda x: x.flatten(1) @ v.like(x),
        from_v=lambda c: (c @ v.like(c).mT).unflatten(1, event),
        to_u=lambda y: y.flatten(1) @ u.like(y),
        from_u=lambda c: (c @ u.like(c).mT).unflatten(1, measured),
        size=A.shape[1],
    )


def spectrum_of(operator: Any) -> Spectrum:
    """The SVD: in closed form where known, else of the matrix. Raises UserError where it is too large for that, and for
    an operator that is not linear."""
    need_linear(operator)
    return operator.spectrum() or dense_spectrum(operator)


def pinv(operator: Any) -> Callable[[Tensor], Tensor]:
    """y ↦ A⁺ y, (B, *M) → (B, *D): the least x among those that come nearest to y. Raises as ``spectrum_of``."""
    return spectrum_of(operator).pinv


def need_linear(operator: Any) -> None:
    """Raise UserError for an operator that says it is not linear."""
    if not operator.linear:
        raise UserError(
            f"{name_of(operator)} is not linear, and a linear operator is needed here. "
            "Use a method for any operator (dps, tds), or a linear operator."
        )


def is_linear(operator: Any, rng: Rng, tolerance: float = 1e-4) -> bool:
    """Whether A(a u + b v) = a A u + b A v for random u, v, to ``tolerance`` of the largest number (in float32)."""
    u, v = rng.normal(torch.empty(2, 2, *operator.event, device=_device(operator))).unbind()
    with torch.no_grad():
        got, want = operator(1.5 * u - 0.7 * v), 1.5 * operator(u) - 0.7 * operator(v)
    return bool((got - want).abs().max() <= tolerance * want.abs().max())


def check_linear(operator: Any, rng: Rng) -> None:
    """Raise UserError, naming the operator, when it is not linear by a random test, or says so itself; or when its
    adjoint is not one, ⟨A u, v⟩ ≠ ⟨u, Aᵀ v⟩."""
    need_linear(operator)
    if not is_linear(operator, rng):
        raise UserError(
            f"{name_of(operator)} is not linear: A(a u + b v) differs from a A(u) + b A(v) for random u and v. "
            "Leave out constants and clipping, or use a method for any operator (dps, tds)."
        )
    u = rng.normal(torch.empty(2, *operator.event, device=_device(operator)))
    with torch.no_grad():
        Au = operator(u)
        v = rng.normal(Au)
        left, right = (Au * v).flatten(1).sum(1), (u * operator.adjoint(v)).flatten(1).sum(1)
    scale = Au.flatten(1).norm(dim=1) * v.flatten(1).norm(dim=1)
    if ((left - right).abs() > 1e-4 * scale).any():
        raise UserError(f"the adjoint of {name_of(operator)} is none: ⟨A u, v⟩ differs from ⟨u, Aᵀ v⟩.")


def cg(apply: Callable[[Tensor], Tensor], b: Tensor, iterations: int = 50, tol: float = 1e-6) -> Tensor:
    """Solve S v = b example by example without a matrix: conjugate gradients (Hestenes & Stiefel 1952).

    ``apply`` v ↦ S v is linear, symmetric and positive on (B, *M); b (B, *M). An example stops after ``iterations`` or
    when its residual is below ``tol`` ‖b‖, whatever the others do; it also stops where S turns out not to be positive,
    with what it has. From v = 0, so one iteration is a step along b.
    """
    v, residual, direction = torch.zeros_like(b), b, b
    square = _inner(residual, residual)
    enough = tol**2 * square
    going = square > enough
    for _ in range(iterations):
        if not going.any():
            break
        image = apply(direction)
        curvature = _inner(direction, image)
        going = going & (curvature > 0)
        length = torch.where(going, square / torch.where(curvature > 0, curvature, 1.0), 0.0)
        v = v + length * direction
        residual = residual - length * image
        fresh = _inner(residual, residual)
        ratio = torch.where(square > 0, fresh / torch.where(square > 0, square, 1.0), 0.0)
        direction = torch.where(going, residual + ratio * direction, direction)
        square = torch.where(going, fresh, square)
        going = going & (square > enough)
    return v


def _device(operator: Any) -> str:
    """Where an operator can be tried: a ``Function`` may hold tensors that live on a GPU."""
    return getattr(operator, "device", "cpu")


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """⟨a, b⟩ of each example, (B, *M) → (B, 1 …)."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))
