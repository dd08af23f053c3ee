"""Which noise levels a score network is trained on: the first two of NCSNv2's five techniques (Song and Ermon 2020).

The others are elsewhere: f(x)/σ is ``predict="ncsn"`` of ``Preconditioned``, the step of Langevin dynamics is
``AnnealedLangevin``'s, and the average of the weights is ``training.ema.width_of_decay``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UserError

BLOCK = 1 << 24  # distances looked at together


def largest_distance(x: Tensor) -> float:
    """max ‖x_i − x_j‖ of data x (N, *D): the noise σ₁ to begin with, at which Langevin dynamics gets from any example
    to any other (technique 1: Song and Ermon 2020, section 3.1). N² distances; a few thousand examples are enough.
    Raises UserError for fewer than 2 examples."""
    if len(x) < 2:
        raise UserError(f"the largest distance between examples needs at least 2 of them, got {len(x)}.")
    flat = x.flatten(1).double()
    rows = flat.split(max(1, BLOCK // len(flat)))
    return max(torch.cdist(part, flat).max().item() for part in rows)


def overlap(ratio: float, dimensions: int) -> float:
    """Φ(√(2D)(γ − 1) + 3γ) − Φ(√(2D)(γ − 1) − 3γ) for γ = ``ratio`` ≥ 1 of two neighbouring levels in D ``dimensions``:
    how much of what samples of the noisier one are, in their distance from the data, the other was trained on
    (technique 2: Song and Ermon 2020, section 3.2)."""
    mean, reach = math.sqrt(2 * dimensions) * (ratio - 1), 3 * ratio
    return 0.5 * (math.erf((mean + reach) / math.sqrt(2)) - math.erf((mean - reach) / math.sqrt(2)))


def spacing(dimensions: int, goal: float = 0.567, most: float = 2.0) -> float:
    """The ratio γ = σ_{i−1}/σ_i at which levels ``overlap`` by ``goal``: ≈ 0.5 in the paper, 0.567 in its configs.
    Never above ``most``: in a few dimensions a wide gap overlaps enough (up to D = 4 every one), and Langevin dynamics
    would still not cross it in a few steps.

    Raises UserError for fewer than 1 dimension, a goal outside (0, 1) or most ≤ 1."""
    if dimensions < 1 or not 0 < goal < 1 or not most > 1:
        raise UserError(
            f"spacing needs dimensions ≥ 1, a goal between 0 and 1 and most > 1, got {dimensions}, {goal} and {most}."
        )
    low, high = 1.0, most
    if overlap(high, dimensions) >= goal:
        return high
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if overlap(middle, dimensions) > goal else (low, middle)
    return 0.5 * (low + high)


def levels_between(top: float, low: float, ratio: float) -> int:
    """How many geometric levels from ``top`` to ``low``, both counted, have a ratio nearest to ``ratio``; at least 2.
    Raises UserError unless 0 < low < top and ratio > 1."""
    if not 0 < low < top or not ratio > 1:
        raise UserError(f"levels need 0 < low < top and ratio > 1, got low={low}, top={top} and ratio={ratio}.")
    return 1 + max(1, round(math.log(top / low) / math.log(ratio)))
