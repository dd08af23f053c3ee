"""One operator after another: a blurred picture made small, a part of a spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from ..errors import UserError
from .protocol import Composes, Spectrum, name_of


@dataclass(frozen=True, eq=False)
class Composed(Composes):
    """A(B(x)), written ``A @ B``: linear and differentiable where both are, and then (A B)ᵀ = Bᵀ Aᵀ.

    Its SVD is not that of its parts, so ``spectrum`` is None, and ``spectrum_of`` computes it where it is small. Raises
    UserError when A does not take what B gives.
    """

    outer: Any
    inner: Any

    def __post_init__(self) -> None:
        if tuple(self.outer.event) != tuple(self.inner.measured):
            raise UserError(
                f"{name_of(self.outer)} takes {tuple(self.outer.event)}, but {name_of(self.inner)} before it gives "
                f"{tuple(self.inner.measured)}. Make {name_of(self.outer)} for that shape."
            )

    @property
    def name(self) -> str:
        """``Downsample @ Blur``."""
        return f"{name_of(self.outer)} @ {name_of(self.inner)}"

    @property
    def event(self) -> tuple[int, ...]:
        """What the inner one takes."""
        return tuple(self.inner.event)

    @property
    def measured(self) -> tuple[int, ...]:
        """What the outer one gives."""
        return tuple(self.outer.measured)

    @cached_property
    def linear(self) -> bool:
        """Whether both are."""
        return self.outer.linear and self.inner.linear

    @cached_property
    def differentiable(self) -> bool:
        """Whether both are."""
        return self.outer.differentiable and self.inner.differentiable

    def __call__(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(self.outer.adjoint(y))

    def spectrum(self) -> Spectrum | None:
        return None
