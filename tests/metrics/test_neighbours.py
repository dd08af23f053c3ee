"""The 1-nearest-neighbour test and the search for copies."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.metrics import copies, two_sample
from scorefield.metrics.neighbours import _random_label_variance, nearest


def gaussian(n: int, dim: int, seed: int) -> Tensor:
    return Rng(seed).normal(torch.empty(n, dim, dtype=torch.float64))


def test_one_law_is_a_coin_and_rejects_as_often_as_it_says() -> None:
    """200 pairs of equal law: |accuracy − ½| > 2 se should happen in 4.6 % of them; above 10 % has odds of 1 in 1,000
    (binomial), and the mean has a standard error of 0.04/√200 = 0.003 around (k−1)/(2k−1) = 0.4975."""
    estimates = [two_sample(gaussian(100, 3, 2 * s + 1), gaussian(100, 3, 2 * s)) for s in range(200)]
    alarms = sum(abs(e.value - 0.5) > 2 * e.se for e in estimates)
    assert alarms <= 20
    assert sum(e.value for e in estimates) / 200 == pytest.approx(0.4975, abs=0.01)


def test_disjoint_laws_are_told_apart_and_copies_attract() -> None:
    x, y = gaussian(100, 2, 0), gaussian(100, 2, 1)
    apart = two_sample(x + 50, y)
    assert apart.value == 1 and 0 < apart.se < 0.02
    assert two_sample(y.clone(), y).value == 0  # every nearest neighbour is the copy, which is of the other class
    assert two_sample(torch.zeros_like(x), torch.zeros_like(y)).value == pytest.approx(99 / 199)  # all tied: a share


def test_the_accuracy_is_that_of_scikit_learn() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    x, y = gaussian(150, 4, 0), gaussian(150, 4, 1) * 1.3 + 0.2
    pooled = torch.cat([x, y]).numpy()
    index = neighbors.NearestNeighbors(n_neighbors=2).fit(pooled).kneighbors(pooled, return_distance=False)[:, 1]
    want = ((index < 150) == (torch.arange(300).numpy() < 150)).mean()
    assert two_sample(x, y).value == pytest.approx(want)
    assert two_sample(x.flip(0), y.flip(0)).value == pytest.approx(want)


def test_the_variance_under_random_labels_is_exact() -> None:
    points = gaussian(8, 2, 0)
    index = (torch.cdist(points, points) + torch.eye(8) * 1e9).argmin(1)
    labelings = torch.tensor([[i >> b & 1 for b in range(8)] for i in range(256) if i.bit_count() == 4])
    accuracy = (labelings == labelings[:, index]).double().mean(1)
    assert _random_label_variance(index) == pytest.approx(float(accuracy.var(correction=0)), rel=1e-12)


def test_nearest_is_exact_on_copies_and_in_blocks() -> None:
    x, y = gaussian(700, 5, 0) + 100, gaussian(6_000, 5, 1) + 100  # two blocks, far from the origin
    y[4_321] = x[7]
    found = nearest(x, y)
    assert found.distance[7] == 0 and found.index[7] == 4_321
    assert torch.allclose(found.distance, torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").min(1).values)


def test_copies_are_found_and_fresh_data_are_not_accused() -> None:
    train, held_out, fresh = gaussian(400, 6, 0), gaussian(300, 6, 1), gaussian(350, 6, 2)
    new = copies(fresh, train, held_out)
    assert new.value == pytest.approx(1, abs=4 * math.hypot(new.se, 0.02)) and abs(new.excess) < 3
    assert new.floor == pytest.approx(1, abs=5 * new.floor_se) and new.reading == "no copies"

    all_copied = copies(train[:350], train, held_out)
    assert all_copied.value == 0 and all_copied.details["fraction_identical"] == 1
    some = copies(torch.cat([fresh[:315], train[:35]]), train, held_out)  # a tenth: the median does not see it
    assert some.details["fraction_identical"] == pytest.approx(0.1)
    assert all_copied.reading == some.reading == "repeats training examples"
    noisy = copies(train[:350] + 0.05 * fresh, train, held_out)
    assert noisy.value < 0.2 and "look for copies" in noisy.reading
    assert "farther" in copies(fresh * 3, train, held_out).reading


def test_copies_median_error_is_that_of_repetition() -> None:
    train = gaussian(300, 3, 0)
    found = [copies(gaussian(150, 3, 2 * s + 1), train, gaussian(150, 3, 2 * s + 2), seed=s) for s in range(60)]
    value, se = (torch.tensor([getattr(score, key) for score in found]) for key in ("value", "se"))
    assert 0.7 < float(se.square().mean().sqrt() / value.std()) < 1.5  # 60 repetitions know the spread to 9 %
