"""Which category turns into which: the generators of the general process ``Markov``, by their eigenvectors.

``Q = right · diag(α^rates) · left`` is the transition matrix of a chain of which the share α of the slowest pattern is
left; so one (K, K) pair serves every time, and nothing is ever stored by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import UserError
from ..registry import register


class Spectrum(NamedTuple):
    """Rates (K,) of decay, 0 first and then 1 the slowest; right (K, K) by columns and left (K, K) by rows; and the
    generator (K, K) itself, −right · diag(rates) · left without its rounding; float64."""

    rates: Tensor
    right: Tensor
    left: Tensor
    generator: Tensor


class Jumps(Protocol):
    """What ``Markov`` needs to know: the number of categories and the spectrum of the generator."""

    @property
    def classes(self) -> int: ...

    @property
    def spectrum(self) -> Spectrum: ...


@register("neighbours", "jumps")
@dataclass(frozen=True)
class Neighbours:
    """A walk to the next category up or down, reflected at the ends: ordered values such as grey levels. The
    eigenvectors are cosines, cos(πk(i + ½)/K) with rates ∝ 1 − cos(πk/K). Raises UserError for fewer than 2 classes."""

    classes: int

    def __post_init__(self) -> None:
        _enough(self.classes)

    @cached_property
    def spectrum(self) -> Spectrum:
        k = torch.arange(self.classes, dtype=torch.float64)
        vectors = (math.pi / self.classes * (k[:, None] + 0.5) * k).cos() * math.sqrt(2 / self.classes)
        vectors[:, 0] = 1 / math.sqrt(self.classes)
        rates = (0.5 * math.pi / self.classes * k).sin().square()  # (1 − cos)/2
        near = (_distance(self.classes) == 1).double()
        return Spectrum(rates / rates[1], vectors, vectors.mT, (near - near.sum(1).diag()) / (4 * rates[1]))


@register("band", "jumps")
@dataclass(frozen=True)
class Band:
    """Equal rates to every category at most ``width`` away (Austin et al. 2021, appendix A.2.4). Raises UserError for
    fewer than 2 classes or width < 1."""

    classes: int
    width: int = 2

    def __post_init__(self) -> None:
        _enough(self.classes)
        if self.width < 1:
            raise UserError(f"jumps.width must be at least 1, got {self.width}.")

    @cached_property
    def spectrum(self) -> Spectrum:
        return spectrum((_distance(self.classes) <= self.width).double())


@register("gaussian-jumps", "jumps")
@dataclass(frozen=True)
class GaussianJumps:
    """Rates ∝ exp(−(i − j)²/(2 spread²)), ``spread`` in categories: discretised Gaussian noise in continuous time
    (Campbell et al. 2022, appendix E; the shape of Austin et al. 2021, appendix A.2.3). Raises UserError for fewer
    than 2 classes or spread ≤ 0."""

    classes: int
    spread: float = 3.0

    def __post_init__(self) -> None:
        _enough(self.classes)
        if not self.spread > 0:
            raise UserError(f"jumps.spread must be greater than 0, got {self.spread}.")

    @cached_property
    def spectrum(self) -> Spectrum:
        squares = (_distance(self.classes) / self.spread).square()
        return spectrum((-0.5 * (squares - self.spread**-2)).exp())  # 1 to the next: no underflow of all of them


@register("given-jumps", "jumps")
@dataclass(frozen=True)
class GivenJumps:
    """Any matrix (K, K) of rates ≥ 0 from row to column, as nested lists; the diagonal does not matter. Symmetric, or
    reversible: π_i R_ij = π_j R_ji for its stationary law π (nearest neighbours in a space of embeddings: Austin et al.
    2021, appendix A.2.2). Raises UserError where it is not, or when some category cannot be reached."""

    matrix: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
        rows = {len(row) for row in self.matrix}
        if rows != {len(self.matrix)} or min(min(row) for row in self.matrix) < 0:
            raise UserError(f"jumps.matrix needs K rows of K rates ≥ 0, got {len(self.matrix)} rows of {sorted(rows)}.")
        _enough(self.classes)
        _ = self.spectrum

    @property
    def classes(self) -> int:
        """K."""
        return len(self.matrix)

    @cached_property
    def spectrum(self) -> Spectrum:
        return spectrum(torch.tensor(self.matrix, dtype=torch.float64))


def spectrum(rates: Tensor) -> Spectrum:
    """The spectrum of rates (K, K) float64 from row to column, whose diagonal is ignored. Raises UserError unless they
    are reversible and connect all categories."""
    flow = rates - rates.diagonal().diag()
    generator = flow - flow.sum(1).diag()
    law = _stationary(generator)
    root = law.sqrt()
    if not (law > 0).all() or ((law[:, None] * flow) - (law[:, None] * flow).mT).abs().max() > 1e-9 * flow.max():
        raise UserError(
            "these jumps are not reversible, or do not connect all categories: rates need π_i R_ij = π_j R_ji, for "
            "which a symmetric matrix in which every category can be reached is enough."
        )
    symmetric = -root[:, None] * generator / root
    values, vectors = torch.linalg.eigh(0.5 * (symmetric + symmetric.mT))
    if values[1] <= 1e-12 * values[-1]:
        raise UserError("these jumps do not connect all categories: from some of them others are never reached.")
    slowest, values, vectors = values[1].clone(), values.clamp_min(0) / values[1], vectors.clone()
    values[0], vectors[:, 0] = 0.0, root
    return Spectrum(values, vectors / root[:, None], vectors.mT * root, generator / slowest)


def _stationary(generator: Tensor) -> Tensor:
    """π with π G = 0 and Σ π = 1."""
    equations = torch.cat([generator.mT / generator.abs().max(), torch.ones_like(generator[:1])])
    right = torch.zeros_like(equations[:, :1])
    right[-1] = 1
    return torch.linalg.lstsq(equations, right, driver="gelsd").solution[:, 0]


def _distance(classes: int) -> Tensor:
    i = torch.arange(classes, dtype=torch.float64)
    return (i - i[:, None]).abs()


def _enough(classes: int) -> None:
    if classes < 2:
        raise UserError(f"jumps need at least 2 classes, got {classes}.")
