"""What nearest neighbours tell: can samples be told from real data, and are they copies of the training set?"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Rng
from .resample import Estimate, as_pair, squared_distances, subset
from .score import Score

_BOOTSTRAPS = 200
_TIE = 1e-11  # of the largest squared norm: distances closer than rounding are equal


def two_sample(fake: Tensor, real: Tensor, *, seed: int = 0) -> Estimate:
    """Can samples be told from real data by looking at the one nearest other point?

    The leave-one-out accuracy of a 1-nearest-neighbour classifier "sample or real" on min(N, M) rows of each (Lopez-Paz
    & Oquab 2017; Xu et al. 2018). 0.5: indistinguishable; 1: disjoint; below 0.5: points seek out the other class, as
    when the samples repeat the very rows they are compared with. Equally near neighbours share the vote.

    fake (N, D), real (M, D); the value is in [0, 1]. Standard error without permuting anything: if the labels were
    dealt at random, the variance follows exactly from who is whose neighbour (``_random_label_variance``); it is then
    scaled by 4 p (1 − p), p the accuracy. Rows beyond min(N, M) are left out at random by ``seed``.
    Raises UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, real = as_pair(fake, real)
    half = min(len(fake), len(real))
    fake, real = (x[subset(len(x), half, seed, side)] for side, x in enumerate((fake, real)))
    votes, neighbour = _leave_one_out(torch.cat([fake, real]), half)
    value = float(votes.mean())
    smoothed = (float(votes.sum()) + 1) / (2 * half + 2)  # so that an accuracy of 1 keeps a standard error
    return Estimate(value, (4 * smoothed * (1 - smoothed) * _random_label_variance(neighbour)) ** 0.5)


def _leave_one_out(pooled: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """For ``half`` rows of each class: the share of a row's nearest others that are of its class, and one of them."""
    n = len(pooled)
    votes, neighbour = pooled.new_empty(n), torch.empty(n, dtype=torch.int64)
    tie = _TIE * float((pooled - pooled.mean(0)).square().sum(1).max())
    first = torch.arange(n) < half
    for block, squared in squared_distances(pooled, pooled):
        squared.diagonal(block.start).fill_(torch.inf)
        nearest, neighbour[block] = squared.min(1)
        tied = squared <= nearest[:, None] + tie
        of_first = tied[:, :half].sum(1) / tied.sum(1)
        votes[block] = torch.where(first[block], of_first, 1 - of_first).to(votes)
    return votes, neighbour


def _random_label_variance(neighbour: Tensor) -> float:
    """Exact variance of the 1-NN accuracy when half of the points, at random, are called samples.

    With edges i → ν(i), the accuracy is the share of edges that join equal labels. Two edges are dependent through the
    points they share: both (mutual neighbours), one, or none; counting these pairs gives the variance in closed form
    (after Friedman & Rafsky 1979; Schilling 1986). ``neighbour`` (n,) int64, n even.
    """
    n = len(neighbour)
    k = n // 2
    degree = 1.0 + torch.bincount(neighbour, minlength=n).double()
    share_two = float((neighbour[neighbour] == torch.arange(n)).sum())
    share_one = float((degree * (degree - 1)).sum()) - 2 * share_two
    share_none = n * (n - 1) - share_one - share_two
    two_alike = (k - 1) / (n - 1)
    three_alike = two_alike * (k - 2) / (n - 2)
    pairs_alike = two_alike * ((k - 2) * (k - 3) + k * (k - 1)) / ((n - 2) * (n - 3))
    second = (n + share_two) * two_alike + share_one * three_alike + share_none * pairs_alike
    return max(second - (n * two_alike) ** 2, 0.0) / n**2


class Nearest(NamedTuple):
    """The nearest row of another set: its distance and its index, each (N,)."""

    distance: Tensor
    index: Tensor


def nearest(x: Tensor, y: Tensor) -> Nearest:
    """For each row of x (N, D) the nearest row of y (M, D), exactly 0 away where it is the same row. Memory bounded."""
    index = torch.cat([squared.argmin(1) for _, squared in squared_distances(x, y)])
    return Nearest((x - y[index]).norm(dim=1), index)  # measured again: the product form rounds zero to 1e-8


def copies(fake: Tensor, train: Tensor, held_out: Tensor, *, seed: int = 0, features: str = "pixels") -> Score:
    """Does the model invent, or repeat its training set? A sample should be as far from it as unseen real data are.

    Value: the median distance from a sample to its nearest training row, over the same median for held-out real rows
    (after Meehan et al. 2020). About 1: as new as real data; near 0: copies; above 1: far from the data.
    Floor: one random half of the held-out rows over the other half. ``details`` holds both medians, the fraction of
    samples closer than the 1 % quantile of held-out rows (0.01 is expected), and the fractions at distance 0 of both.
    The reading looks at these fractions first: a few copies among many new samples do not move a median.

    fake (N, D), train (T, D), held_out (M, D) feature rows; ``seed`` splits and resamples. Standard errors: bootstrap
    of both medians, 200 times, the training set fixed. Raises UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, train = as_pair(fake, train)
    held_out, _ = as_pair(held_out, train)
    of_fake, of_real = (nearest(x, train).distance for x in (fake, held_out))
    threshold = float(of_real.quantile(0.01))
    value = _median_ratio(of_fake, of_real, Rng.fold(seed, 0))
    half = Rng(Rng.fold(seed, 1)).permutation(len(of_real))
    middle = len(half) // 2
    floor = _median_ratio(of_real[half[:middle]], of_real[half[middle:]], Rng.fold(seed, 2))
    close, same, same_real = (
        float(where.double().mean()) for where in (of_fake < threshold, of_fake == 0, of_real == 0)
    )
    score = Score(
        name="copies",
        label=f"distance to training set, samples / held-out ({features})",
        value=value.value,
        se=value.se,
        floor=floor.value,
        floor_se=floor.se,
        n_fake=len(fake),
        n_real=len(held_out),
        features=features,
        better="floor",
        se_from="bootstrap of both medians",
        note=f"{close:.1%} of the samples are closer to a training row than 99 % of held-out rows are (1 % expected)",
        details={
            "median_samples": float(of_fake.median()),
            "median_held_out": float(of_real.median()),
            "closer_than": threshold,
            "fraction_closer": close,
            "fraction_identical": same,
            "fraction_identical_held_out": same_real,
        },
    )
    return replace(score, verdict=_verdict(score))


def _verdict(score: Score) -> str:
    """Copies where more samples than chance allows are identical to training rows, or nearer than 99 % of new ones."""
    details, n, m = score.details, score.n_fake, score.n_real
    unseen = details["fraction_identical_held_out"]
    if details["fraction_identical"] > 2 * unseen + 5 / n:
        return "repeats training examples"
    expected = max(0.01, 1 / m)  # of m rows, the quantile itself is known to about (0.01 / m)^½
    if details["fraction_closer"] > 2 * expected + 3 * (expected / n + expected / m) ** 0.5:
        return "nearer to the training set than unseen data: look for copies"
    if score.value > score.floor and score.excess >= 4:
        return "no copies, but farther from the training set than unseen data"
    return "no copies"


def _median_ratio(a: Tensor, b: Tensor, seed: int) -> Estimate:
    rng = Rng(seed)
    redrawn = [x[rng.integers(len(x), x.new_empty(_BOOTSTRAPS, len(x)))].median(1).values for x in (a, b)]
    ratios = _ratio(redrawn[0], redrawn[1])
    return Estimate(float(_ratio(a.median(), b.median())), float(ratios.std()))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 1 where both vanish: training sets that hold the held-out rows themselves make everything a copy."""
    return torch.where(a == b, 1.0, a / b.clamp_min(torch.finfo(b.dtype).eps))
