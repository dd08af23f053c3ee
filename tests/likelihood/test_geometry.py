"""Geometry from the score against surfaces, subspaces and densities in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError
from scorefield.likelihood import ScoreMetric, jacobian, jvp, local_dimension, score_of, vjp
from scorefield.noise import EDM, VP, Flow

F = torch.float64
COV = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=F)
MIXED = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.7]], dtype=F), 0.15)


def standard(x):
    """The score of N(0, I), in any number of dimensions."""
    return -x


@pytest.mark.parametrize("schedule", [EDM(), VP(), Flow()], ids=repr)
def test_the_score_of_a_level_is_that_of_data_with_its_noise(schedule):
    x = MIXED.sample(5, Rng(0))
    found = score_of(MIXED.denoiser(Gaussian(schedule)), 0.3)(x)
    torch.testing.assert_close(found, MIXED.noised(1.0, 0.3).score(x), rtol=1e-8, atol=1e-8)


def test_jacobian_and_its_products():
    """Of N(m, C) with noise the Jacobian is −(C + σ²)⁻¹ everywhere; products agree with the full one on a function
    whose Jacobian is not symmetric."""
    law = GaussianMixture(torch.ones(1, dtype=F), torch.tensor([[1.0, -0.5]], dtype=F), COV[None])
    x = law.sample(3, Rng(0))
    want = -torch.linalg.inv(COV + 0.04 * torch.eye(2, dtype=F))
    torch.testing.assert_close(jacobian(score_of(law.denoiser(Gaussian(VP())), 0.2), x), want.expand(3, 2, 2))

    def f(x):
        return torch.stack([x[:, 0] * x[:, 1], x[:, 1].sin()], 1)

    v, J = Rng(1).normal(x), jacobian(f, x)
    for product, matrix in ((jvp, J), (vjp, J.mT)):
        value, found = product(f, x, v)
        torch.testing.assert_close(value, f(x))
        torch.testing.assert_close(found, (matrix @ v[..., None])[..., 0])


@pytest.mark.parametrize(("sigma", "want"), [(1.0, 6.0), (0.3, 7.94546), (0.1, 7.99922), (0.01, 8.0)])
@pytest.mark.parametrize("schedule", [EDM(), VP()], ids=repr)
def test_the_dimension_of_a_plane(sigma, want, schedule):
    """N(0, I₈) in 64 dimensions: 8/(1 + σ²) + ‖x‖² σ²/(1 + σ²)², in the mean over data, where ‖x‖² = 8."""
    cov = torch.diag(torch.cat([torch.ones(8, dtype=F), torch.zeros(56, dtype=F)]))
    law = GaussianMixture(torch.ones(1, dtype=F), torch.zeros(1, 64, dtype=F), cov[None])
    x = law.sample(4, Rng(0))
    x = x * (8 / x.square().sum(1, keepdim=True)).sqrt()
    found = local_dimension(law.denoiser(Gaussian(schedule)), x, sigma, divergence="exact")
    torch.testing.assert_close(found.dimension, torch.full((4,), want, dtype=F), rtol=0, atol=1e-5)
    assert (found.error == 0).all()


def test_the_dimension_by_probes_has_their_standard_error():
    """64 Gaussian probes estimate 8 dimensions with variance 2·8/64 = 0.25: 16 means stay within 5 standard errors of
    it (t with 63 degrees: false alarm 8e-5), and the seed is fixed."""
    cov = torch.diag(torch.cat([torch.ones(8, dtype=F), torch.zeros(12, dtype=F)]))
    law = GaussianMixture(torch.ones(1, dtype=F), torch.zeros(1, 20, dtype=F), cov[None])
    found = local_dimension(
        law.denoiser(Gaussian(EDM())), law.sample(16, Rng(0)), 0.01, divergence="gaussian", probes=64, rng=Rng(1)
    )
    assert ((found.dimension - 8).abs() < 5 * found.error).all()
    assert 0.3 < found.error.mean() < 0.7


def test_the_matrix_its_inverse_and_its_determinant():
    x, v = Rng(0).normal(torch.empty(4, 3, dtype=F)), Rng(1).normal(torch.empty(4, 3, dtype=F))
    metric = ScoreMetric(standard, 2.5)
    G = metric.matrix(x)
    torch.testing.assert_close(G @ metric.inverse(x), torch.eye(3, dtype=F).expand(4, 3, 3))
    torch.testing.assert_close(metric.det(x), torch.linalg.det(G))
    torch.testing.assert_close(metric.norm2(x, v), torch.einsum("bi,bij,bj->b", v, G, v))


@pytest.mark.parametrize(("weight", "radius", "want"), [(1.0, 1.0, 1.147794), (4.0, 2.0, 4.646784)])
def test_radial_lengths_are_those_of_a_paraboloid(weight, radius, want):
    """½ [R √(1 + λR²) + asinh(√λ R)/√λ]: G of N(0, I) is the metric of z = √λ r²/2. The midpoint rule is of order 2."""
    a, b = torch.zeros(2, dtype=F), torch.tensor([0.0, radius], dtype=F)
    metric = ScoreMetric(standard, weight)
    line = torch.linspace(0, 1, 2001, dtype=F)[:, None] * b
    assert metric.length(line).item() == pytest.approx(want, abs=2e-6)
    found = metric.geodesic(a, b, 65)
    assert found.length == pytest.approx(want, abs=4e-4)
    assert found.energy == pytest.approx(found.length**2 / 2, rel=1e-6)  # constant speed


def test_opposite_points_are_nearest_through_the_mode():
    """From (1, 0) to (−1, 0) 2.295587, less than the π along the circle; found from a path that goes round."""
    angle = torch.linspace(0, math.pi, 65, dtype=F)
    around = torch.stack([angle.cos(), 0.3 * angle.sin()], 1)
    found = ScoreMetric(standard).geodesic(around[0], around[-1], 65, start=around)
    assert found.length == pytest.approx(2.295587, abs=2e-3)
    assert found.path[:, 1].abs().max() < 0.02


def test_a_geodesic_keeps_what_a_surface_of_revolution_keeps():
    """Clairaut: r² φ′/speed is the same all along, here r² Δφ of every piece, as pieces are equally long. Within 1 % of
    pieces of 1/64 of the way."""
    a, b = torch.tensor([2.0, 0.0], dtype=F), torch.tensor([-0.3, 1.5], dtype=F)
    metric = ScoreMetric(standard, 4.0)
    path = metric.geodesic(a, b, 65).path
    middle, angle = 0.5 * (path[1:] + path[:-1]), torch.atan2(path[:, 1], path[:, 0])
    kept = middle.square().sum(1) * angle.diff()
    torch.testing.assert_close(kept, kept.mean().expand(64), rtol=1e-2, atol=0)
    line = torch.linspace(0, 1, 65, dtype=F)[:, None] * (b - a) + a
    assert metric.length(path) < metric.length(line) - 0.05


def test_a_path_between_data_keeps_to_where_data_are():
    """Data on a circle, noised to σ = 0.1: with λ‖s‖² ≫ 1 the path from a bow follows it, within 0.1 of radius 1."""
    angle = torch.arange(40, dtype=F) / 40 * 2 * math.pi
    ring = GaussianMixture.isotropic(torch.stack([angle.cos(), angle.sin()], 1), 0.02)
    score = score_of(ring.denoiser(Gaussian(EDM())), 0.1)
    turn = torch.linspace(0, math.pi, 33, dtype=F)
    bow = torch.stack([turn.cos(), 0.8 * turn.sin()], 1)
    path = ScoreMetric(score, 10.0).geodesic(bow[0], bow[-1], 33, start=bow).path
    assert (path.norm(dim=1) - 1).abs().max() < 0.1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, d, x: ScoreMetric(standard, -1.0), "weight λ .* at least 0, got -1.0"),
        (lambda m, d, x: m.geodesic(x[0], x[1], 2), "two ends of one shape and 3 or more points"),
        (lambda m, d, x: m.geodesic(x[0], x[1], 5, start=x), r"start must be \(5, 2\)"),
        (lambda m, d, x: m.length(x[:1]), "at least 2 points, got 1"),
        (lambda m, d, x: score_of(d, 0.0), "sigma, .* above 0 and at most 152.2 on this process, got 0.0"),
        (lambda m, d, x: local_dimension(d, x, 1e9), "at most 152.2"),
        (lambda m, d, x: local_dimension(d, x, 0.1, divergence="full"), "no divergence is called 'full'"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(ScoreMetric(standard), MIXED.denoiser(Gaussian(VP())), MIXED.sample(3, Rng(0)))
