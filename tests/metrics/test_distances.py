"""Fréchet, sliced Wasserstein and energy distance against closed forms and other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.metrics import energy_distance, frechet_distance, sliced_wasserstein, two_sample
from scorefield.metrics.sliced import quantile_coupling

DISTANCES = {"frechet": frechet_distance, "sliced": sliced_wasserstein, "energy": energy_distance}


def gaussian(n: int, dim: int, seed: int) -> Tensor:
    return Rng(seed).normal(torch.empty(n, dim, dtype=torch.float64))


def with_moments(x: Tensor, mean: Tensor, cov: Tensor) -> Tensor:
    """Shift and shape rows so that their sample mean and covariance are exactly these."""
    centred = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(centred.T)), centred.T, upper=False)
    return (torch.linalg.cholesky(cov) @ white).T + mean


def test_frechet_is_the_closed_form_of_gaussians() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a, b = gaussian(6, 6, 1), gaussian(6, 6, 2)
    cov1, cov2 = a @ a.T + torch.eye(6), b @ b.T + 0.1 * torch.eye(6)
    mean1, mean2 = gaussian(2, 6, 3)
    got = frechet_distance(with_moments(gaussian(50, 6, 4), mean1, cov1), with_moments(gaussian(70, 6, 5), mean2, cov2))
    root = linalg.sqrtm((cov1 @ cov2).numpy()).real
    want = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * np.trace(root)
    assert got.value == pytest.approx(float(want), rel=1e-10)


def test_frechet_of_shifts_scales_and_flat_directions() -> None:
    x = gaussian(200, 5, 0)
    spread = float(torch.cov(x.T).trace())
    assert frechet_distance(x, x).value == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x + 2, x).value == pytest.approx(4 * 5, rel=1e-10)
    assert frechet_distance(3 * (x - x.mean(0)), x - x.mean(0)).value == pytest.approx(4 * spread, rel=1e-10)
    flat = torch.cat([x, torch.zeros(200, 3, dtype=torch.float64)], 1)  # constant pixels: a singular covariance
    assert frechet_distance(2 * flat, flat) == pytest.approx(frechet_distance(2 * x, x), rel=1e-8)
    few = frechet_distance(gaussian(12, 40, 1), gaussian(15, 40, 2))  # fewer rows than dimensions
    assert math.isfinite(few.value) and math.isfinite(few.se) and few.se > 0


def test_sliced_wasserstein_of_a_shift_is_its_length_over_root_dim() -> None:
    x, shift = gaussian(200, 4, 0), torch.tensor([1.0, 2.0, 0.0, -2.0], dtype=torch.float64)
    got = sliced_wasserstein(x + shift, x, projections=1_000)
    # E_θ (θ·m)² = |m|²/D exactly; var (θ·m)² = 2 (D−1)/(D² (D+2)) |m|⁴, so the se of the root over 1,000 directions:
    se = math.sqrt(2 * 3 / (16 * 6 * 1_000)) * 9 / (2 * 1.5)
    assert got.value == pytest.approx(3 / 2, abs=4 * se)
    assert sliced_wasserstein(x, x).value == 0


@pytest.mark.parametrize(("n", "m"), [(12, 12), (10, 15), (13, 29)])
def test_one_dimensional_transport_is_exact_for_unequal_numbers(n: int, m: int) -> None:
    x, y = gaussian(n, 1, n), gaussian(m, 1, m + 50) * 2 + 1
    long_x, long_y = (data.repeat_interleave(n * m // len(data), 0).sort(0).values for data in (x, y))
    want = float((long_x - long_y).square().mean().sqrt())
    assert sliced_wasserstein(x, y).value == pytest.approx(want, rel=1e-12)
    i, j, mass = quantile_coupling(n, m)
    assert len(mass) <= n + m - 1
    assert torch.allclose(torch.zeros(n).double().index_add(0, i, mass), torch.full((n,), 1 / n).double())
    assert torch.allclose(torch.zeros(m).double().index_add(0, j, mass), torch.full((m,), 1 / m).double())


def test_energy_is_the_u_statistic_and_the_closed_form_of_gaussians() -> None:
    x, y = gaussian(40, 3, 0), gaussian(30, 3, 1) + 0.3
    n, m = len(x), len(y)
    within = [float(torch.cdist(z, z).sum()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    assert energy_distance(x, y).value == pytest.approx(2 * float(torch.cdist(x, y).sum()) / (n * m) - sum(within))
    # N(δ,1), N(0,1): E|X−Y| = 2/√π exp(−δ²/4) + δ erf(δ/2), and E|X−X′| = 2/√π
    delta = 1.5
    cross = 2 / math.sqrt(math.pi) * math.exp(-(delta**2) / 4) + delta * math.erf(delta / 2)
    want = 2 * cross - 4 / math.sqrt(math.pi)
    got = energy_distance(gaussian(2_500, 1, 2) + delta, gaussian(2_000, 1, 3))  # several blocks of distances
    assert got.value == pytest.approx(want, abs=4 * got.se) and got.se < 0.06


def test_energy_jackknife_is_the_delete_one_jackknife() -> None:
    x, y = gaussian(12, 2, 0), gaussian(15, 2, 1) * 2
    variance = 0.0
    for data, other in ((x, y), (y, x)):
        n = len(data)
        without = [energy_distance(data[torch.arange(n) != i], other).value for i in range(n)]
        variance += float(torch.tensor(without, dtype=torch.float64).var(correction=0)) * (n - 1)
    assert energy_distance(x, y).se == pytest.approx(math.sqrt(variance), rel=1e-9)


# (dim, n, m, shift, scale): one law, shifted, and shaped
LAWS = [(2, 200, 200, 0.0, 1.0), (8, 200, 150, 1.0, 1.0), (3, 150, 200, 0.5, 1.3)]


@pytest.mark.parametrize(("dim", "n", "m", "shift", "scale"), LAWS)
def test_standard_errors_are_those_of_repetition(dim: int, n: int, m: int, shift: float, scale: float) -> None:
    """The reported error against the spread over 60 fresh data sets. That spread is known to 1/√118 = 9 %, so 3σ is
    28 %; jackknife and delta method exceed it by up to √2 where the laws agree. Hence [0.7, 1.9]."""
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(60):
        x = gaussian(n, dim, Rng.fold(seed, 1)) * scale + shift / math.sqrt(dim)
        y = gaussian(m, dim, Rng.fold(seed, 2))
        found.setdefault("frechet", []).append(frechet_distance(x, y))
        found.setdefault("sliced", []).append(sliced_wasserstein(x, y, projections=32, seed=seed))
        found.setdefault("energy", []).append(energy_distance(x, y))
        found.setdefault("two_sample", []).append(two_sample(x, y, seed=seed))
    for name, estimates in found.items():
        value, se = torch.tensor(estimates, dtype=torch.float64).T
        ratio = float(se.square().mean().sqrt() / value.std())
        assert 0.7 < ratio < 1.9, f"{name}: reported {ratio:.2f} of the true error"


@pytest.mark.parametrize("name", DISTANCES)
def test_order_and_side_do_not_matter(name: str) -> None:
    x, y = gaussian(300, 4, 0), gaussian(250, 4, 1) * 1.5
    measure = DISTANCES[name]
    value = measure(x, y).value
    assert measure(x.flip(0), y[torch.randperm(250, generator=torch.Generator().manual_seed(0))]).value == (
        pytest.approx(value, rel=1e-9)
    )
    assert measure(y, x).value == pytest.approx(value, rel=1e-9)
    assert measure(x, y) == measure(x, y)
    assert measure(x.float(), y.float()).value == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("name", DISTANCES)
def test_input_that_cannot_be_compared_gets_a_sentence(name: str) -> None:
    measure, x = DISTANCES[name], gaussian(20, 3, 0)
    nan = x.clone()
    nan[3, 1] = math.nan
    with pytest.raises(UserError, match="1 of the 20 examples in the samples hold NaN"):
        measure(nan, x)
    with pytest.raises(UserError, match="The samples hold 9 examples; at least 10"):
        measure(x[:9], x)
    with pytest.raises(UserError, match="3 columns and the real data 2"):
        measure(x, x[:, :2])
    with pytest.raises(UserError, match="feature rows"):
        measure(x[:, None, None], x)
