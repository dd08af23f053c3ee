"""With the exact belief a bound is known to the last digit: the law of tokens is enumerated, nothing is trained."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
import torch

from scorefield import Law, Logits, Rng, UserError, elbo
from scorefield.analytic import heartbeat
from scorefield.core import as_time
from scorefield.likelihood import bits
from scorefield.noise import VP, Gaussian, Markov, Neighbours, binomial, keep, mask_and_replace, masking, uniform


@pytest.fixture(scope="module")
def law() -> Law:
    """The reference's random law on 27 sequences: entropy 2.123600621 nats."""
    torch.manual_seed(0)
    probs = torch.distributions.Dirichlet(torch.full((27,), 0.3, dtype=torch.float64)).sample()
    return Law(probs.view(3, 3, 3))


def expected(law: Law, process, t, value) -> float:
    """The mean over x₀ and x_t of ``value(x, x0, belief)`` (B,), by all pairs of states."""
    points, probs = law.support
    states = torch.cartesian_prod(*[torch.arange(process.states)] * law.length)
    likely = process.log_likelihood(states, t).exp()
    belief = law.denoiser(process)(states, t)
    x, x0 = states.repeat(len(points), 1), points.repeat_interleave(len(states), 0)
    chance = likely.repeat(len(points), 1, 1).gather(-1, x0[..., None])[..., 0].prod(1)
    chance = chance * probs.repeat_interleave(len(states))
    nats = value(x, x0, Logits(belief.logits.repeat(len(points), 1, 1)))
    return (chance * nats)[chance > 0].sum().item()


def gap(law: Law, process, steps: int, form: str = "mixture") -> float:
    """The bound in ``steps`` minus the entropy."""
    points, probs = law.support
    total = (probs * process.prior_kl(points)).sum().item()
    for i in range(1, steps + 1):
        t, s = as_time(i / steps), as_time((i - 1) / steps)
        total += expected(law, process, t, lambda x, x0, b, t=t, s=s: process.kl(x, x0, b, t, s, form))
    return total - law.entropy


def integral(law: Law, process, nodes: int, cuts=(0.0, 1.0)) -> float:
    """The bound in continuous time minus the entropy, Gauss–Legendre between the ``cuts``."""
    at, weight = np.polynomial.legendre.leggauss(nodes)
    total = 0.0
    for low, high in pairwise(cuts):
        for u, w in zip(at, weight, strict=True):
            t = as_time(0.5 * (low + high) + 0.5 * (high - low) * u)
            rate = expected(law, process, t, lambda x, x0, b, t=t: process.kl_rate(x, x0, b, t))
            total += 0.5 * (high - low) * w * rate
    return total - law.entropy


TABLE = {  # steps: absorbing, uniform with the cosine schedule (mixture), the same in the product form
    1: (0.518226, 0.518226, 0.518226),
    2: (0.274237, 0.290850, 0.848),
    4: (0.140900, 0.166095, 1.011),
    8: (0.071395, 0.087634, None),
    16: (0.035934, 0.044768, 1.180),
    64: (0.009028, 0.011340, 1.232),
}


@pytest.mark.parametrize("steps", TABLE)
def test_bounds_in_steps_are_those_of_the_reference(law, steps):
    absorbing, multinomial, plugged = TABLE[steps]
    assert law.entropy == pytest.approx(2.123600621, abs=1e-9)
    assert gap(law, masking(3), steps) == pytest.approx(absorbing, abs=6e-7)  # six digits
    assert gap(law, uniform(3, keep.Cosine()), steps) == pytest.approx(multinomial, abs=6e-7)
    if plugged is not None:
        assert gap(law, uniform(3, keep.Cosine()), steps, "product") == pytest.approx(plugged, abs=6e-4)


PROCESSES = [masking(3), uniform(3), mask_and_replace(3), Markov(Neighbours(3))]


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_one_step_loses_the_total_correlation(law, process):
    assert gap(law, process, 1) == pytest.approx(law.total_correlation, abs=1e-12)


@pytest.mark.parametrize("schedule", [keep.Linear(), keep.Polynomial(3.0)], ids=repr)
def test_the_masked_bound_is_the_entropy(law, schedule):
    """A polynomial in t, so that the quadrature is exact: MDLM's bound of the exact belief is the entropy, to 1e-9."""
    assert abs(integral(law, masking(3, schedule), 8)) < 1e-9


@pytest.mark.parametrize("schedule", [keep.Cosine(), keep.Sine(), keep.Geometric()], ids=repr)
def test_the_masked_bound_does_not_see_the_schedule(law, schedule):
    assert abs(integral(law, masking(3, schedule), 48)) < 1e-6


@pytest.mark.parametrize("process", [uniform(3), mask_and_replace(3), Markov(Neighbours(3))], ids=repr)
def test_score_entropy_of_the_exact_belief_is_the_entropy(law, process):
    """SEDD's bound, in pieces that double towards t = 0, where the integrand is like log t (what [0, 2⁻²⁴] misses is
    6e-8 · 17, less the nodes there), and towards t = 1, where α/(α + β) of mask-and-replace is steep."""
    powers = 2.0 ** -torch.arange(24, 0, -1, dtype=torch.float64)
    cuts = [0.0, *powers.tolist(), *(1 - powers.flip(0)[1:6]).tolist(), 1.0]
    assert abs(integral(law, process, 6, cuts)) < 1e-6


@pytest.mark.parametrize(
    ("steps", "value", "error"),
    [
        (10, 2.883, 0.030),
        (50, 2.414, 0.011),
        pytest.param(200, 2.357, 0.006, marks=pytest.mark.slow),
        pytest.param(1000, 2.329, 0.003, marks=pytest.mark.slow),
    ],
)
def test_heartbeat_bounds(steps, value, error):
    """Sohl-Dickstein's heartbeat in bits against the reference's Monte Carlo (± its standard error), by enumeration: of
    x_t counts how many of the four sites of each phase are on, and the four phases that are not the true one are alike:
    5 · 70 states with their numbers of ways."""
    law, process = heartbeat(), binomial()
    others = list(combinations_with_replacement(range(5), 4))
    counts = torch.tensor([(own, *rest) for own in range(5) for rest in others])
    orders = [math.factorial(4) / math.prod(math.factorial(r.count(k)) for k in range(5)) for r in others] * 5
    ways = torch.tensor([math.comb(4, k) for k in range(5)], dtype=torch.float64)[counts].prod(1)
    ways = ways * torch.tensor(orders, dtype=torch.float64)
    states = (torch.arange(4)[:, None] < counts[:, None]).long().flatten(1)  # site = phase + 5 · place
    denoiser, total = law.denoiser(process), 0.0
    for i in torch.arange(1, steps + 1, dtype=torch.float64).split(50):
        x, t = states.repeat(len(i), 1), (i / steps).repeat_interleave(len(states))
        x0 = law.support[0][0].expand_as(x)
        chance = process.log_likelihood(x, t).gather(-1, x0[..., None])[..., 0].sum(1).exp() * ways.repeat(len(i))
        assert abs(chance.sum() - len(i)) < 1e-9
        total += (chance * process.kl(x, x0, denoiser(x, t), t, t - 1 / steps)).sum().item()
    assert abs(total / math.log(2) - value) < 2 * error


def test_one_step_of_the_heartbeat_loses_its_total_correlation():
    """20 independent coins of 1/5: 14.4386 bits; from t = 1 nothing is seen, so any x_t is as good as all."""
    law, process, one = heartbeat(), binomial(), as_time(1.0)
    x0 = law.support[0]
    nats = process.kl(torch.zeros_like(x0), x0, law.denoiser(process)(x0, one), one, as_time(0.0))
    assert (nats / math.log(2)).tolist() == pytest.approx([14.4386] * 5, abs=5e-5)


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize("steps", [None, 4])
def test_the_estimate_is_unbiased_and_knows_its_error(law, process, steps):
    """4,000 examples: the mean is within 5 standard errors of the enumerated bound (false alarm 6e-7), and the
    reported error is that of the mean to 30 %; from strata it is on the safe side."""
    x0 = law.sample(4000, Rng(1))
    found = elbo(law.denoiser(process), x0, steps, Rng(2))
    excess = found.nats + law.log_prob(x0)  # of each example: the bound less what it bounds
    wanted = 0.0 if steps is None else gap(law, process, steps)
    error = excess.std().item() / math.sqrt(len(x0))
    assert abs(excess.mean().item() - wanted) < 5 * error
    assert 0.7 < found.error.square().mean().sqrt().item() / excess.std().item() < 1.6
    mean, spread = bits(found, 3)
    assert mean == pytest.approx(found.nats.mean().item() / math.log(2) / 3) and 0 < spread < 0.02


def test_a_bound_that_cannot_be_says_so(law):
    denoiser, x0 = law.denoiser(masking(3)), law.sample(2, Rng(0))
    with pytest.raises(UserError, match="at least 2 samples"):
        elbo(denoiser, x0, samples=1)
    with pytest.raises(UserError, match="at least 1 step, got 0"):
        elbo(denoiser, x0, 0)
    with pytest.raises(UserError, match="kl_rate"):
        elbo(type("Moments", (), {"process": Gaussian(VP())})(), x0)
