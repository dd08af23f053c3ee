"""The classifier two-sample test against Bayes, against folds that are really left out, and against chance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.metrics import classifier_two_sample
from scorefield.metrics.discriminator import _RIDGES, _accuracies, _dealt, _gram


def gaussian(n: int, dim: int, seed: int) -> Tensor:
    return Rng(seed).normal(torch.empty(n, dim, dtype=torch.float64))


def test_folds_in_closed_form_are_folds_left_out() -> None:
    rows, fold = torch.cat([gaussian(30, 2, 0) + 0.7, gaussian(30, 2, 1)]), torch.arange(60) % 5
    targets = torch.cat([torch.ones(30), -torch.ones(30)]).double()
    kernel = _gram(rows)
    by_ridge = []
    for ridge in _RIDGES:
        said = torch.empty(60, dtype=torch.float64)
        for f in range(5):
            out, kept = fold == f, fold != f
            fitted = torch.linalg.solve(kernel[kept][:, kept] + ridge * torch.eye(48), targets[kept])
            said[out] = kernel[out][:, kept] @ fitted
        by_ridge.append((float((said - targets).square().sum()), float((said * targets > 0).double().mean())))
    assert float(_accuracies(kernel, targets[:, None], fold)[0]) == pytest.approx(min(by_ridge)[1], rel=1e-12)


@pytest.mark.parametrize(("dim", "shift", "n"), [(1, 1.0, 500), (2, 2.0, 400), (20, 2.0, 500)])
def test_it_comes_close_to_bayes(dim: int, shift: float, n: int) -> None:
    """Bayes' accuracy between two Gaussians is Φ(δ/2). What learning costs was at most 0.02 for these; chance adds four
    standard errors of the test rows, (p (1 − p) / 2n)^½."""
    told = classifier_two_sample(gaussian(n, dim, 1) + shift / math.sqrt(dim), gaussian(n, dim, 2))
    bayes = 0.5 * (1 + math.erf(shift / 2 / math.sqrt(2)))
    chance = 4 * math.sqrt(bayes * (1 - bayes) / (2 * n))
    assert bayes - 0.02 - chance < told.value < bayes + chance
    assert told.p_value == 1 / 200 and 0 < told.se < 0.04


def test_what_no_mean_tells_is_told() -> None:
    """Equal means and covariances, other shape: a Gaussian against corners of a square."""
    corners = torch.where(gaussian(300, 2, 3) > 0, 1.0, -1.0).double() + 0.01 * gaussian(300, 2, 4)
    assert classifier_two_sample(corners, gaussian(300, 2, 5)).value > 0.8


def test_labels_are_dealt_within_folds() -> None:
    fold, targets = torch.arange(50) % 5, torch.cat([torch.ones(25), -torch.ones(25)]).double()
    dealt = _dealt(targets, fold, Rng(1))
    assert not torch.equal(dealt, targets)
    assert all(dealt[fold == f].sum() == targets[fold == f].sum() for f in range(5))


@pytest.mark.slow
def test_the_p_value_and_the_error_hold_where_the_laws_agree() -> None:
    """200 repetitions: p ≤ 0.05 in at most 10.5 % of them (expected 5 %; by chance once in 2,000), a mean accuracy of ½
    within 4 of its errors, and a spread known to 5 %, which the reported error meets within 20 %."""
    found = [
        classifier_two_sample(gaussian(100, 5, Rng.fold(s, 1)), gaussian(100, 5, Rng.fold(s, 2)), seed=s)
        for s in range(200)
    ]
    value, se, p = torch.tensor(found, dtype=torch.float64).T
    assert float((p <= 0.05).double().mean()) <= 0.105
    assert abs(float(value.mean()) - 0.5) < 4 * float(value.std()) / math.sqrt(200)
    assert 0.8 < float(se.square().mean().sqrt() / value.std()) < 1.2


def test_rows_that_are_all_alike_tell_nothing() -> None:
    told = classifier_two_sample(torch.ones(20, 3), torch.ones(20, 3))
    assert told.value == 0.5 and told.p_value > 0.5
