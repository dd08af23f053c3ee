"""Can a classifier tell samples from real data? One that is exact to fit, and a test that needs no asymptotics."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Rng
from .resample import as_pair, squared_distances, subset

_WIDTHS = (0.25, 1.0, 4.0)
_RIDGES = (0.1, 1.0, 10.0)
_FOLDS = 5
_PERMUTATIONS = 199
_ROUNDING = 1e-9  # predictions nearer to 0 than this take no side


class Told(NamedTuple):
    """An accuracy, its standard error, and the probability of one as high where the two laws agree."""

    value: float
    se: float
    p_value: float


def classifier_two_sample(fake: Tensor, real: Tensor, *, seed: int = 0) -> Told:
    """Can samples be told from real data by a classifier that was trained to do it?

    The accuracy of "sample or real" on rows that the classifier was not fitted on, in five folds (C2ST, Lopez-Paz &
    Oquab 2017). 0.5: indistinguishable to this classifier; at large N it approaches Bayes' accuracy ½ + ½ TV. The
    classifier is kernel ridge regression on ±1 over columns of unit spread, with the mean of three Gaussian kernels
    exp(−w |a − b|²/mean |a − b|²), w = ¼, 1, 4. What it says of a fold it was not fitted on has a closed form,
    e_F = [(G⁻¹)_FF]⁻¹ (G⁻¹Y)_F with G = K + λ I, so one inverse serves all folds and all permutations; λ is that of
    0.1, 1 and 10 with the smallest such error.

    fake (N, D), real (M, D): min(N, M) rows of each, the others left out by ``seed``; time N³. p-value: exact for any
    N, by 199 permutations of the labels within each fold, each of which chooses its own λ. Standard error: the spread
    over these permutations, which holds what folds have in common, scaled by 4 p (1 − p): right where the laws agree,
    up to √2 too large where they differ. Raises UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, real = as_pair(fake, real)
    half = min(len(fake), len(real))
    fake, real = (x[subset(len(x), half, seed, side)] for side, x in enumerate((fake, real)))
    fold = torch.arange(half).remainder(_FOLDS)[torch.stack([_shuffled(half, seed, side) for side in (2, 3)])].flatten()
    targets = torch.cat([torch.ones(half), -torch.ones(half)]).double()
    dealt = [_dealt(targets, fold, Rng(Rng.fold(seed, 4, i))) for i in range(_PERMUTATIONS)]
    right = _accuracies(_gram(torch.cat([fake, real])), torch.stack([targets, *dealt], 1), fold)
    value, chance = float(right[0]), right[1:]
    smoothed = (value * 2 * half + 1) / (2 * half + 2)  # so that an accuracy of 1 keeps a standard error
    p_value = (1 + int((chance >= value - 1e-12).sum())) / (1 + _PERMUTATIONS)
    return Told(value, float((4 * smoothed * (1 - smoothed)) ** 0.5 * (chance - 0.5).square().mean().sqrt()), p_value)


def _shuffled(n: int, *seed: int) -> Tensor:
    return Rng(Rng.fold(*seed)).permutation(n)


def _dealt(targets: Tensor, fold: Tensor, rng: Rng) -> Tensor:
    """The labels dealt anew within each fold, so that every fold keeps as many of either."""
    order = rng.permutation(len(targets))
    dealt = torch.empty_like(targets)
    dealt[fold.argsort(stable=True)] = targets[order[fold[order].argsort(stable=True)]]
    return dealt


def _gram(rows: Tensor) -> Tensor:
    """The kernel matrix of rows in units of their columns' pooled spread; constant columns say nothing."""
    spread = rows.std(0)
    kept = spread > 1e-9 * spread.max().clamp_min(torch.finfo(rows.dtype).tiny)
    rows = (rows / torch.where(kept, spread, 1.0))[:, kept] if kept.any() else rows.new_zeros(len(rows), 1)
    squared = torch.cat([block for _, block in squared_distances(rows, rows)])
    squared.fill_diagonal_(0)
    squared /= squared.mean().clamp_min(torch.finfo(rows.dtype).tiny)
    kernel = sum((torch.exp(-width * squared) for width in _WIDTHS), torch.zeros(())) / len(_WIDTHS)
    return (kernel + kernel.T) / 2  # rounding of the distances is not symmetric


def _accuracies(kernel: Tensor, targets: Tensor, fold: Tensor) -> Tensor:
    """Targets ±1 (n, P), a column a labelling → the accuracy of each on rows out of their fold, (P,)."""
    errors, shares = [], []
    for ridge in _RIDGES:
        kernel.diagonal().add_(ridge)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel))
        kernel.diagonal().sub_(ridge)
        solved = inverse @ targets
        missed = torch.empty_like(solved)
        for f in range(_FOLDS):
            rows = fold == f
            missed[rows] = torch.linalg.solve(inverse[rows][:, rows], solved[rows])
        agreement = 1 - missed * targets  # y f(x): above 0 where the prediction has the right sign
        shares.append((agreement.masked_fill(agreement.abs() < _ROUNDING, 0.0).sign() / 2 + 0.5).mean(0))
        errors.append(missed.square().sum(0))
    return torch.stack(shares).gather(0, torch.stack(errors).argmin(0)[None])[0]
