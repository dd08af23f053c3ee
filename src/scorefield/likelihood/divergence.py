"""The trace of a belief's Jacobian: exact in few dimensions, by Hutchinson's estimator in many."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError, suggest

FEW = 16  # dimensions up to which "auto" is exact


@dataclass(frozen=True, eq=False)
class Divergence:
    """Vectors v (K, B, *D) by which a Jacobian is probed; their vᵀJv are summed into one trace (``exact``: they are the
    axes), or kept as K estimates of it."""

    vectors: Tensor
    exact: bool

    @property
    def columns(self) -> int:
        """How many estimates there are."""
        return 1 if self.exact else len(self.vectors)

    def of_identity(self, rows: Tensor) -> Tensor | float:
        """What the estimates of the identity's trace are, a dimension: |v|²/D (b, columns), 1 where exact. A trace is
        estimated as that of the difference from a multiple of the identity that is known."""
        if self.exact or not len(self.vectors):
            return 1.0
        return self.vectors[:, rows.to(self.vectors.device)].flatten(2).square().mean(2).T

    def __call__(self, mean: Callable[[Tensor], Tensor], x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """mean(x) (b, *D) and the trace of its Jacobian (b, columns), for the examples ``rows`` (b,) of the batch: a
        pass forward, and one backward for each vector."""
        if not len(self.vectors):
            return mean(x), x.new_zeros(len(x), 0)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = mean(x)
            traces = []
            for i in range(len(self.vectors)):
                v = self.vectors[i, rows] if len(self.vectors[i]) > 1 else self.vectors[i]
                (back,) = torch.autograd.grad(
                    y, x, v.expand_as(y).to(y.dtype), retain_graph=i + 1 < len(self.vectors), materialize_grads=True
                )
                traces.append((back * v).flatten(1).sum(1))
        columns = torch.stack(traces, 1)
        return y.detach(), columns.sum(1, keepdim=True) if self.exact else columns

    def error(self, estimates: Tensor) -> Tensor:
        """The standard error of the mean of estimates (B, columns): 0 where exact, NaN for one probe."""
        if self.exact:
            return torch.zeros_like(estimates[:, 0])
        if self.columns < 2:
            return torch.full_like(estimates[:, 0], math.nan)
        return estimates.std(1) / math.sqrt(self.columns)


def _axes(x: Tensor, probes: int, rng: Rng) -> Divergence:
    size = x[0].numel()
    return Divergence(torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, *x.shape[1:]), True)


def _signs(x: Tensor, probes: int, rng: Rng) -> Divergence:
    return Divergence(torch.stack([2 * rng.integers(2, x).to(x.dtype) - 1 for _ in range(probes)]), False)


def _normals(x: Tensor, probes: int, rng: Rng) -> Divergence:
    return Divergence(torch.stack([rng.normal(x) for _ in range(probes)]), False)


def _none(x: Tensor, probes: int, rng: Rng) -> Divergence:
    return Divergence(x.new_zeros(0, *x.shape), False)


DIVERGENCES: dict[str, Callable[[Tensor, int, Rng], Divergence]] = {
    "exact": _axes,
    "rademacher": _signs,
    "gaussian": _normals,
    "none": _none,
}


def divergence_of(name: str, probes: int, x: Tensor, rng: Rng | None) -> Divergence:
    """The divergence called ``name`` for a batch x (B, *D). Raises UserError for a name that is none, or no probes."""
    chosen = ("exact" if x[0].numel() <= FEW else "rademacher") if name == "auto" else name
    if chosen not in DIVERGENCES:
        raise UserError(f"no divergence is called {name!r}.{suggest(name, [*DIVERGENCES, 'auto'])}")
    if probes < 1:
        raise UserError(f"Hutchinson's estimator needs at least 1 probe, got {probes}; divergence='exact' needs none.")
    return DIVERGENCES[chosen](x, probes, rng or Rng.each(0, range(len(x))))
