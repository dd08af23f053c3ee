from __future__ import annotations

import pytest
import torch

from scorefield import Rng, UserError
from scorefield.analytic.inverse import (
    b_gauss,
    b_gmm,
    b_inpaint,
    b_mcgd,
    chi2_ratio,
    mean_error,
    mode_error,
    responsibilities,
    trace_ratio,
)

BENCHES = {"gauss": b_gauss, "gmm": b_gmm, "inpaint": b_inpaint, "mcgd": lambda seed: b_mcgd(8, seed, 2)}


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_is_a_measurement_and_its_posterior(name):
    """p(x | y) ∝ p(x) p(y | x): the log ratio is one constant, the evidence. Posterior draws have the measures of 1."""
    bench = BENCHES[name](0)
    x = bench.posterior.sample(20_000, Rng(1))
    joint = bench.prior.log_prob(x[:50]) + bench.measurement.log_likelihood(x[:50])
    offset = joint - bench.posterior.log_prob(x[:50])
    torch.testing.assert_close(offset, offset[:1].expand(50), rtol=0, atol=1e-7)
    # n = 20,000: relative standard errors of variances ≤ √(kurtosis/n) ≈ 0.01, of shares ≤ 0.0035; false alarm 1e-5
    assert mode_error(x, bench.posterior) < 0.02
    assert abs(trace_ratio(x, bench.posterior) - 1) < 0.05
    assert abs(chi2_ratio(x, bench) - 1) < 0.05
    assert mean_error(x, bench.posterior) < 0.03


def test_benches_are_those_of_the_reference():
    gauss, gmm, inpaint = b_gauss(3), b_gmm(3), b_inpaint(3)
    torch.testing.assert_close(gauss.prior.cov.svd()[1], torch.logspace(0, -2, 8).double(), rtol=1e-6, atol=0)
    for bench, values in ((gauss, [1, 0.8, 0.6, 0.4]), (gmm, [1, 0.6]), (inpaint, [1, 1])):
        torch.testing.assert_close(torch.linalg.svdvals(bench.operator.A), torch.tensor(values).double())
    assert (gauss.std, gmm.std, inpaint.std) == (0.1, 0.2, 0.01)
    assert torch.linalg.eigvalsh(gmm.prior.covs).aminmax()[1] < 0.1001 and gmm.prior.means.shape == (6, 8)
    assert b_mcgd(80, 0, 4).prior.means.shape == (25, 80)
    assert not torch.equal(b_gmm(0).y, b_gmm(1).y) and torch.equal(b_gmm(0).y, b_gmm(0).y)


def test_measures_see_what_they_are_for():
    bench = b_gmm(0)
    x = bench.posterior.sample(4000, Rng(0))
    top = responsibilities(x, bench.posterior).argmax(1)
    k = int(bench.posterior.weights.argmax())
    assert abs(mode_error(x[top == k], bench.posterior) - (1 - bench.posterior.weights[k])) < 0.05
    weights = torch.where(top == k, 0.0, -torch.inf).double()  # the same by weights as by selection
    alone = x[top == k]
    assert mode_error(x, bench.posterior, weights) == pytest.approx(mode_error(alone, bench.posterior))
    assert trace_ratio(x, bench.posterior, weights) == pytest.approx(trace_ratio(alone, bench.posterior))
    assert chi2_ratio(x, bench, weights) == pytest.approx(chi2_ratio(alone, bench))
    assert mean_error(x + 1, bench.posterior) > 1
    with pytest.raises(UserError, match=r"samples must be \(N, 8\), got \(10, 2\)"):
        mode_error(x[:10, :2], bench.posterior)
    with pytest.raises(UserError, match="even d"):
        b_mcgd(7)
