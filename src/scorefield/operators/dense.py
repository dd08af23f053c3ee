"""The operators that hold their numbers: any matrix, and any function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .linear_algebra import check_linear, is_linear, svd_spectrum
from .protocol import Composes, Kept, Spectrum, expect


@dataclass(frozen=True, eq=False)
class Matrix(Composes):
    """y = A x with A (M, D). ``event`` and ``measured`` are its shapes, (D,) and (M,) unless told otherwise.

    Raises UserError when A is no finite matrix or the shapes have other sizes.
    """

    A: Tensor
    event: tuple[int, ...] = ()
    measured: tuple[int, ...] = ()
    linear = True
    differentiable = True

    def __post_init__(self) -> None:
        if self.A.ndim != 2 or not self.A.isfinite().all():
            raise UserError(f"a Matrix operator needs a finite matrix (M, D), got shape {tuple(self.A.shape)}.")
        object.__setattr__(self, "event", tuple(self.event) or (self.A.shape[1],))
        object.__setattr__(self, "measured", tuple(self.measured) or (self.A.shape[0],))
        if (prod(self.measured), prod(self.event)) != tuple(self.A.shape):
            raise UserError(
                f"a matrix {tuple(self.A.shape)} maps {self.A.shape[1]} numbers to {self.A.shape[0]}, "
                f"but event {self.event} and measured {self.measured} have other sizes."
            )

    @cached_property
    def _kept(self) -> Kept:
        return Kept(self.A)

    @cached_property
    def _spectrum(self) -> Spectrum:
        return svd_spectrum(self.A, self.event, self.measured)

    def __call__(self, x: Tensor) -> Tensor:
        y = expect(self, self.event, x).flatten(1) @ self._kept.like(x).mT
        return y if len(self.measured) == 1 else y.unflatten(1, self.measured)

    def adjoint(self, y: Tensor) -> Tensor:
        x = expect(self, self.measured, y).flatten(1) @ self._kept.like(y)
        return x if len(self.event) == 1 else x.unflatten(1, self.event)

    def spectrum(self) -> Spectrum:
        return self._spectrum


@dataclass(frozen=True, eq=False)
class Function(Composes):
    """Any function of yours, f (B, *D) → (B, *M), example by example and best differentiable by torch.

    ``linear`` None finds out by a random test, and so does ``differentiable`` None: a function that leaves torch, or
    whose gradient is 0 although it changes (rounding), is not. The adjoint of a linear one is its vector-Jacobian
    product. ``device`` is where f can be tried, such as "cuda" for a network that lives there. Raises UserError when f
    gives no batch of finite numbers, writes into what it is given, or answers otherwise for an example alone than in a
    batch; when it is linear and torch cannot differentiate it, or is said to be either and is not.
    """

    f: Callable[[Tensor], Tensor]
    event: tuple[int, ...]
    linear: bool | None = None
    differentiable: bool | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "event", tuple(self.event))
        probe = Rng(0).normal(torch.empty(2, *self.event, device=self.device))
        y = self.f(given := probe.clone())
        if not torch.equal(given, probe):
            raise UserError(f"the operator {self.name} writes into what it is given. Let it work on x.clone().")
        if not torch.is_tensor(y) or y.ndim < 2 or len(y) != 2 or not y.is_floating_point():
            got = tuple(y.shape) if torch.is_tensor(y) else type(y).__name__
            raise UserError(f"the operator {self.name} must map a batch (B, *D) to a float batch (B, *M), got {got}.")
        if not y.isfinite().all():
            raise UserError(f"the operator {self.name} gives NaN or infinite numbers for ordinary examples.")
        alone = self.f(probe[:1])
        if alone.shape != y[:1].shape or (alone - y[:1]).abs().max() > 1e-3 * y.abs().max():
            raise UserError(
                f"the operator {self.name} gives another answer for an example alone than in a batch: it mixes "
                "examples, or draws random numbers. Work along the axes after the first, and leave noise to the noise."
            )
        object.__setattr__(self, "measured", tuple(y.shape[1:]))
        said = self.linear
        if said is None:
            object.__setattr__(self, "linear", is_linear(self, Rng(1)))
        self._differentiate()
        if said:
            check_linear(self, Rng(1))

    def _differentiate(self) -> None:
        """Find out whether torch can, or whether what was said is true."""
        if self.differentiable is False and not self.linear:
            return
        far = torch.logspace(-1, 0.5, 8, device=self.device)  # some clip nothing, some round to something
        x = Rng(2).normal(torch.empty(8, *self.event, device=self.device))
        can = _has_gradient(self.f, x * far.view(-1, *[1] * len(self.event)))
        if not can and (self.linear or self.differentiable):
            raise UserError(
                f"torch cannot differentiate the operator {self.name}, as it leaves torch (NumPy, detach, no_grad) or "
                "rounds. Write it with torch functions."
            )
        object.__setattr__(self, "differentiable", can)

    measured = ()  # found by calling f once

    @property
    def name(self) -> str:
        """That of the function."""
        return str(getattr(self.f, "__name__", "") or "Function")

    def __call__(self, x: Tensor) -> Tensor:
        return self.f(expect(self, self.event, x))

    def adjoint(self, y: Tensor) -> Tensor:
        expect(self, self.measured, y)
        with torch.inference_mode(False), torch.enable_grad():
            y = y.clone()
            at = torch.zeros(len(y), *self.event).to(y).requires_grad_()
            return torch.autograd.grad(self.f(at), at, y, create_graph=y.requires_grad)[0]

    def spectrum(self) -> Spectrum | None:
        return None


def _has_gradient(f: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether torch gives f a gradient at x (B, *D), other than 0 everywhere where f changes from row to row."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.requires_grad_()
        try:
            y = f(x)
            (slope,) = torch.autograd.grad(y, x, Rng(3).normal(y.detach()))
        except RuntimeError:  # y knows nothing of x, or x was asked for as NumPy
            return False
    return bool(slope.any() or (y == y[:1]).all())
