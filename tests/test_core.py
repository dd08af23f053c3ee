from __future__ import annotations

import pytest
import torch

from scorefield import Moments, Rng


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
