from __future__ import annotations

import math

import pytest
import torch

from scorefield import ClassifierFree, Rng, UserError, sample
from scorefield.belief import Logits
from scorefield.core import as_time
from scorefield.guidance import Temperature, TopK, TopP
from scorefield.noise import masking, uniform
from scorefield.solvers import FirstHitting, TauLeaping
from tests.solvers.token_laws import Exact, K, doubt, random_law

T = as_time(0.5)
PROBS = torch.tensor([[[0.5, 0.3, 0.15, 0.05], [0.0, 1.0, 0.0, 0.0]]], dtype=torch.float64)


class Believing:
    """One belief, whatever it sees."""

    process = masking(4)

    def __call__(self, x, t, **cond):
        return Logits(PROBS.log() + 3.0)  # need not be normalised


def believed(wrapped):
    return wrapped(torch.zeros(1, 2, dtype=torch.int64), T).probs


def test_temperature_is_a_power_of_the_probabilities():
    for temperature in (0.5, 1.0, 2.0):
        power = PROBS ** (1 / temperature)
        got = believed(Temperature(Believing(), temperature))
        torch.testing.assert_close(got, power / power.sum(-1, keepdim=True))


@pytest.mark.parametrize(
    ("wrap", "kept"),
    [
        (lambda d: TopK(d, 1), 1),
        (lambda d: TopK(d, 3), 3),
        (lambda d: TopK(d, 99), 4),
        (lambda d: TopP(d, 0.5), 1),  # the fewest that hold at least 0.5
        (lambda d: TopP(d, 0.51), 2),
        (lambda d: TopP(d, 0.8 + 1e-9), 3),
        (lambda d: TopP(d, 1e-6), 1),
        (lambda d: TopP(d, 1.0), 4),
    ],
)
def test_truncation_keeps_the_likeliest_in_their_proportions(wrap, kept):
    """And a site that is sure stays so."""
    expected = PROBS.clone()
    expected[0, 0, kept:] = 0
    torch.testing.assert_close(believed(wrap(Believing())), expected / expected.sum(-1, keepdim=True))


@pytest.mark.parametrize("wrap", [lambda d: Temperature(d, 0.7), lambda d: TopK(d, 2), lambda d: TopP(d, 0.6)])
def test_wrappers_nest_and_walk(wrap):
    x = sample(wrap(Temperature(Exact(random_law(), masking(K)), 0.9)), (50, 3), steps=4, seed=1)
    assert ((x >= 0) & (x < K)).all()


def test_guided_tokens_follow_the_power_of_the_two_laws():
    """Sites that are independent: p ∝ p_c^w p_u^{1−w} site by site, drawn exactly (false alarms 1e-4 each). At an
    interval's times alone the strength varies with the example, whose own time it is."""
    sites = [torch.tensor(p, dtype=torch.float64) for p in ([0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8])]
    plain = torch.einsum("i,j,k->ijk", sites[0], sites[0], sites[0])
    strong = torch.einsum("i,j,k->ijk", *sites)
    label = torch.zeros(20_000, dtype=torch.int64)
    for scale in (0.0, 1.0, 2.5):
        law = plain ** (1 - scale) * strong**scale
        guided = ClassifierFree(Exact(plain, masking(K), [strong]), scale)
        x = sample(guided, (20_000, 3), steps=1, solver=FirstHitting(), rng=Rng(1), label=label)
        assert doubt(x, law / law.sum()) > 1e-4
    inner = Exact(plain, masking(K), [strong])
    part = ClassifierFree(inner, 2.5, interval=(1.0, math.inf))  # σ/α = t/(1 − t) for tokens: above t = ½
    x, label, times = torch.full((4, 3), K), label[:4], as_time([0.3, 0.4, 0.6, 0.7])
    got = part(x, times, label=label).log_probs
    own = inner(x, times, label=label).log_probs
    strong = ClassifierFree(inner, 2.5)(x, times, label=label).log_probs
    torch.testing.assert_close(got, torch.cat([own[:2], strong[2:]]))


def test_guidance_never_draws_what_the_class_rules_out():
    """With two beliefs that are sure of different things, on noise where all of them meet."""
    even = torch.full((K,) * 3, 1 / 27, dtype=torch.float64)
    only = torch.zeros_like(even)
    only[:2, :2, :2] = 1 / 8
    guided = ClassifierFree(Exact(even, uniform(K), [only]), 3.0)
    x = sample(guided, (500, 3), steps=8, solver=TauLeaping(), rng=Rng(0), label=torch.zeros(500, dtype=torch.int64))
    assert (x < 2).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Temperature(Believing(), 0.0), r"temperature must be above 0, got 0.0. .* TopK\(inner, 1\)"),
        (lambda: TopK(Believing(), 0), "must be at least 1, got 0"),
        (lambda: TopP(Believing(), 1.2), r"above 0 and at most 1 \(all\), got 1.2"),
    ],
)
def test_impossible_requests(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
