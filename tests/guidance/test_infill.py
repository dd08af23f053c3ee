from __future__ import annotations

import pytest
import torch

from scorefield import Rng, UserError, sample
from scorefield.analytic import Law, MarkovText
from scorefield.belief import Logits
from scorefield.core import as_time
from scorefield.guidance import Infilled, blanks, extended, prompt
from scorefield.noise import mask_and_replace, masking, uniform
from scorefield.solvers import TOKENS, Corrected, FirstHitting, MaskGIT, Remasking, named
from tests.solvers.token_laws import Exact, K, distance, doubt, random_law, variation

LAW = random_law()
KNOWN, WHERE = blanks([None, 2, None])
GIVEN = LAW[:, 2] / LAW[:, 2].sum()  # of the two blanks
N = 20_000


@pytest.mark.parametrize("solver", [FirstHitting(), MaskGIT("margin")], ids=str)
def test_blanks_are_filled_by_the_exact_conditional_law(solver):
    """Masking noise and two steps, one a blank; false alarms 1e-4. What is known costs no step."""
    denoiser = Exact(LAW, masking(K))
    x = sample(Infilled(denoiser, KNOWN, WHERE), (N, 3), steps=2, solver=solver, rng=Rng(1))
    assert (x[:, 1] == 2).all() and doubt(x[:, [0, 2]], GIVEN) > 1e-4
    assert denoiser.calls <= (4 if solver == FirstHitting() else 2)


@pytest.mark.parametrize(
    "solver", [named("ancestral"), named("tau-leaping"), Remasking(1.0, "rate"), Corrected()], ids=str
)
def test_the_conditional_law_is_the_limit_of_every_solver_on_masks(solver):
    """32 steps: near the law, as seen from what two independent sites are off; 10,000 samples blur by 0.012."""
    x = sample(Infilled(Exact(LAW, masking(K)), KNOWN, WHERE), (10_000, 3), steps=32, solver=solver, rng=Rng(1))
    apart = distance(GIVEN.sum(1, keepdim=True) * GIVEN.sum(0), GIVEN)
    assert (x[:, 1] == 2).all() and variation(x[:, [0, 2]], GIVEN) < 0.016 + apart / 8


@pytest.mark.parametrize("noise", [uniform(K), mask_and_replace(K, 0.6, 0.4), masking(K)], ids=str)
@pytest.mark.parametrize("name", ["ancestral", "tau-leaping", "discrete-flow", "analytic", "corrected"])
def test_what_is_known_is_there_at_the_end_on_any_noise(name, noise):
    x = sample(Infilled(Exact(LAW, noise), KNOWN, WHERE), (200, 3), steps=12, solver=named(name), seed=0)
    assert (x[:, 1] == 2).all() and (x < K).all()


def test_a_prompt_counts_from_the_first_step():
    """At t = 1, where masks are due, the exact beliefs of ``Law`` and of a chain take what is shown for true."""
    x, one = Infilled(Exact(LAW, masking(K)), KNOWN, WHERE).shown(torch.full((1, 3), K)), as_time(1.0)
    for law in (Law(LAW), MarkovText(Chain.matrix, 3)):
        denoiser = law.denoiser(masking(K))
        torch.testing.assert_close(denoiser(x, one).probs, denoiser(x, as_time(0.5)).probs)


class Noised(Infilled):
    """What is known is shown at the level of noise, by its own exact bridge (replacement, as RePaint has it)."""

    process = property(lambda self: self.inner.process)

    def shown(self, x):
        return x


def test_on_uniform_noise_infilling_is_approximate_better_than_replacement_and_mended_by_gibbs():
    """16 steps: seen are 0.13, against 0.16 by replacement and 0.05 with three Gibbs moves a step; 10,000 samples blur
    a distance by 0.01."""
    exact = Exact(LAW, uniform(K))
    plain, replaced, mended = (
        variation(sample(denoiser, (10_000, 3), steps=16, solver=solver, rng=Rng(1))[:, [0, 2]], GIVEN)
        for denoiser, solver in (
            (Infilled(exact, KNOWN, WHERE), named("ancestral")),
            (Noised(exact, KNOWN, WHERE), named("ancestral")),
            (Infilled(exact, KNOWN, WHERE), Corrected(moves=3)),
        )
    )
    assert plain < 0.9 * replaced and mended < 0.5 * plain, (plain, replaced, mended)


def test_rows_have_their_own_prompts_and_do_not_see_each_other():
    known, where = (
        torch.tensor([[0, 1, 2], [2, 0, 0], [1, 1, 0]]),
        torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0]]).bool(),
    )
    for name in [name for name in TOKENS if TOKENS[name].noise != "uniform"]:
        how = {"steps": 6, "solver": named(name)}
        whole = sample(Infilled(Exact(LAW, masking(K)), known, where), (3, 3), seed=5, **how)
        assert torch.equal(whole[where], known[where])
        part = sample(Infilled(Exact(LAW, masking(K)), known[1:2], where[1:2]), (1, 3), rng=Rng.each(5, [1]), **how)
        assert torch.equal(part, whole[1:2])


class Chain:
    """The exact belief of windows of a stationary Markov chain of order one, under masking noise."""

    process = masking(K)
    matrix = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.1, 0.4]], dtype=torch.float64)

    def __init__(self):
        self.start = torch.linalg.matrix_power(self.matrix, 200)[0]

    def law(self, length):
        p = self.start
        for _ in range(length - 1):
            p = p[..., None] * self.matrix
        return p

    def __call__(self, x, t):
        return Exact(self.law(x.shape[1]), self.process)(x, t)


@pytest.mark.parametrize(("window", "overlap"), [(3, 1), (4, 2)])
def test_a_chain_is_extended_beyond_the_window_by_its_own_law(window, overlap):
    """Five tokens in windows of three and four, from one token that is given: p(x₂ … x₅ | x₁), exactly."""
    chain, rng = Chain(), Rng(3)

    def draw(known, where):
        return sample(Infilled(chain, known, where), tuple(known.shape), steps=1, solver=FirstHitting(), rng=rng)

    x = extended(draw, torch.full((N, 1), 1), 5, window, overlap)
    law = torch.zeros(K, K, K, K, K, dtype=torch.float64)
    law[1] = chain.law(5)[1] / chain.start[1]
    assert x.shape == (N, 5) and doubt(x, law) > 1e-4


def test_an_extension_begins_anywhere_and_needs_no_start():
    def draw(known, where):
        assert known.shape == where.shape == (2, 4)
        return torch.where(where, known, 7)

    start = torch.arange(12).view(2, 6)
    assert torch.equal(extended(draw, start, 5, 4), start[:, :5])
    assert extended(draw, start, 9, 4)[:, 6:].tolist() == [[7] * 3] * 2
    assert extended(draw, start[:, :0], 9, 4, 0).tolist() == [[7] * 9] * 2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Infilled(Exact(LAW, masking(K)), KNOWN, WHERE[:, :2]), "bool of the same shape"),
        (lambda: Infilled(Exact(LAW, masking(K)), KNOWN.int(), WHERE), r"known, int64 \(B, \*D\)"),
        (lambda: Infilled(Exact(LAW, masking(K)), *blanks([None, 3, None])), "numbers from 0 to 2, got 3 to 3"),
        (lambda: prompt(torch.zeros(1, 5, dtype=torch.int64), 4), "a prompt of 5 tokens does not fit into 4"),
        (
            lambda: extended(lambda known, where: known, torch.zeros(1, 1).long(), 9, 4, 4),
            "share 0 to 3, got overlap=4",
        ),
    ],
)
def test_impossible_requests(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_a_belief_keeps_what_is_known_and_the_rest_as_it_was():
    class Even:
        process = uniform(K)

        def __call__(self, x, t):
            return Logits(torch.zeros(*x.shape, K))

    belief = Infilled(Even(), KNOWN, WHERE)(torch.zeros(4, 3, dtype=torch.int64), torch.tensor(0.5))
    assert belief.probs[:, 1].tolist() == [[0.0, 0.0, 1.0]] * 4
    torch.testing.assert_close(belief.probs[:, 0], torch.full((4, K), 1 / 3))
