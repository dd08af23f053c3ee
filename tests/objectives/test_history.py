"""Times by what was seen of the loss: unbiased whatever was seen, and of no variance where the loss is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from scorefield import Elbo, Law, Rng, UserError
from scorefield.noise import uniform
from scorefield.objectives import ByHistory
from scorefield.objectives.denoising import Look
from scorefield.objectives.history import Slices
from scorefield.registry import from_config, to_config


@dataclass(frozen=True)
class Known:
    """An objective whose loss is a function of the time alone: 1, 4, 9, 16 in the four quarters."""

    times: Any = None
    label_dropout: float = 0.0

    def look(self, process, x0, rng):
        return Look(x0, *rng.over_batch(lambda u: self.times(u, process), torch.empty(len(x0), dtype=torch.float64)))

    def judged(self, process, look, x0, belief):
        return (4 * look.t).ceil().square()


class Nothing:
    process = None

    def __call__(self, x, t, **cond):
        return None


def test_losses_that_are_known_become_one_number() -> None:
    """p ∝ L: the loss over p is the mean at every time, Σ L/4 = 7.5, so that one example says all. Before each quarter
    has more than ten observations, times are uniform."""
    loss = ByHistory(Known(), 4, uniform=0.0)
    first = loss(Nothing(), torch.zeros(32, 1), Rng(0))
    assert set(first.tolist()) == {1.0, 4.0, 9.0, 16.0} and loss.counts.tolist() == [8] * 4  # strata: eight of each
    loss(Nothing(), torch.zeros(32, 1), Rng(1))
    torch.testing.assert_close(loss.law, torch.tensor([1.0, 4.0, 9.0, 16.0]).double() / 30)
    torch.testing.assert_close(loss(Nothing(), torch.zeros(32, 1), Rng(2)).double(), torch.full((32,), 7.5).double())
    told = loss.counts.clone()
    loss.eval()(Nothing(), torch.zeros(32, 1), Rng(3))
    assert torch.equal(loss.counts, told)  # only training remembers
    again = ByHistory(Known(), 4, uniform=0.0)
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.law, loss.law)


def test_slices_are_drawn_as_often_as_they_should() -> None:
    """The quantiles of a law of three slices, at 3,000 even numbers: to one of them; inside a slice times are even."""
    law = Slices(torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64))
    t, correction = law((torch.arange(3000).double() + 0.5) / 3000, None)
    which = (3 * t).ceil().long() - 1
    assert torch.bincount(which).tolist() == pytest.approx([1500, 600, 900], abs=1)
    torch.testing.assert_close(correction, (1 / (3 * law.p))[which])
    inside = t[which == 0].sort().values
    torch.testing.assert_close(inside, (torch.arange(len(inside)).double() + 0.5) / len(inside) / 3, rtol=0, atol=1e-3)


@pytest.mark.parametrize("steps", [None, 8])
def test_the_bound_stays_the_bound(steps: int | None) -> None:
    """With the exact belief, before and after something was remembered: within five standard errors of what uniform
    times say (false alarms 6e-7 each)."""
    weights = torch.arange(1, 28, dtype=torch.float64).sin().square() ** 3
    law = Law((weights / weights.sum()).view(3, 3, 3))
    exact, x0 = law.denoiser(uniform(3)), law.sample(8000, Rng(0))
    plain = Elbo(steps=steps, label_dropout=0.0)
    loss, flat = ByHistory(plain, 8), plain(exact, x0, Rng(1))
    for seed in (2, 3, 4):
        seen = loss(exact, x0, Rng(seed))
        spread = (seen.std() ** 2 + flat.std() ** 2).sqrt() / 8000**0.5
        assert abs(seen.mean() - flat.mean()) < 5 * spread
    assert loss.law.max() > 1.5 * loss.law.min()


def test_it_is_a_config() -> None:
    made = from_config({"type": "by-history", "inner": {"type": "elbo", "steps": 8}, "bins": 8}, "objective")
    assert made.inner.steps == 8 and to_config(made)["bins"] == 8
    with pytest.raises(UserError, match="by-history needs bins ≥ 1"):
        ByHistory(bins=0)
