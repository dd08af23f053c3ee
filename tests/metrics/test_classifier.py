"""The classifier that says whether samples have the class they were asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.metrics import class_accuracy
from scorefield.metrics.classifier import leave_one_out


def blobs(n: int, seed: int, spread: float = 0.3) -> tuple[Tensor, Tensor]:
    """Four clusters at the corners of a square, of the labels 0, 2, 4, 6."""
    rng = Rng(seed)
    corner = rng.integers(4, torch.empty(n))
    centres = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return centres[corner] + spread * rng.normal(torch.empty(n, 2)), 2 * corner


def test_digits_reach_97_percent_from_half_of_them() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    x = torch.tensor(digits.images * 255 / 16).round().to(torch.uint8)[:, None]
    y, order = torch.tensor(digits.target), Rng(0).permutation(len(x))
    train, held_out = order[:899], order[899:]
    swapped = y[held_out].clone()
    swapped[:90] = (swapped[:90] + 1) % 10  # a tenth of the samples are asked for another class
    score = class_accuracy(x[held_out], swapped, x[train], y[train], x[held_out], y[held_out])
    assert score.floor >= 0.97 and score.features == "pixels"
    assert score.value == pytest.approx(score.floor - 90 / 898, abs=0.011)
    assert "899 real training examples" in score.note and f"{score.floor:.1%}" in score.note


def test_accuracy_counts_right_classes_and_its_error_is_binomial() -> None:
    (x, y), (real, real_y), (held, held_y) = blobs(200, 0), blobs(300, 1), blobs(150, 2)
    score = class_accuracy(x, y, real, real_y, held, held_y)
    assert score.value >= 0.98 and score.floor >= 0.98
    wrong = class_accuracy(x, (y + 2) % 8, real, real_y, held, held_y)
    assert wrong.value <= 0.02 and wrong.excess > 10
    half = class_accuracy(torch.cat([x, x]), torch.cat([y, (y + 2) % 8]), real, real_y, held, held_y)
    assert half.se == pytest.approx((0.25 / 400) ** 0.5, rel=1e-3)
    assert set(score.details) == {"class_0", "class_2", "class_4", "class_6"}
    flipped = class_accuracy(x.flip(0), y.flip(0), real.flip(0), real_y.flip(0), held, held_y)
    assert (flipped.value, flipped.floor) == (score.value, score.floor)


def test_leave_one_out_errors_are_those_of_leaving_one_out() -> None:
    x = Rng(0).normal(torch.empty(12, 2, dtype=torch.float64))
    kernel, targets = torch.exp(-torch.cdist(x, x).square()), x[:, :1].sign()
    for i in range(12):
        rest = torch.arange(12) != i
        weights = torch.linalg.solve(kernel[rest][:, rest] + 0.1 * torch.eye(11).double(), targets[rest])
        assert leave_one_out(kernel, targets, 0.1)[i] == pytest.approx(float(targets[i] - kernel[i, rest] @ weights))


def test_labels_that_cannot_be_used_get_a_sentence() -> None:
    (x, y), (real, real_y) = blobs(30, 0), blobs(30, 1)
    with pytest.raises(UserError, match="The samples have the label -1"):
        class_accuracy(x, torch.full_like(y, -1), real, real_y, real, real_y)
    with pytest.raises(UserError, match="one class only"):
        class_accuracy(x, y, real, torch.zeros_like(y), real, real_y)
    with pytest.raises(UserError, match=r"hold 30 examples but labels of shape \(29,\)"):
        class_accuracy(x, y[1:], real, real_y, real, real_y)
    with pytest.raises(UserError, match="one whole number per example"):
        class_accuracy(x, y.float(), real, real_y, real, real_y)
