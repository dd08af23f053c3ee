from __future__ import annotations

import math

import pytest
import torch

from scorefield import Rng, UserError
from scorefield.operators import GaussianNoise, LaplaceNoise, Mask, Matrix, Measurement, PoissonNoise
from scorefield.operators.measurement import poisson_quantile


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return Rng(seed).normal(torch.empty(shape, dtype=torch.float64))


def test_densities_are_those_of_torch():
    y, z = gaussian(3, 4), gaussian(3, 4, seed=1)
    pairs = {
        GaussianNoise(0.3): torch.distributions.Normal(z, 0.3),
        LaplaceNoise(0.3): torch.distributions.Laplace(z, 0.3),
    }
    for noise, law in pairs.items():
        torch.testing.assert_close(noise.log_prob(y, z), law.log_prob(y).sum(1))
    rates = torch.tensor([[0.4, 3.0, 50.0]]).double()
    counts = torch.tensor([[0.0, 4.0, 47.0]]).double()
    noise = PoissonNoise(20.0)
    want = torch.distributions.Poisson(rates).log_prob(counts).sum(1)
    torch.testing.assert_close(noise.log_prob(counts / 20 - 1, rates / 20 - 1), want)
    assert noise.log_prob(counts / 20 - 1, torch.full((1, 3), -1.5).double()).isfinite().all()  # darker than dark


def test_poisson_numbers_are_quantiles():
    """The least k whose distribution function passes u, against a sum of probabilities."""
    for rate in (0.02, 1.0, 7.3, 90.0):
        u = torch.linspace(0, 0.999999, 301).double()
        k = torch.arange(400).double()
        cumulated = torch.distributions.Poisson(rate).log_prob(k).exp().cumsum(0)
        want = (cumulated[None] <= u[:, None]).sum(1).double()
        got = poisson_quantile(torch.full_like(u, rate), u)
        assert ((got - want).abs() <= (cumulated[:, None] - u).abs().amin(0).lt(1e-12)).all(), rate


@pytest.mark.parametrize("noise", [GaussianNoise(0.3), LaplaceNoise(0.3), PoissonNoise(30.0)])
def test_draws_have_the_moments_of_the_noise(noise):
    """n = 100,000: the standard error of the mean is ≤ 0.0015, that of the variance ≤ √(5 / n) of it; 5 of them."""
    z = torch.tensor([-0.5, 0.8]).double().expand(100_000, 2)
    y = noise.sample(z, Rng(0))
    var = torch.tensor([0.5 / 30, 1.8 / 30]).double() if noise.std is None else torch.full((2,), noise.std**2).double()
    torch.testing.assert_close(y.mean(0), z[0], rtol=0, atol=5 * (var.max() / len(y)).sqrt().item())
    torch.testing.assert_close(y.var(0), var, rtol=5 * math.sqrt(5 / len(y)), atol=0)
    single = noise.sample(z[:3].float(), Rng.each(1, range(3)))
    assert single.dtype == torch.float32
    assert torch.equal(single[1:2], noise.sample(z[1:2].float(), Rng.each(1, [1])))  # batching changes nothing


def test_a_measurement_knows_its_residual_and_likelihood():
    A, x = Matrix(gaussian(3, 5)), gaussian(4, 5, seed=1)
    simulated = Measurement.of(x, A, GaussianNoise(0.1), Rng(2))
    assert simulated.y.shape == (4, 3)
    torch.testing.assert_close(simulated.residual(x), simulated.y - x @ A.A.mT)
    want = torch.distributions.Normal(x @ A.A.mT, 0.1).log_prob(simulated.y).sum(1)
    torch.testing.assert_close(simulated.log_likelihood(x), want)
    one = Measurement(A, simulated.y[:1], GaussianNoise(0.1))
    torch.testing.assert_close(one.log_likelihood(x)[:1], want[:1])
    assert one.rows(slice(1, 3)) is one
    torch.testing.assert_close(simulated.rows(slice(1, 3)).log_likelihood(x[1:3]), want[1:3])
    torch.testing.assert_close(simulated.rows(torch.tensor([3, 0])).log_likelihood(x[[3, 0]]), want[[3, 0]])
    assert simulated.residual(x.float()).dtype == torch.float32
    exact = Measurement.of(x, A, GaussianNoise(0), Rng(2))
    assert not exact.residual(x).any()
    with pytest.raises(UserError, match=r"without noise \(std 0\) has no likelihood"):
        exact.log_likelihood(x)
    with pytest.raises(UserError, match="y has 4 rows and there are 3 examples"):
        simulated.residual(x[:3])


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda A: Measurement(A, gaussian(1, 4), GaussianNoise(1)), r"y has shape \(1, 4\), but Mask .* gives \(3,\)"),
        (lambda A: Measurement(A, gaussian(3), GaussianNoise(1)), r"y has shape \(3,\)"),
        (lambda A: Measurement(A, gaussian(1, 3).log(), GaussianNoise(1)), "NaN or infinite"),
        (lambda A: Measurement(A, torch.ones(1, 3, dtype=torch.int64), GaussianNoise(1)), "floating-point"),
        (lambda A: GaussianNoise(-0.1), "std of a noise must be ≥ 0 and finite, got -0.1"),
        (lambda A: GaussianNoise(float("nan")), "≥ 0 and finite, got nan"),
        (lambda A: LaplaceNoise(0), "scale of a noise must be > 0"),
        (lambda A: PoissonNoise(float("inf")), "scale of a noise must be > 0 and finite, got inf"),
    ],
)
def test_what_cannot_be_is_refused(build, said):
    with pytest.raises(UserError, match=said):
        build(Mask(torch.tensor([True, True, False, True])))
