"""Laws of operators: adjoints, singular values, batches, dtypes, gradients."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from ..core import Rng
from ..operators.linear_algebra import dense_spectrum, matrix
from ..operators.protocol import Spectrum, name_of

EXACT = {torch.float64: 1e-10, torch.float32: 2e-4}  # relative; transforms of up to 1e5 numbers lose a few digits


def check_operator(operator: Any, seed: int = 0, dense: bool = True) -> None:
    """Shapes and dtypes as promised; examples do not see each other; gradients where it is differentiable. Where it is
    linear: A(a u + b v), ⟨A u, v⟩ = ⟨u, Aᵀ v⟩ in float64 and float32, and its spectrum. ``dense`` compares the singular
    values with those of its matrix. Events are drawn uniformly from [−1, 1]."""
    for dtype in (torch.float64, torch.float32):
        rng = Rng(Rng.fold(seed, 1))
        u = 2 * rng.uniform(torch.empty(3, *operator.event, dtype=dtype)) - 1
        y = operator(u)
        name = f"{name_of(operator)} in {dtype}"
        assert y.shape == (3, *operator.measured), f"{name}: gives {tuple(y.shape)}, not (3, *{operator.measured})"
        assert y.dtype == dtype and y.isfinite().all(), f"{name}: gives {y.dtype}, or numbers that are not finite"
        _near(operator(u[1:2]), y[1:2], EXACT[dtype], f"{name}: an example depends on its batch")
        if operator.differentiable:
            _check_gradient(operator, u, name)
        if operator.linear:
            _check_linear(operator, u, rng, name)
            spectrum = operator.spectrum()
            if spectrum is not None:
                check_spectrum(operator, spectrum, dtype, dense=dense)


def check_spectrum(operator: Any, spectrum: Spectrum, dtype: torch.dtype = torch.float64, dense: bool = True) -> None:
    """A = U diag(s) Vᵀ with V orthogonal and U of orthonormal columns; the singular values are those of the matrix."""
    rng, name, tol = Rng(7), f"{name_of(operator)} in {dtype}", EXACT[dtype]
    d, r = prod(operator.event), spectrum.rank
    x, c = (rng.normal(torch.empty(2, *shape, dtype=dtype)) for shape in (operator.event, (d,)))
    y, k = (rng.normal(torch.empty(2, *shape, dtype=dtype)) for shape in (operator.measured, (r,)))
    assert spectrum.size == d and spectrum.to_v(x).shape == (2, d), f"{name}: V has {spectrum.size} directions of {d}"
    assert spectrum.values.dtype == torch.float64 and (spectrum.values > 0).all(), f"{name}: its values are not > 0"
    _near(spectrum.from_v(spectrum.to_v(x)), x, tol, f"{name}: V Vᵀ x is not x")
    _near(spectrum.to_v(spectrum.from_v(c)), c, tol, f"{name}: Vᵀ V c is not c")
    _near(_dot(spectrum.to_v(x), c), _dot(x, spectrum.from_v(c)), tol, f"{name}: V is not the transpose of Vᵀ", d)
    _near(spectrum.to_u(spectrum.from_u(k)), k, tol, f"{name}: Uᵀ U c is not c")
    _near(_dot(spectrum.to_u(y), k), _dot(y, spectrum.from_u(k)), tol, f"{name}: U is not the transpose of Uᵀ", d)
    through = spectrum.from_u(spectrum.values.to(x) * spectrum.to_v(x)[:, :r])
    _near(through, operator(x), tol, f"{name}: U diag(s) Vᵀ x is not A x")
    if dense and dtype == torch.float64:
        want = dense_spectrum(operator).values
        got = spectrum.values.sort(descending=True).values
        assert len(got) == len(want), f"{name}: rank {len(got)}, its matrix has {len(want)}"
        _near(got, want, 1e-8, f"{name}: its singular values are not those of its matrix")
        if got[-1] < 1e-6 * got[0]:
            return  # a pseudo-inverse that rounding decides
        least_squares = matrix(operator).pinverse() @ y.flatten(1).mT
        _near(spectrum.pinv(y).flatten(1), least_squares.mT, 1e-7, f"{name}: A⁺ is not the pseudo-inverse")


def _check_linear(operator: Any, u: Tensor, rng: Rng, name: str) -> None:
    v, tol = rng.normal(u), EXACT[u.dtype]
    _near(operator(1.5 * u - 0.5 * v), 1.5 * operator(u) - 0.5 * operator(v), tol, f"{name}: is not linear")
    y = rng.normal(operator(u))
    back = operator.adjoint(y)
    assert back.shape == u.shape and back.dtype == u.dtype, (
        f"{name}: its adjoint gives {tuple(back.shape)} {back.dtype}"
    )
    _near(_dot(operator(u), y), _dot(u, back), tol, f"{name}: ⟨A u, v⟩ is not ⟨u, Aᵀ v⟩", prod(operator.event))


def _check_gradient(operator: Any, u: Tensor, name: str) -> None:
    x = u.clone().requires_grad_()
    out = operator(x)
    weight = Rng(5).normal(out)
    (grad,) = torch.autograd.grad((out * weight).sum(), x)
    assert grad.shape == u.shape and grad.isfinite().all(), f"{name}: no finite gradient"
    if u.dtype == torch.float64:
        step = 1e-6 * Rng(6).normal(u)
        change = ((operator(u + step) - operator(u - step)) * weight).sum() / 2
        _near(change[None], _dot(grad, step).sum()[None], 1e-4, f"{name}: its gradient is not that of differences")


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _near(got: Tensor, want: Tensor, tol: float, what: str, terms: int = 1) -> None:
    """Up to ``tol`` of the largest number; sums of ``terms`` random signs may cancel to a √terms-th of their parts."""
    scale = max(want.abs().max().item(), 1e-30) if terms == 1 else want.abs().max().item() + terms**0.5
    assert (got - want).abs().max() <= tol * scale, f"{what}: {(got - want).abs().max():.1e} of {scale:.1e}"
