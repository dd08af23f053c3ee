"""What a measurement does to a clean example: the protocols of operators, and the SVD of a linear one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import UserError


class Operator(Protocol):
    """x₀ ↦ A(x₀), before noise. ``linear`` and ``differentiable`` say what methods may ask of it."""

    linear: bool
    differentiable: bool

    @property
    def event(self) -> tuple[int, ...]:
        """*D, the shape of one example."""
        ...

    @property
    def measured(self) -> tuple[int, ...]:
        """*M, the shape of one measurement."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """(B, *D) → (B, *M), example by example. Raises UserError for another shape."""
        ...


class Linear(Operator, Protocol):
    """An operator with a transpose, in the plain inner products of ℝᴰ and ℝᴹ."""

    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ y, (B, *M) → (B, *D). Raises UserError for another shape."""
        ...

    def spectrum(self) -> Spectrum | None:
        """Its SVD where that is known in closed form; ``linear_algebra.spectrum_of`` computes it for small others."""
        ...


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A = U diag(s) Vᵀ without matrices: the four maps are fast transforms.

    ``values`` (r,) float64 > 0 on the CPU, the singular values, in any order (``.to(x)`` before use with x). V is
    orthogonal on all of ℝᴰ: ``to_v`` (B, *D) → (B, D) takes coefficients of which the first r belong to ``values`` and
    the others are not measured, ``from_v`` is its inverse. U has orthonormal columns: ``to_u`` (B, *M) → (B, r),
    ``from_u`` (B, r) → (B, *M). Both pairs are transposes of each other.
    """

    values: Tensor
    to_v: Callable[[Tensor], Tensor]
    from_v: Callable[[Tensor], Tensor]
    to_u: Callable[[Tensor], Tensor]
    from_u: Callable[[Tensor], Tensor]
    size: int  # D

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", Kept(self.values).tensor)

    @property
    def rank(self) -> int:
        """r."""
        return len(self.values)

    def filled(self, c: Tensor) -> Tensor:
        """Coefficients of the measured directions (B, r) → (B, D) with zeros for the others."""
        return torch.cat([c, c.new_zeros(len(c), self.size - self.rank)], 1)

    def pinv(self, y: Tensor) -> Tensor:
        """A⁺ y, (B, *M) → (B, *D)."""
        return self.from_v(self.filled(self.to_u(y) / self.values.to(y)))


class Composes:
    """What every operator inherits: ``A @ B`` is A after B."""

    def __matmul__(self, inner: Any) -> Any:
        from .compose import Composed

        return Composed(self, inner)


class Kept:
    """A constant in the dtype and on the device of whatever it meets; the last copy is kept, so a GPU copies once. It
    can take part in a gradient even if it was made in inference mode."""

    def __init__(self, tensor: Tensor) -> None:
        with torch.inference_mode(False):
            self.tensor = self._copy = tensor.detach().clone()

    def like(self, x: Tensor) -> Tensor:
        """The constant, ready to be combined with x."""
        if self._copy.dtype != x.dtype or self._copy.device != x.device:
            with torch.inference_mode(False):
                self._copy = self.tensor.to(x.device, x.dtype)
        return self._copy

    def on(self, x: Tensor) -> Tensor:
        """The constant on the device of x, in its own dtype (an index, a mask)."""
        if self._copy.device != x.device:
            with torch.inference_mode(False):
                self._copy = self.tensor.to(x.device)
        return self._copy


def expect(operator: Any, shape: tuple[int, ...], x: Tensor) -> Tensor:
    """x itself, once it is (B, *shape). Raises UserError with both shapes."""
    if x.shape[1:] != tuple(shape) or x.ndim == 0:
        wanted = ", ".join(map(str, ("B", *shape)))
        raise UserError(f"{name_of(operator)} takes a batch of shape ({wanted}), got {tuple(x.shape)}.")
    return x


def name_of(operator: Any) -> str:
    """What error messages call an operator."""
    return str(getattr(operator, "name", "") or type(operator).__name__)
