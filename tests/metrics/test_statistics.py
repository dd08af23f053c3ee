"""Files of mean and covariance: round trips, the layouts of others, the distance to them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.metrics import Statistics, against_statistics, evaluate, frechet_distance, frechet_to_moments


def gaussian(n: int, dim: int, seed: int) -> Tensor:
    return Rng(seed).normal(torch.empty(n, dim, dtype=torch.float64))


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_statistics_are_those_of_numpy_and_come_back_whole(tmp_path: Path) -> None:
    rows = gaussian(300, 4, 0) * torch.tensor([1.0, 2.0, 3.0, 0.0]) + 1000
    made = Statistics.of(rows.split(64), "pixels")
    assert np.allclose(made.mean, rows.mean(0)) and np.allclose(made.cov, np.cov(rows.T), atol=1e-9)
    (tmp_path / "own.npz").write_bytes(made.to_bytes())
    read = Statistics.read(tmp_path / "own.npz")
    assert torch.equal(read.mean, made.mean) and torch.equal(read.cov, made.cov)
    assert (read.n, read.features, read.name) == (300, "pixels", "own.npz")


def test_the_distance_to_a_file_is_the_distance_to_its_data(tmp_path: Path) -> None:
    fake, real = gaussian(100, 3, 0) + 0.5, gaussian(200, 3, 1)
    mean, cov = real.mean(0), torch.cov(real.T)
    between = frechet_distance(fake, real)
    to_file = frechet_to_moments(fake, mean, cov)
    assert to_file.value == pytest.approx(between.value, rel=1e-10) and 0 < to_file.se < between.se
    # ADM's files hold further arrays, float32 statistics, and say neither their number nor their features
    path = written(tmp_path / "adm.npz", mu=mean.numpy(), sigma=cov.numpy().astype("f4"), mu_s=np.zeros(7), arr_0=[1])
    found = evaluate(fake, real, reference=Statistics.read(path))["frechet_reference"]
    assert found.value == pytest.approx(between.value, rel=1e-5) and found.n_fake == 100
    assert "does not say what its features are" in found.note and "unseen real rows" in found.note
    assert found.floor < found.value and found.row()["n"] == "100 / unknown"
    alone = against_statistics(fake, Statistics.read(path))
    assert [score.name for score in alone] == ["frechet_reference"]
    assert (
        alone["frechet_reference"].value == pytest.approx(found.value)
        and "draws of the Gaussian" in alone["frechet_reference"].note
    )


def test_the_floor_without_real_data_is_the_bias_of_that_many_rows() -> None:
    """E FD of N rows of N(μ, Σ) to itself is tr Σ/N for the mean and about D (D + 1)/(4 N) for Σ = 1 (second order in
    1/N left out): within 15 % and 4 errors of the mean of 20."""
    law = Statistics(torch.zeros(6).double(), torch.eye(6).double())
    floors = [frechet_to_moments(law.draw(400, seed), law.mean, law.cov).value for seed in range(20)]
    want = 6 / 400 + 6 * 7 / (4 * 400)
    spread = 4 * float(np.std(floors)) / 20**0.5
    assert abs(float(np.mean(floors)) - want) < 0.15 * want + spread


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, "holds x; needed are mu"),
        ({"mu": np.zeros(3), "sigma": np.zeros((2, 2))}, r"mu has shape \(3,\) and sigma \(2, 2\)"),
        ({"mu": np.zeros(2), "sigma": np.array([[1.0, 0.5], [0.0, 1.0]])}, "not a covariance"),
        ({"mu": np.zeros(2), "sigma": -np.eye(2)}, "no negative diagonal"),
        ({"mu": np.array([0, np.nan]), "sigma": np.eye(2)}, "NaN or infinity"),
        ({"mu": np.array(["a", "b"]), "sigma": np.eye(2)}, "not numbers"),
        ({"mu": np.array([object()]), "sigma": np.eye(1)}, "cannot be read as"),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Statistics.read(written(tmp_path / "stats.npz", **arrays))


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="cannot be read as"):
        Statistics.read(tmp_path / "torn.npz")
    with pytest.raises(UserError, match="does not exist"):
        Statistics.read(tmp_path / "none.npz")
    with pytest.raises(UserError, match="pickle, which can run code"):
        Statistics.read(tmp_path / "edm2.pkl")


def test_statistics_of_other_features_are_refused() -> None:
    x = gaussian(40, 3, 0)
    with pytest.raises(UserError, match="describes 2 features, but 'pixels' has 3"):
        evaluate(x, x, reference=Statistics(torch.zeros(2), torch.eye(2)))
    with pytest.raises(UserError, match=r"features .inception:0., but"):
        evaluate(x, x, reference=Statistics.of([x], "inception:0"))
    with pytest.raises(UserError, match="needs reference, which was not given"):
        evaluate(x, x, metrics=["frechet_reference"])
