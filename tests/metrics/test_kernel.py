"""The kernel distance against closed forms, enumeration and the published implementation."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.metrics import frechet_distance, kernel_distance, manifold
from scorefield.metrics.kernel import _Sums
from tests.metrics.official import ROWS

OFFICIAL = json.loads(Path(__file__).with_name("official.json").read_text(encoding="utf-8"))


def gaussian(n: int, dim: int, seed: int) -> Tensor:
    return Rng(seed).normal(torch.empty(n, dim, dtype=torch.float64))


def truth(delta: float) -> float:
    """MMD² of N(δ, 1) and N(0, 1) in one dimension: Σ_r C(3, r) (m_r − m′_r)² over the first three moments."""
    return 3 * delta**2 + 3 * delta**4 + (delta**3 + 3 * delta) ** 2


def test_figures_are_those_of_the_published_implementations() -> None:
    """prdc 0.2, torch-fidelity 0.4.0 and pytorch-fid 0.3.0, recorded by record_official.py."""
    fake, real = (torch.from_numpy(ROWS[name]) for name in ("fake", "real"))
    assert kernel_distance(fake, real).value == pytest.approx(OFFICIAL["kernel"], rel=1e-10)
    assert frechet_distance(fake, real).value == pytest.approx(OFFICIAL["frechet"], rel=1e-8)
    for name, estimate in manifold(fake, real).items():
        assert estimate.value == pytest.approx(OFFICIAL[name], rel=1e-12), name


def test_the_kernel_distance_is_that_of_the_moments() -> None:
    got = kernel_distance(gaussian(3_000, 1, 0) + 1, gaussian(2_500, 1, 1))  # several blocks of the matrices
    assert got.value == pytest.approx(truth(1.0), abs=4 * got.se) and got.se < 0.1 * truth(1.0)


def test_value_and_variance_are_unbiased() -> None:
    """Over all 2⁹ equally likely outcomes of two laws on two points, their means are the distance and its variance."""
    outcomes = [torch.tensor(bits, dtype=torch.float64)[:, None] for bits in itertools.product((0.0, 1.0), repeat=9)]
    for scale in (1.0, 2.0):  # one law on {0, 1}, and another on {0, 2}
        sums = [_Sums.of(bits[:4], bits[4:] * scale) for bits in outcomes]
        values = torch.tensor([it.value for it in sums], dtype=torch.float64)
        estimated = torch.tensor([sum(it.variance()) for it in sums], dtype=torch.float64)
        p = scale / 2  # means of x, x² and x³ are ½, those of y are s/2, s²/2, s³/2
        want = 3 * (0.5 - p) ** 2 + 3 * (0.5 - p * scale) ** 2 + (0.5 - p * scale**2) ** 2
        assert float(values.mean()) == pytest.approx(want, abs=1e-12)
        assert float(estimated.mean()) == pytest.approx(float(values.var(correction=0)), rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("delta", "low", "high"), [(0.5, 0.90, 0.985), (0.0, 0.93, 1.0)])
def test_intervals_cover_the_truth(delta: float, low: float, high: float) -> None:
    """±1.96 standard errors hold the truth in about 95 of 100 of 400 repetitions. If 95 % is right, fewer than 90 % or
    more than 98.5 % happen once in 10⁵ (binomial). Where the laws agree the value is no Gaussian but a sum of squares,
    whose upper tail is heavier and lower tail shorter: coverage is then 96 to 98 %."""
    hits = 0
    for seed in range(400):
        got = kernel_distance(gaussian(150, 1, Rng.fold(seed, 1)) + delta, gaussian(200, 1, Rng.fold(seed, 2)))
        hits += abs(got.value - truth(delta)) < 1.96 * got.se
    assert low <= hits / 400 <= high


@pytest.mark.parametrize(("dim", "shift"), [(2, 0.0), (8, 1.0), (100, 0.0)])
def test_its_standard_error_is_that_of_repetition(dim: int, shift: float) -> None:
    """Over 80 repetitions the true spread is known to 1/√158 = 8 %, so 4σ is 32 %. Clamping single terms of the
    variance at 0 adds up to a quarter where the laws agree in few dimensions."""
    found = [
        kernel_distance(gaussian(120, dim, Rng.fold(s, 1)) + shift / math.sqrt(dim), gaussian(150, dim, Rng.fold(s, 2)))
        for s in range(80)
    ]
    value, se = torch.tensor(found, dtype=torch.float64).T
    assert 0.7 < float(se.square().mean().sqrt() / value.std()) < 1.65
