"""D3PM's discretised Gaussian, whose matrices change from step to step, against products and Bayes' rule by hand."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch

from scorefield import Law, Logits, Rng, UserError, elbo, sample
from scorefield.core import as_time
from scorefield.noise import GaussianSteps
from scorefield.objectives import Elbo
from scorefield.solvers import Uniform
from tests.likelihood.test_elbo import gap

K, T = 3, 4
PROCESS = GaussianSteps(K, T, 0.4, 6.0)  # wide enough that nearly nothing is left after four steps


def matrix(k: int, beta: float) -> torch.Tensor:
    """One step as Austin et al. write it."""
    total = sum(math.exp(-4 * n * n / ((k - 1) ** 2 * beta)) for n in range(1 - k, k))
    rows = [[math.exp(-4 * (i - j) ** 2 / ((k - 1) ** 2 * beta)) / total for j in range(k)] for i in range(k)]
    q = torch.tensor(rows, dtype=torch.float64)
    return q - q.diag().diag() + (1 - (q.sum(1) - q.diag())).diag()


def test_steps_are_those_of_the_paper_and_doubly_stochastic() -> None:
    process = GaussianSteps(6, 5, 0.01, 0.5)
    found = torch.eye(6, dtype=torch.float64)
    for i, beta in enumerate(torch.linspace(0.01, 0.5, 5, dtype=torch.float64).tolist(), 1):
        found = found @ matrix(6, beta)
        torch.testing.assert_close(process.products[i], found, rtol=0, atol=1e-12)
        for axis in (0, 1):
            torch.testing.assert_close(process.products[i].sum(axis), torch.ones(6).double(), rtol=0, atol=1e-12)
    wide, narrow = (GaussianSteps(6, 1, beta, beta).each[0] for beta in (0.5, 0.05))
    assert wide[0, 2] / wide[0, 1] > 5 * narrow[0, 2] / narrow[0, 1]  # the width changes, not the rate alone


def test_bridges_are_bayes_rule_whatever_the_times() -> None:
    x, x0 = torch.tensor([[0], [2], [1]]), torch.tensor([[1], [2], [0]])
    t, s = as_time([0.75, 1.0, 0.5]), as_time([0.25, 0.0, 0.25])
    belief = Logits(torch.nn.functional.one_hot(x0, K).double().log())
    got = PROCESS.bridge(x, belief, t, s)[:, 0]
    for i, (low, high) in enumerate(((1, 3), (0, 4), (1, 2))):
        step = torch.eye(K, dtype=torch.float64)
        for q in PROCESS.each[low:high]:
            step = step @ q
        law = PROCESS.products[low][x0[i, 0]] * step[:, x[i, 0]]
        torch.testing.assert_close(got[i], law / law.sum(), rtol=1e-12, atol=1e-15)


def test_the_gap_of_the_bound_is_what_independent_sites_lose() -> None:
    """With the exact belief the bound exceeds the entropy by Σ KL(q(x_s | x_t) ‖ Π_i q(x_s,i | x_t)) and by what the
    prior misses; all of it from the joint law of chains on 27 states."""
    weights = torch.arange(1, 28, dtype=torch.float64).sin().square() ** 3
    law = Law((weights / weights.sum()).view(3, 3, 3))
    whole = [torch.einsum("ai,bj,ck->abcijk", q, q, q).reshape(27, 27) for q in PROCESS.each]
    p, lost = law.probs.flatten(), 0.0
    for q in whole:
        joint = p[:, None] * q  # x_s, x_t
        p = joint.sum(0)
        given = (joint / p).T.reshape(27, 3, 3, 3)
        alone = torch.einsum("ni,nj,nk->nijk", given.sum((2, 3)), given.sum((1, 3)), given.sum((1, 2)))
        lost += (p * (given * (given / alone).log()).flatten(1).sum(1)).sum().item()
    lost += (p * (27 * p).log()).sum().item()
    assert gap(law, PROCESS, T) == pytest.approx(lost, abs=1e-10)
    x0 = law.sample(4000, Rng(0))
    bound = elbo(law.denoiser(PROCESS), x0, T, Rng(1))
    excess = bound.nats + law.log_prob(x0)
    assert abs(excess.mean().item() - lost) < 5 * excess.std().item() / 4000**0.5  # false alarms 6e-7


def test_samples_have_the_law_of_the_chain_and_losses_are_the_bound() -> None:
    """20,000 draws of two sites with the exact belief, in two strides of two steps, against the enumerated chain:
    five standard errors of each of nine probabilities."""
    probs = torch.tensor([[5.0, 1.0, 1.0], [1.0, 0.5, 3.0], [0.5, 4.0, 1.0]], dtype=torch.float64)
    law = Law(probs / probs.sum())
    exact, times = law.denoiser(PROCESS), Uniform()(PROCESS, 2)
    x = sample(exact, (20_000, 2), steps=2, grid=Uniform(), rng=Rng(2))
    every, p = torch.tensor([*product(range(3), repeat=2)]), torch.full((9,), 1 / 9, dtype=torch.float64)
    for t, s in pairwise(times):
        a, b = PROCESS.bridge(every, exact(every, t), t, s).unbind(1)
        p = p @ torch.einsum("ni,nj->nij", a, b).flatten(1)
    share = torch.bincount(3 * x[:, 0] + x[:, 1], minlength=9) / 20_000
    assert ((share - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt()).all()
    x0 = law.sample(8000, Rng(3))
    loss = 2 * Elbo(steps=T)(exact, x0, Rng(4)) + PROCESS.prior_kl(x0)
    again = elbo(exact, x0, T, Rng(5)).nats
    assert abs((loss - again).mean()) < 5 * (loss - again).std() / 8000**0.5


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: GaussianSteps(1), "needs classes ≥ 2"),
        (lambda: GaussianSteps(256, 4000), "more than 1 GiB"),
        (lambda: PROCESS.corrupt(torch.zeros(1, 1, dtype=torch.int64), as_time(0.3), Rng(0)), "only multiples of 1/4"),
        (lambda: PROCESS.bridge(torch.zeros(1, 1, dtype=torch.int64), None, 1.0, 0.5, "sum"), "no form of a bridge"),
    ],
)
def test_what_it_cannot_do_is_said(build, error: str) -> None:
    with pytest.raises(UserError, match=error):
        build()
