"""Correctors leave the noised law as it is; SUNDAE's sampler does what it says, and no more."""

from __future__ import annotations

import pytest
import torch

from scorefield import Rng, UserError, sample
from scorefield.analytic import Law
from scorefield.belief import Logits
from scorefield.core import as_time
from scorefield.noise import Markov, Neighbours, mask_and_replace, masking, uniform
from scorefield.sampling import trajectory
from scorefield.solvers import Ancestral, Corrected, Gibbs, Sundae, Uniform, UpDown, named
from tests.solvers.token_laws import Exact, K, counts, doubt, index, noised, random_law, states, variation

LAW = random_law()
NOISES = {"uniform": uniform(K), "masking": masking(K), "mixed": mask_and_replace(K, 0.6, 0.4)}
T = as_time(0.4)


def drawn(law, n):
    """Exact samples of a law (S,)·L, (n, L); the seed is no other's here, or draws would follow each other."""
    rows = torch.multinomial(law.flatten(), n, True, generator=torch.Generator().manual_seed(987))
    return states(law.shape[0], law.ndim)[rows]


@pytest.mark.parametrize("noise", NOISES)
def test_gibbs_keeps_the_noised_law_exactly(noise):
    """From p_t, after five moves, p_t (false alarms 1e-4); and each move costs one evaluation and moves one site."""
    process = NOISES[noise]
    law, denoiser, rng = noised(LAW, process, T), Exact(LAW, process), Rng(1)
    before = x = drawn(law, 40_000)
    for moves in range(1, 6):
        x, last = Gibbs().move(denoiser, x, T, rng), x
        assert denoiser.calls == moves and ((x != last).sum(1) <= 1).all()
    assert doubt(before, law) > 1e-4 and doubt(x, law) > 1e-4
    assert (x != before).any(1).double().mean() > 0.5


def test_gibbs_keeps_the_law_of_general_transitions_and_solvers_walk_there():
    """Steps to neighbouring values: the exact belief is that of ``Law``; the flow, which needs a redraw, says so."""
    process, rng = Markov(Neighbours(K)), Rng(1)
    denoiser = Law(LAW).denoiser(process)
    x = Law(LAW).sample(40_000, Rng(2))
    x = process.corrupt(x, T, Rng(3))
    seen = counts(x, K)
    step = process.log_likelihood(torch.arange(K)[None], T)[0].exp()  # (x_t, x₀)
    law = torch.einsum("ijk,ai,bj,ck->abc", LAW, step, step, step)
    for _ in range(3):
        x = Gibbs().move(denoiser, x, T, rng)
    assert doubt(x, law) > 1e-4 and not torch.equal(counts(x, K), seen)
    for name in ("ancestral", "tau-leaping", "analytic", "corrected"):
        assert variation(sample(denoiser, (4000, 3), steps=24, solver=named(name), rng=Rng(4)), LAW) < 0.07
    with pytest.raises(UserError, match="DiscreteFlow needs noise that redraws a token whatever it was, and Markov"):
        sample(denoiser, (2, 3), solver=named("discrete-flow"))


def test_gibbs_on_masks_draws_a_token_given_all_others_and_keeps_their_number():
    """From a wrong law it moves to the right one: one site of {0, 1, 2}³ redrawn is the conditional law, exactly."""
    x = Gibbs().move(Exact(LAW, masking(K)), torch.zeros(30_000, 3, dtype=torch.int64), as_time(0.1), Rng(0))
    expected = torch.zeros_like(LAW)
    for law, line in (
        (LAW[:, 0, 0], expected[:, 0, 0]),
        (LAW[0, :, 0], expected[0, :, 0]),
        (LAW[0, 0], expected[0, 0]),
    ):
        line += law / law.sum() / 3
    assert doubt(x, expected) > 1e-4
    masked = drawn(noised(LAW, masking(K), T), 1000)
    assert ((Gibbs(2).move(Exact(LAW, masking(K)), masked, T, Rng(0)) == K) == (masked == K)).all()


def test_two_sites_at_once_are_not_exact():
    law = noised(LAW, uniform(K), T)
    assert doubt(Gibbs(3).move(Exact(LAW, uniform(K)), drawn(law, 100_000), T, Rng(0)), law) < 1e-6


@pytest.mark.parametrize("noise", NOISES)
def test_up_and_down_keeps_the_noised_law_where_one_step_is_exact(noise):
    """One site: exact at every size. Three sites: an error that falls with the size."""
    process = NOISES[noise]
    one = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    law = noised(one, process, T)
    x = UpDown(0.5).move(Exact(one, process), drawn(law, 40_000), T, Rng(0))
    assert doubt(x, law) > 1e-4
    law = noised(LAW, process, T)
    small = UpDown(0.05).move(Exact(LAW, process), drawn(law, 40_000), T, Rng(0))
    assert variation(small, law) < 0.016  # 40,000 exact samples of 64 states: 0.015
    if noise == "masking":
        assert variation(UpDown(0.9).move(Exact(LAW, process), drawn(law, 40_000), T, Rng(0)), law) > 0.02


@pytest.mark.parametrize(("noise", "gain"), [("uniform", 0.7), ("masking", 0.8)])
def test_a_corrected_walk_is_nearer_to_the_data(noise, gain):
    """In eight steps, with three moves in each: at least this much nearer (0.5 and 0.6 seen; 20,000 samples blur a
    distance by 0.015, so the coarse grid). t = 1 needs none, so the evaluations are 8 + 7 · 3."""
    process = NOISES[noise]
    plain, corrected = Exact(LAW, process), Exact(LAW, process)
    far = variation(sample(plain, (20_000, 3), steps=8, solver=Ancestral(), rng=Rng(0)), LAW)
    near = variation(sample(corrected, (20_000, 3), steps=8, solver=Corrected(moves=3), rng=Rng(0)), LAW)
    assert near < gain * far and corrected.calls == 8 + 7 * 3, (near, far)


def test_sundae_stops_where_nothing_changes_and_asks_no_more():
    """A belief that is sure: the first steps write it, and the step that finds it everywhere is the last evaluation."""
    target = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]])

    class Sure:
        process, calls = uniform(K), 0

        def __call__(self, x, t):
            self.calls += 1
            return Logits(torch.nn.functional.one_hot(target, K).double().log())

    denoiser = Sure()
    walk = list(trajectory(denoiser, 2 - target, Uniform()(uniform(K), 200), solver=Sundae(0.5), rng=Rng(0)))
    assert torch.equal(walk[-1].x, target) and denoiser.calls < 30
    one = next(trajectory(Sure(), 2 - target, [1.0, 0.0], solver=Sundae(0.25, "unsure"), rng=Rng(0)))
    assert torch.equal(one.x, 2 - target)
    *_, one = trajectory(Sure(), torch.full_like(target, 1), [1.0, 0.0], solver=Sundae(0.5, "unsure"), rng=Rng(0))
    assert ((one.x != 1).sum(1) <= 2).all()


def test_a_fixed_example_stays_as_it_is():
    """The first is fixed from the beginning; the second is with 3⁻¹² a step."""

    class Restless:
        process = uniform(K)

        def __call__(self, x, t):
            logits = torch.zeros(2, 12, K, dtype=torch.float64)
            logits[0] = torch.tensor([0.0, -torch.inf, -torch.inf])
            return Logits(logits)

    x = torch.zeros(2, 12, dtype=torch.int64)
    walk = [step.x for step in trajectory(Restless(), x, Uniform()(uniform(K), 30), solver=Sundae(), rng=Rng(0))]
    assert all((state[0] == 0).all() for state in walk) and len({tuple(s[1].tolist()) for s in walk}) > 10


def test_the_law_of_sundae_is_not_that_of_the_data():
    """Reference: quantify it. The exact belief of a fully noised sequence knows nothing of it; asked at every level
    alike (here that of corruption rates uniform on [0, 1], the optimum of SUNDAE's first term), updating one site in
    three for 40 steps, the samples lie at a total variation of 0.05 to 0.25 from the data: a number to watch."""
    exact = Exact(LAW, uniform(K))
    every, levels = states(K, 3), as_time([(i + 0.5) / 64 for i in range(64)])
    blind = torch.zeros(27, 3, K, dtype=torch.float64)
    for t in levels:
        p = noised(LAW, uniform(K), t).flatten()
        blind += p[:, None, None] * exact.posterior(every, t, None)
    blind = blind / blind.sum(-1, keepdim=True)

    class Blind:
        process = uniform(K)

        def __call__(self, x, t):
            return Logits(blind[index(x, K)].log())

    x = sample(Blind(), (20_000, 3), steps=40, solver=Sundae(1 / 3), rng=Rng(0))
    start = sample(Blind(), (20_000, 3), steps=1, solver=Sundae(1e-9), rng=Rng(0))
    assert 0.05 < variation(x, LAW) < 0.25 < variation(start, LAW), (variation(x, LAW), variation(start, LAW))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Gibbs(0), "at least 1 site again, got sites=0"),
        (lambda: UpDown(1.0), "a share of noise between 0 and 1, got size=1.0"),
        (lambda: Corrected(moves=0), "moves of the corrector must be at least 1, got 0. Use the predictor alone"),
        (lambda: Sundae(0.0), "above 0 and at most 1, got 0.0"),
        (lambda: Sundae(choice="unsur"), "no choice of positions is called 'unsur'. Did you mean 'unsure'"),
    ],
)
def test_impossible_requests(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
