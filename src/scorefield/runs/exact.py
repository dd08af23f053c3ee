"""Bits per dimension of runs that give every level a probability: exact, in one look at each example."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from scorefield.data import Dataset
from scorefield.metrics import Evaluation, Score
from scorefield.runs.measuring import Bounds, Wanted

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

NUMBERS = {"cpu": 2_000_000, "gpu": 50_000_000}  # of x that are looked at where nobody says how many examples
FEWEST, MOST = 16, 10_000  # examples, then
BITS = "bits_exact"  # the name of the figure


def bits(run: Run, real: Dataset, train: Dataset | None, n: int | None, seed: int) -> Evaluation:
    """−log₂ p a dimension of ``n`` held-out examples beside training examples, with standard errors from the spread
    between them."""
    size = math.prod(run.shape)
    usual = max(FEWEST, min(MOST, NUMBERS["cpu" if run.device.type == "cpu" else "gpu"] // size))
    wanted = Wanted(run, real, train, None, None, None, seed)
    found: Score = Bounds(wanted, "dimension", n or usual)()
    note = "−log₂ of the probability of the levels, exact: the sum over pixels of each given those before it"
    score = replace(found, name=BITS, label="bits/dim (exact)", features="density", note=note)
    levels = run.codec.levels.count
    told = " given the class" if run.classes else ""
    notes = (
        f"This is −log₂ of the probability of {levels} levels a dimension{told}, not a bound; spread evenly over them, "
        f"data would cost {math.log2(levels):.3f}.",
    )
    return Evaluation((score,), "density", seed, notes)
