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
        flat = expect(self, self.event, x).flatten(1)
        return (flat @ self._kept.like(x).mT).unflatten(1, self.measured)

    def adjoint(self, y: Tensor) -> Tensor:
        flat = expect(self, self.measured, y).flatten(1)
        return (flat @ self._kept.like(y)).unflatten(1, self.event)

    def spectrum(self) -> Spectrum:
        return self._spectrum


@dataclass(frozen=True, eq=False)
class Function(Composes):
    """Any function of yours, f (B, *D) → (B, *M), example by example and differentiable by torch.

    ``linear`` None finds out by a random test; the adjoint of a linear one is its vector-Jacobian product. ``device``
    is where f can be tried, such as "cuda" for a network that lives there. Raises UserError when f gives no batch of
    finite numbers, or is said to be linear and is not.
    """

    f: Callable[[Tensor], Tensor]
    event: tuple[int, ...]
    linear: bool | None = None
    differentiable: bool = True
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "event", tuple(self.event))
        probe = Rng(0).normal(torch.empty(2, *self.event, device=self.device))
        y = self.f(probe)
        if not torch.is_tensor(y) or y.ndim < 2 or len(y) != 2 or not y.is_floating_point():
            got = tuple(y.shape) if torch.is_tensor(y) else type(y).__name__
            raise UserError(f"the operator {self.name} must map a batch (B, *D) to a float batch (B, *M), got {got}.")
        if not y.isfinite().all():
            raise UserError(f"the operator {self.name} gives NaN or infinite numbers for ordinary examples.")
        object.__setattr__(self, "measured", tuple(y.shape[1:]))
        if self.linear is None:
            object.__setattr__(self, "linear", is_linear(self, Rng(1)))
        elif self.linear:
            check_linear(self, Rng(1))

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
