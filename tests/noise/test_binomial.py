"""The binomial chain of Sohl-Dickstein et al. (2015) on their heartbeat, whose law and bound can be enumerated."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from scorefield.belief import Logits
from scorefield.core import as_time
from scorefield.noise import binomial

BITS, EVERY = 20, 5  # one of five combs: every fifth bit is 1


def states() -> tuple[torch.Tensor, torch.Tensor]:
    """One state (N, 20) for each count of ones among the four bits of the first place and each set of counts of the
    four others, 5 · 70 in all, and how many states are like it: what the posterior over the combs depends on."""
    others = list(itertools.combinations_with_replacement(range(5), EVERY - 1))
    counts = torch.tensor([(first, *rest) for first in range(5) for rest in others])
    bits = torch.arange(4)[None, :, None] < counts[:, None, :]  # (N, 4, 5): bit 5 r + place
    orders = [len(set(itertools.permutations(rest))) for rest in others] * 5
    ways = torch.tensor([math.comb(4, k) for k in range(5)], dtype=torch.float64)[counts].prod(1)
    return bits.reshape(-1, BITS).long(), ways * torch.tensor(orders, dtype=torch.float64)


def bound(steps: int) -> float:
    """The bound of the best factorised reverse chain in bits, summed over all noised states: no sampling."""
    process, (x, ways) = binomial(), states()
    x0 = (torch.arange(BITS) % EVERY == 0).long().expand_as(x)  # all combs are alike
    combs = torch.stack([(torch.arange(BITS) % EVERY == k).long() for k in range(EVERY)])
    total = 0.0
    for i in range(1, steps + 1):
        t, s = as_time(i / steps), as_time((i - 1) / steps)
        like = process.log_likelihood(x, t)  # log q(x_t | x₀ = k) of every bit
        given = torch.stack([like.gather(-1, comb.expand_as(x)[..., None]).sum((1, 2)) for comb in combs], 1)
        weights = (given - given.logsumexp(1, keepdim=True)).exp()
        ones = weights @ combs.double()
        belief = Logits(torch.stack([1 - ones, ones], -1).clamp_min(1e-300).log())
        chance = ways * given[:, 0].exp()
        assert chance.sum() == pytest.approx(1, abs=1e-12)
        total += (chance * process.kl(x, x0, belief, t, s)).sum().item()
    return -(total + process.prior_kl(x0[:1]).item()) / math.log(2)


def test_the_heartbeat_has_the_bound_of_its_best_reverse_chain():
    """Below −log₂ 5 = −2.3219, which no chain reaches, by about 4.93/T. The reference's figures, which were sampled,
    are −2.584 and −2.371."""
    short, long = bound(20), bound(100)
    assert short == pytest.approx(-2.584, abs=4e-3)
    assert long == pytest.approx(-2.371, abs=1e-3)
    assert 100 * (-math.log2(5) - long) == pytest.approx(20 * (-math.log2(5) - short), rel=0.06)


@pytest.mark.slow
def test_two_thousand_steps_as_in_the_paper():
    assert bound(2000) == pytest.approx(-2.3245, abs=2e-4)


def test_the_schedule_is_that_of_the_paper():
    """β = 1/(T − t + 1): a bit is kept with probability 1 − t/T, and a flip has half of β."""
    process, steps = binomial(), 10
    kept = 1.0
    for i in range(1, steps):
        kept *= 1 - 1 / (steps - i + 1)
        assert process.keep(as_time(i / steps)).item() == pytest.approx(kept) == pytest.approx(1 - i / steps)
    stay, redrawn, _ = process.kernel(as_time(0.3), as_time(0.4))
    assert redrawn.item() == pytest.approx(1 / (steps - 4 + 1))
    assert stay.item() == pytest.approx(1 - redrawn.item())
