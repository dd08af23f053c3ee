from __future__ import annotations

import pytest
import torch

from scorefield import Rng, UserError
from scorefield.operators import (
    Function,
    Mask,
    Matrix,
    Quantise,
    Radon,
    cg,
    check_linear,
    dense_spectrum,
    matrix,
    pinv,
    spectrum_of,
)
from scorefield.operators.linear_algebra import is_linear


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return Rng(seed).normal(torch.empty(shape, dtype=torch.float64))


def test_conjugate_gradients_solve_example_by_example():
    """Exact after D iterations, for one matrix per example; a solved or trivial example does not change the others."""
    factors = gaussian(4, 6, 6)
    S = factors @ factors.mT + 0.1 * torch.eye(6).double()
    b = gaussian(4, 6, seed=1)
    b[2] = 0
    many = cg(lambda v: torch.einsum("bij,bj->bi", S, v), b, 60, 1e-12)
    torch.testing.assert_close(many, torch.linalg.solve(S, b), rtol=1e-8, atol=1e-8)
    alone = cg(lambda v: torch.einsum("bij,bj->bi", S[:1], v), b[:1], 60, 1e-12)
    torch.testing.assert_close(alone, many[:1], rtol=1e-10, atol=1e-10)
    images = cg(lambda v: 2 * v, b.view(4, 1, 2, 3), 5)
    torch.testing.assert_close(images, b.view(4, 1, 2, 3) / 2)


def test_one_iteration_is_a_step_along_b_and_bad_curvature_stops():
    S = torch.diag(torch.tensor([1.0, 4.0, 9.0]).double())
    b = gaussian(2, 3)
    step = (b * b).sum(1) / ((b @ S) * b).sum(1)
    torch.testing.assert_close(cg(lambda v: v @ S, b, 1), step[:, None] * b)
    assert not cg(lambda v: -v, b).any()
    mixed = cg(lambda v: torch.stack([v[0], -v[1]]), b)
    torch.testing.assert_close(mixed, torch.stack([b[0], 0 * b[0]]))


def test_matrix_pinv_and_spectrum_of_structured_operators():
    A = gaussian(7, 12)
    torch.testing.assert_close(matrix(Matrix(A)), A)
    y = gaussian(2, 7, seed=2)
    torch.testing.assert_close(pinv(Matrix(A))(y), y @ A.pinverse().mT)
    radon = Radon.views((1, 5, 5), 3)
    torch.testing.assert_close(spectrum_of(radon).values, dense_spectrum(radon).values)
    x = Mask.half((1, 4, 4))
    torch.testing.assert_close(pinv(x)(gaussian(2, 8)), x.adjoint(gaussian(2, 8)))


def test_operators_that_are_not_linear_are_found():
    check_linear(Matrix(gaussian(3, 5)), Rng(0))
    check_linear(Function(lambda x: 2 * x, (3,)), Rng(0))
    assert not is_linear(Function(lambda x: x + 1e-2, (3,), linear=False), Rng(0))
    assert not Function(lambda x: x.abs(), (3,)).linear and Function(lambda x: x.flip(-1), (3,)).linear

    class Wrong:
        name, event, measured, linear, differentiable = "Wrong", (4,), (4,), True, True

        def __call__(self, x):
            return x.cumsum(1)

        def adjoint(self, y):
            return y.cumsum(1)

    with pytest.raises(UserError, match="the adjoint of Wrong is none"):
        check_linear(Wrong(), Rng(0))
    with pytest.raises(UserError, match="Quantise is not linear, and a linear operator is needed"):
        check_linear(Quantise((4,), 4), Rng(0))
    with pytest.raises(UserError, match="Quantise is not linear"):
        spectrum_of(Quantise((4,), 4))
    with pytest.raises(UserError, match=r"lambda.* is not linear: A"):
        Function(lambda x: x * x, (3,), linear=True)
    with pytest.raises(UserError, match=r"Radon maps 9216 numbers to .* up to 4096 only"):
        dense_spectrum(Radon.views((1, 96, 96), 2))


def test_the_adjoint_of_a_function_is_itself_differentiable():
    A = Function(lambda x: x.cumsum(-1), (4,))
    y = gaussian(2, 4).requires_grad_()
    with torch.no_grad():
        assert not A.adjoint(y.detach()).requires_grad
    (grad,) = torch.autograd.grad((A.adjoint(y) * gaussian(2, 4, seed=1)).sum(), y)
    torch.testing.assert_close(grad, gaussian(2, 4, seed=1).cumsum(-1))
