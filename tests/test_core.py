from __future__ import annotations

import pytest
import torch

from scorefield import Logits, Moments, Rng
from scorefield.core import quantile


def test_each_example_has_its_own_numbers():
    whole = Rng.each(3, range(5))
    draws = [whole.normal(torch.empty(5, 2, 3)), whole.uniform(torch.empty(5)), whole.integers(9, torch.empty(5, 4))]
    part = Rng.each(3, [4, 1])
    for full, like in zip(draws, (torch.empty(2, 2, 3), torch.empty(2), None), strict=True):
        got = (
            part.integers(9, torch.empty(2, 4))
            if like is None
            else (part.uniform if like.ndim == 1 else part.normal)(like)
        )
        assert torch.equal(got, full[[4, 1]])
    with pytest.raises(ValueError, match="holds 2 seeds, one per example; got 3 examples"):
        part.normal(torch.empty(3, 1))


def test_folded_seeds_do_not_collide():
    """100,000 neighbouring pairs give 63-bit seeds: a collision of a random function has probability 5e-10."""
    seeds = {Rng.fold(a, b) for a in range(400) for b in range(250)}
    assert len(seeds) == 100_000 and all(0 <= s < 2**63 for s in seeds)
    assert Rng.fold(1, 2) != Rng.fold(2, 1) != Rng.fold(1, 2, 0)
    assert Rng.fold(0) == Rng.fold(0)


def test_folded_bits_are_fair():
    """Each of 63 bits over 20,000 consecutive seeds: 5.5 sd of a fair coin, false alarm 63 · 4e-8."""
    seeds = [Rng.fold(7, i) for i in range(20_000)]
    for bit in range(63):
        ones = sum(s >> bit & 1 for s in seeds)
        assert abs(ones - 10_000) < 5.5 * (20_000 / 4) ** 0.5


def test_moments_lerp_and_error():
    a, b = Moments(torch.zeros(2, 3)), Moments(torch.ones(2, 3), torch.ones(1))
    assert torch.equal(a.lerp(b, 3.0).mean, torch.full((2, 3), 3.0)) and a.lerp(b, 3.0).var is b.var
    assert a.error(torch.ones(2, 3)).tolist() == [3.0, 3.0]


def test_categories_are_drawn_by_the_inverse_distribution_function():
    """The quantiles of a regular grid of 10⁶ numbers are counts of p · 10⁶ to one, a billionth is met in its billionth,
    and a category of probability 0 never, whatever the number."""
    p = torch.tensor([0.0, 0.2, 0.0, 0.3, 0.5, 0.0])
    u = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    counts = quantile((p.log() + 7).expand(len(u), -1), u).bincount(minlength=6)  # need not be normalised
    assert (counts - 1e6 * p).abs().max() <= 1
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert quantile(p.log().expand(2, -1), ends).tolist() == [1, 4]
    rare = torch.tensor([1 - 1e-9, 1e-9]).log()
    near = torch.tensor([1 - 1.01e-9, 1 - 0.99e-9], dtype=torch.float64)
    assert quantile(rare.expand(2, -1), near).tolist() == [0, 1]


def test_each_example_has_its_own_categories():
    log_probs = torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(0))
    whole = Rng.each(3, range(5)).categorical(log_probs)
    assert whole.dtype == torch.int64 and torch.equal(Rng.each(3, [4, 1]).categorical(log_probs[[4, 1]]), whole[[4, 1]])
    assert Rng(0).categorical(log_probs[0, 0]).shape == ()


def test_logits_lerp_and_error():
    draw = torch.Generator().manual_seed(0)
    a, b = (Logits(torch.randn(2, 3, 4, dtype=torch.float64, generator=draw)) for _ in range(2))
    mixed = a.lerp(b, 2.5).probs
    by_hand = b.probs**2.5 * a.probs**-1.5
    torch.testing.assert_close(mixed, by_hand / by_hand.sum(-1, keepdim=True))
    x0 = torch.tensor([[0, 1, 2], [3, 3, 3]])
    torch.testing.assert_close(a.error(x0), -a.probs.gather(-1, x0[..., None]).log().sum((1, 2)))
    # what one of them rules out
    a, b = (Logits(torch.tensor([[p]]).log()) for p in ([0.5, 0.5, 0.0], [0.5, 0.0, 0.5]))
    for weight, want in ((0.0, [0.5, 0.5, 0]), (0.5, [1, 0, 0]), (1.0, [0.5, 0, 0.5]), (3.0, [0.5, 0, 0.5])):
        torch.testing.assert_close(a.lerp(b, weight).probs, torch.tensor([[want]]).float())
