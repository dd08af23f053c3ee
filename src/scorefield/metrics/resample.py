"""What every metric stands on: a value with its error, checked matrices, seeded subsets, distances in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError

MIN_ROWS = 10  # fewer rows than this leave no standard error worth printing
_CHUNK = 4_000_000  # entries of one block of distances: 32 MB in float64


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    se: float


def check_rows(name: str, x: Tensor, least: int = MIN_ROWS) -> None:
    """Raise UserError unless ``x`` is (N, *D) with N ≥ ``least``, real and finite. ``name``: "the samples"."""
    begin = name[:1].upper() + name[1:]
    if x.ndim < 2:
        raise UserError(f"{begin} have shape {tuple(x.shape)}; one row per example is needed, (N, D) or (N, C, H, W).")
    if x.is_complex():
        raise UserError(f"{begin} hold complex numbers; give their real and imaginary parts as separate columns.")
    if len(x) < least:
        raise UserError(f"{begin} hold {len(x)} examples; at least {least} are needed to measure anything.")
    bad = len(x) if x[0].numel() == 0 else int((~torch.isfinite(x)).flatten(1).any(1).sum())
    if bad:
        raise UserError(
            f"{bad} of the {len(x)} examples in {name} hold NaN, infinity or nothing at all. "
            "Leave them out, or sample again: a diverged model does this."
        )


def as_pair(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Two samples (N, D), (M, D) as float64 matrices on the CPU. Raises UserError where they cannot be compared."""
    for name, x in (("the samples", fake), ("the real data", real)):
        check_rows(name, x)
        if x.ndim != 2:
            raise UserError(
                f"{name.capitalize()} have shape {tuple(x.shape)}, but this distance takes feature rows (N, D). "
                "Use x.flatten(1), or evaluate(), which computes features itself."
            )
    if fake.shape[1] != real.shape[1]:
        raise UserError(f"The samples have {fake.shape[1]} columns and the real data {real.shape[1]}; they must agree.")
    return fake.detach().cpu().double(), real.detach().cpu().double()


def subset(n: int, k: int, *seed: int) -> Tensor:
    """``k`` of the indices 0 … n − 1 in ascending order, (k,) int64: a random choice that depends on ``seed`` only."""
    if k >= n:
        return torch.arange(n)
    return Rng(Rng.fold(*seed)).permutation(n)[:k].sort().values


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks (rows of x, |x_i − y_j|²) of the (N, M) matrix, so that memory does not grow with N · M.

    By the product form |x|² + |y|² − 2 x·y: rounding leaves about 1e-15 of the largest squared norm.
    """
    centre = y.mean(0)
    x, y = x - centre, y - centre  # small norms lose fewer digits
    y_norms = y.square().sum(1)
    rows = max(1, _CHUNK // len(y))
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        squared = torch.addmm(y_norms[None], block, y.T, alpha=-2.0).add_(block.square().sum(1, keepdim=True))
        yield slice(start, start + len(block)), squared.clamp_min_(0.0)
