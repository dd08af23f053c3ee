"""Numbers and tokens together, against a law of which everything is known."""

from __future__ import annotations

import pytest
import torch

from scorefield import Law, Rng, UserError, sample
from scorefield.analytic import GaussianMixture, MixedLaw
from scorefield.belief import Moments, Pair
from scorefield.core import as_time
from scorefield.noise import EDM, Flow, Gaussian, Product, masking, uniform
from scorefield.registry import from_config, to_config
from scorefield.solvers import Ancestral, InTurn

N = 20_000
PROCESS = Product(Gaussian(Flow()), masking(3), 2)


def law(length: int = 1) -> MixedLaw:
    """Three values a site, as likely as 1, 4, 9 … of their sum; two numbers around a mean that the tokens choose."""
    probs = torch.arange(1, 3**length + 1, dtype=torch.float64).square()
    rows = torch.arange(3**length, dtype=torch.float64)
    return MixedLaw(
        Law((probs / probs.sum()).view(*[3] * length)), torch.stack([rows - 1, (2 * rows).sin()], 1), std=0.5
    )


def agrees(x: torch.Tensor, truth: MixedLaw, process: Product, t: float) -> None:
    """x (N, D) against p_t: counts of the tokens and, given those, mean and variance of each number, all within 5
    standard errors: a false alarm in 10⁶ for each of about thirty."""
    points, probs = truth.tokens.support
    own, (numbers, tokens) = process.clocks(as_time(t)), process.split(x)
    alpha, sigma = (float(c) for c in process.numbers.schedule(own.numbers))
    states = torch.cartesian_prod(*[torch.arange(4)] * points.shape[1]).view(-1, points.shape[1])
    likely = process.tokens.log_likelihood(states, own.tokens).exp()  # (S, L, K)
    joint = torch.stack([likely[:, j][:, points[:, j]] for j in range(points.shape[1])]).prod(0) * probs  # (S, rows)
    for state, row in zip(states, joint, strict=True):
        here, p = (tokens == state).all(1), float(row.sum())
        assert abs(here.double().mean() - p) < 5 * (p * (1 - p) / N) ** 0.5 + 1e-12
        if here.sum() < 200:
            continue
        weight = row / row.sum()
        means = alpha * truth.means
        mean = weight @ means
        var = alpha**2 * truth.std**2 + sigma**2 + weight @ (means - mean) ** 2
        found, count = numbers[here], int(here.sum())
        assert ((found.mean(0) - mean).abs() < 5 * (var / count).sqrt()).all()
        spread = (found - mean).square()
        assert ((spread.mean(0) - var).abs() < 5 * spread.std(0) / count**0.5).all()


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.8), (0.9, 0.6), (0.9, 0.5), (0.5, 0.2), (0.4, 0.1), (0.3, 0.0)])
def test_reverse_with_the_exact_belief_carries_p_t_to_p_s(t: float, s: float):
    """A single token moves exactly, and so do numbers that are Gaussian once the token is known."""
    truth = law()
    x = PROCESS.corrupt(truth.sample(N, Rng(0)), as_time(t), Rng(1))
    agrees(x, truth, PROCESS, t)
    belief = truth.denoiser(PROCESS)(x, as_time(t))
    agrees(PROCESS.reverse(x, belief, as_time(t), as_time(s), Rng(2)), truth, PROCESS, s)


@pytest.mark.parametrize("times", [[1.0, 0.5, 0.0], [1.0, 0.0], [1.0, 0.7, 0.25, 0.0]], ids=str)
def test_in_turn_is_exact_on_every_grid(times: list[float]):
    """First-hitting for two tokens that depend on each other, then one exact step for the numbers."""
    truth = law(2)
    denoiser = truth.denoiser(PROCESS)
    x = sample(denoiser, (N, 4), times=times, solver=InTurn(Ancestral()), rng=Rng(0), dtype=torch.float64)
    agrees(x, truth, PROCESS, 0.0)


def test_the_usual_sampler_comes_near():
    """50 deterministic steps for the numbers, whose law must agree to sampling noise."""
    truth = law(2)
    x = sample(truth.denoiser(PROCESS), (N, 4), steps=50, rng=Rng(0), dtype=torch.float64)
    agrees(x, truth, PROCESS, 0.0)


def test_independent_parts_are_the_parts():
    """Each part is destroyed and restored by its own process, with its own belief and the same draws."""
    numbers, tokens = Gaussian(EDM()), uniform(4)
    process = Product(numbers, tokens, 2)
    x0 = torch.cat([torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), torch.arange(50)[:, None] % 4.0], 1)
    normal = GaussianMixture.isotropic(torch.zeros(1, 2), 1.0).denoiser(numbers)
    categories = Law(torch.full((4,), 0.25).double()).denoiser(tokens)
    low, high = as_time(0.2), as_time(0.3)
    x = process.corrupt(x0, high, Rng(1))
    assert torch.equal(x[:, :2], numbers.corrupt(x0[:, :2], 2 * high, Rng(1))) and torch.equal(x[:, 2], x0[:, 2])
    belief = Pair(normal(x[:, :2], 2 * high), categories(x[:, 2:].long(), as_time(0.0)))
    back = process.reverse(x, belief, high, low, Rng(2))
    assert torch.equal(back[:, :2], numbers.reverse(x[:, :2], belief.numbers, 2 * high, 2 * low, Rng(2)))
    low, high = as_time(0.6), as_time(0.75)
    x = torch.cat([x0[:, :2], tokens.corrupt(x0[:, 2:].long(), as_time(0.5), Rng(3)).to(x0)], 1)
    belief = Pair(Moments(x[:, :2]), categories(x[:, 2:].long(), as_time(0.5)))
    back = process.reverse(x, belief, high, low, Rng(4))
    own = tokens.reverse(x[:, 2:].long(), belief.tokens, as_time(0.5), 2 * low - 1, Rng(4))
    assert torch.equal(back[:, 2:].long(), own) and torch.equal(back[:, :2], x[:, :2])


def test_going_up_again_composes_with_going_up():
    truth = law()
    for s, t in ((0.2, 0.4), (0.3, 0.8), (0.6, 0.9)):
        x = PROCESS.corrupt(truth.sample(N, Rng(0)), as_time(s), Rng(1))
        agrees(PROCESS.renoise(x, as_time(s), as_time(t), Rng(2)), truth, PROCESS, t)


def test_clocks_time_and_config():
    t = as_time([0.0, 0.2, 0.5, 0.7, 1.0])
    own = PROCESS.clocks(t)
    assert own.numbers.tolist() == [0, 0.4, 1, 1, 1] and own.tokens.tolist() == pytest.approx([0, 0, 0, 0.4, 1])
    assert PROCESS.when_numbers(as_time(0.4)) == 0.2 and PROCESS.when_tokens(as_time(0.4)) == 0.7
    assert from_config(to_config(PROCESS), "process") == PROCESS
    assert PROCESS.weight(t[1:2]) == PROCESS.numbers.weight(as_time(0.4))
    with pytest.raises(UserError, match="columns"):
        Product(Gaussian(Flow()), masking(3), -1)
    with pytest.raises(UserError, match="possible sequences"):
        MixedLaw(Law(torch.full((2,), 0.5)), torch.zeros(3, 1), 1.0)
