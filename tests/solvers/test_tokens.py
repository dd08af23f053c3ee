"""Samplers of tokens against exact laws: what each draws in a few steps, and how fast it comes to the data.

The exact law of a sampler is that of a chain on all states, whose steps move the sites independently; ``SITES`` says
with what probabilities, from the definitions. So orders and distances have no noise, and χ² holds the code to the law.
"""

from __future__ import annotations

import itertools
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from scorefield import Rng, UserError, sample
from scorefield.belief import Logits
from scorefield.core import as_time
from scorefield.noise import VP, Gaussian, mask_and_replace, masking, uniform
from scorefield.noise.keep import Cosine
from scorefield.solvers import TOKENS, Analytic, Ancestral, Cached, DiscreteFlow, Remasking, TauLeaping, Uniform, named
from tests.solvers.token_laws import Exact, K, distance, doubt, index, noised, random_law, states

LAW = random_law()
NOISES = {"uniform": uniform(K), "masking": masking(K), "mixed": mask_and_replace(K, 0.6, 0.4)}


def bridge(process, x, belief, t, s):
    return process.bridge(x, belief, t, s)


def leap(rule):
    def site(process, x, belief, t, s):
        if t == 1 or s == 0:
            return process.bridge(x, belief, t, s)
        rates = (t - s) * process.rates(x, belief, t)
        total = rates.sum(-1, keepdim=True)
        law = torch.where(total > 0, rule(total) * rates / total, 0.0)
        return law.scatter_add(-1, x[..., None], 1 - law.sum(-1, keepdim=True))

    return site


def flow(eta):
    def site(process, x, belief, t, s):
        a_t, a_s = process.keep(t), process.keep(s)
        a_u = min(1.0, a_s * math.exp(eta * (a_s - a_t)))
        law = torch.nn.functional.one_hot(x, process.states).double()
        to = torch.cat([belief.probs, belief.probs.new_zeros(*x.shape, process.states - K)], -1)
        moves = (x == process.mask)[..., None] if process.masked == 1 else torch.ones_like(law, dtype=torch.bool)
        law = torch.where(moves, law + (a_u - a_t) / (1 - a_t) * (to - law), law)
        return law + (1 - a_s / a_u) * (process.redraw - law) if a_u > a_s else law

    return site


def again(eta):
    """ReMDM's posterior at σ = η (α_s − α_t) within its bounds."""

    def site(process, x, belief, t, s):
        a_t, a_s = process.keep(t), process.keep(s)
        sigma = min(eta * (a_s - a_t), 1, (1 - a_s) / a_t) if a_t > 0 else 0
        shown = torch.cat([belief.probs * (a_s - (1 - sigma) * a_t), (1 - a_s - sigma * a_t).expand(*x.shape, 1)], -1)
        known = torch.nn.functional.one_hot(x, process.states).double() * (1 - sigma)
        known[..., process.mask] += sigma
        return torch.where((x == process.mask)[..., None], shown / (1 - a_t), known)

    return site


SITES = {  # (noise, solver): what a site does in a step
    **{(noise, Ancestral()): bridge for noise in NOISES},
    **{(noise, Analytic()): bridge for noise in NOISES},
    **{(noise, TauLeaping()): leap(lambda n: 1 - torch.exp(-n)) for noise in NOISES},
    ("uniform", TauLeaping("euler")): leap(lambda n: n.clamp(max=1)),
    ("masking", TauLeaping("poisson")): leap(lambda n: n * torch.exp(-n)),
    **{(noise, DiscreteFlow()): flow(0.0) for noise in NOISES},
    **{(noise, DiscreteFlow(2.0)): flow(2.0) for noise in ("uniform", "masking")},
    ("masking", Remasking(2.0, "rate")): again(2.0),
}


def chain(process, steps, site, belief=Exact):
    """The law on {0 … K−1}³ after a walk, exactly."""
    every, p = states(process.states, 3), noised(LAW, process, 1.0).flatten()
    denoiser, times = belief(LAW, process), Uniform()(process, steps)
    for t, s in pairwise(times):
        a, b, c = site(process, every, denoiser(every, t), t, s).unbind(1)
        p = p @ torch.einsum("ni,nj,nk->nijk", a, b, c).flatten(1)
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    return p.view((process.states,) * 3)[:K, :K, :K]


@pytest.mark.parametrize(("noise", "solver"), SITES, ids=str)
def test_a_sampler_draws_what_its_definition_says(noise, solver):
    """20,000 walks of three steps against the exact law of the chain; false alarms 1e-4 a test, 2e-3 over all."""
    law = chain(NOISES[noise], 3, SITES[noise, solver])
    x = sample(Exact(LAW, NOISES[noise]), (20_000, 3), steps=3, grid=Uniform(), solver=solver, rng=Rng(3))
    assert x.dtype == torch.int64 and doubt(x, law) > 1e-4


@pytest.mark.parametrize(
    ("few", "ratio", "near"), [(16, 2.6, 0.015), pytest.param(64, 3.4, 0.005, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("noise", "solver"), SITES, ids=str)
def test_four_times_the_steps_come_nearer_at_first_order(noise, solver, few, ratio, near):
    """Total variation to the data at n and 4n steps, exactly: what is drawn as if independent errs by O(1/n), so the
    ratio tends to 4."""
    far, nearer = (distance(chain(NOISES[noise], n, SITES[noise, solver]), LAW) for n in (few, 4 * few))
    assert nearer < far / ratio and nearer < near, (far, nearer)


class Hasty(Exact):
    """Exact where at most one site is masked; where more are it knows nothing: what a model learns last."""

    def posterior(self, x, t, label):
        exact = super().posterior(x, t, label)
        many = (x == self.process.mask).sum(1) > 1
        return torch.where(many[:, None, None], 1 / K, exact)


def test_fresh_noise_mends_wrong_beliefs_and_costs_exact_ones():
    """At 128 steps. A hasty model misplaces two tokens of three, and Ancestral never looks at them again; what is
    masked again is redrawn beside the others. With an exact belief more sites move in a step, which errs more."""
    process = NOISES["masking"]
    wrong, *mended = (distance(chain(process, 128, site, Hasty), LAW) for site in (bridge, flow(8.0), again(8.0)))
    exact, *noisy = (distance(chain(process, 128, site), LAW) for site in (bridge, flow(8.0), again(8.0)))
    assert wrong > 0.15 and max(mended) < 0.6 * wrong, (wrong, mended)
    assert exact < min(noisy)


def test_ancestral_has_the_distances_of_the_reference():
    """A random law of two sites; the reference's figures are from 200,000 samples, whose own share is 0.001."""
    table = torch.rand(K, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table = table / table.sum()
    for process, known in ((NOISES["uniform"], (0.033, 0.009, 0.003)), (NOISES["masking"], (0.024, 0.007, 0.004))):
        got = []
        for steps in (4, 16, 64):
            every, p = states(process.states, 2), noised(table, process, 1.0).flatten()
            for t, s in pairwise(Uniform()(process, steps)):
                a, b = process.bridge(every, Exact(table, process)(every, t), t, s).unbind(1)
                p = p @ torch.einsum("ni,nj->nij", a, b).flatten(1)
            got.append(distance(p.view(process.states, -1)[:K, :K], table))
        assert got == pytest.approx(known, abs=2.6e-3)  # exactly .0319 .0079 .0020 and .0242 .0061 .0015


def test_the_mixture_is_tweedies_step_of_sedd_and_the_product_ruins_an_exact_belief():
    """Lou et al. 2024, theorem 4.2, by matrix exponentials of the generator Q, from the exact ratios p_t(y)/p_t(x)."""
    process, (t, s) = uniform(K, Cosine()), as_time([0.7, 0.4])
    x = states(K, 3)
    p_t = noised(LAW, process, t)
    q = torch.full((K, K), 1 / K, dtype=torch.float64) - torch.eye(K)  # dp/dσ = p Q, σ = −log α
    back, forth = (torch.linalg.matrix_exp(sign * (process.keep(s) / process.keep(t)).log() * q) for sign in (-1, 1))
    got = process.bridge(x, Exact(LAW, process)(x, t), t, s)
    for site in range(3):
        ratio = torch.stack([p_t.flatten()[index(x.index_fill(1, torch.tensor(site), y), K)] for y in range(K)], -1)
        ratio = ratio / p_t.flatten()[:, None]
        tweedie = (ratio @ back) * forth[:, x[:, site]].T
        torch.testing.assert_close(got[:, site], tweedie, rtol=1e-10, atol=1e-12)
    few, many = (chain(NOISES["uniform"], n, lambda p, *state: p.bridge(*state, form="product")) for n in (4, 64))
    assert distance(few, LAW) > 0.15 and distance(many, LAW) > 0.15
    x = sample(Exact(LAW, NOISES["uniform"]), (20_000, 3), steps=4, solver=Analytic("product"), rng=Rng(0))
    assert doubt(x, few) > 1e-4


@pytest.mark.parametrize(
    ("steps", "rare", "solver"),
    [
        (1_000, 20_000, DiscreteFlow()),
        pytest.param(10_000, 2_000, DiscreteFlow(), marks=pytest.mark.slow),
        pytest.param(10_000, 2_000, Remasking(0.0), marks=pytest.mark.slow),
        pytest.param(10_000, 2_000, Ancestral(), marks=pytest.mark.slow),
    ],
)
def test_rare_tokens_keep_their_share_in_many_steps_of_float32(steps, rare, solver):
    """``rare`` tokens share half of the mass. A race of float32 exponentials would draw them 21 % of the time at these
    numbers of steps; the bound on 50 % is 5 standard errors at 800 sites, each its own draw (6e-7 false alarms)."""
    log_probs = torch.full((1, 800, rare + 1), math.log(0.5 / rare))
    log_probs[..., 0] = math.log(0.5)
    belief = Logits(log_probs)

    class Fixed:
        process = masking(rare + 1)

        def __call__(self, x, t):
            return belief

    x = sample(Fixed(), (1, 800), steps=steps, solver=solver, seed=2)
    assert abs((x > 0).double().mean().item() - 0.5) < 5 * 0.5 / 800**0.5
    assert (x <= rare).all()


def suited(name):
    """The noises that a named solver walks on."""
    return {"any": ["uniform", "masking"]}.get(TOKENS[name].noise, [TOKENS[name].noise])


@pytest.mark.parametrize(("name", "noise"), [(name, noise) for name in TOKENS for noise in suited(name)])
def test_example_i_of_a_seed_does_not_depend_on_its_batch(name, noise):
    denoiser = Exact(LAW, NOISES[noise])
    whole = sample(denoiser, (6, 3), steps=5, solver=named(name), seed=4)
    for rows in ([0], [5, 1], [2, 3, 4]):
        part = sample(denoiser, (len(rows), 3), steps=5, solver=named(name), rng=Rng.each(4, rows))
        assert torch.equal(part, whole[rows])


@pytest.mark.parametrize("name", [name for name in TOKENS if name != "ancestral"])
def test_a_solver_says_which_noise_it_needs(name):
    """Before any evaluation, on Gaussian noise and on the wrong noise of tokens."""

    class Unasked:
        def __init__(self, process):
            self.process = process

        def __call__(self, x, t):
            raise AssertionError("evaluated")

    with pytest.raises(UserError, match=r"walks over tokens, and Gaussian has none\. Use a process of tokens"):
        sample(Unasked(Gaussian(VP())), (2, 3), solver=named(name))
    wrong = {"masking": ["uniform", "mixed"], "uniform": ["masking", "mixed"]}.get(TOKENS[name].noise, [])
    for noise in wrong:
        with pytest.raises(UserError, match=r"needs noise that only masks|knows no mask"):
            sample(Unasked(NOISES[noise]), (2, 3), solver=named(name))


ROWS = {  # of the table of distances in docs/discrete.md
    "`ancestral`, `analytic`": (bridge, ("uniform", "masking")),
    "`tau-leaping`": (leap(lambda n: 1 - torch.exp(-n)), ("uniform", "masking")),
    "`discrete-flow`": (flow(0.0), ("uniform", "masking")),
    "`discrete-flow`, eta 2": (flow(2.0), ("uniform", "masking")),
    "`remasking`, eta 2": (again(2.0), ("masking",)),
    "`analytic-product`": (lambda p, *state: p.bridge(*state, form="product"), ("uniform", "masking")),
}
PAGE = Path(__file__).parents[2] / "docs" / "discrete.md"


@pytest.mark.parametrize("columns", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_page_says_these_distances(columns):
    """Each row of the table, to its three decimals; quick, the columns of 4 and 16 steps. What is exact is 0 there."""
    lines = PAGE.read_text(encoding="utf-8").split("| solver | uniform noise, 4, 16, 64, 256 steps")[1].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:] if line.startswith("|")]
    told = {name: dict(zip(("uniform", "masking"), cells, strict=True)) for name, *cells in table}
    assert told.pop("`first-hitting`, any grid") == {"uniform": "", "masking": "0"}
    assert set(told) == set(ROWS)
    for name, (site, noises) in ROWS.items():
        for noise in ("uniform", "masking"):
            said = [float(number) for number in told[name][noise].split()]
            assert len(said) == (4 if noise in noises else 0), (name, noise)
            found = [distance(chain(NOISES[noise], n, site), LAW) for n in (4, 16, 64, 256)[:columns] if said]
            assert found == pytest.approx(said[:columns], abs=5.1e-4), (name, noise)


def test_the_page_names_every_solver_of_tokens():
    """The table of samplers has a row for each name, and no other."""
    lines = PAGE.read_text(encoding="utf-8").split("| name | what a step does")[1].splitlines()
    rows = (line.split("|")[1] for line in itertools.takewhile(lambda line: line.startswith("|"), lines[1:]))
    assert {name for row in rows for name in re.findall("`([a-z-]+)`", row)} == set(TOKENS)


@pytest.mark.parametrize("name", ["flow2pc", "ddpm", "dpmpp2m", "edm", "adaptive", "pc", "restart"])
def test_a_solver_of_gaussian_noise_says_that_tokens_have_none(name):
    with pytest.raises(UserError, match="which Discrete has not"):
        sample(Exact(LAW, NOISES["uniform"]), (2, 3), solver=named(name))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: TauLeaping("eular"), "no rule of tau-leaping is called 'eular'. Did you mean 'euler'"),
        (lambda: Analytic("mix"), "no form is called 'mix'"),
        (lambda: DiscreteFlow(-1.0), "eta of the discrete flow must be at least 0"),
        (lambda: named("tau-leeping"), "no solver is called 'tau-leeping'. Did you mean 'tau-leaping'"),
        (lambda: named("maskgit", 0.5), "solver 'maskgit' takes no eta. Those that do: discrete-flow, remasking"),
    ],
)
def test_impossible_requests(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_a_cache_asks_only_where_something_changed():
    """A network without a clock: the same tokens from fewer evaluations, at most one a site and the last of them."""
    law = random_law(1)
    plain, cached = Exact(law, NOISES["masking"]), Exact(law, NOISES["masking"])
    for seed in range(5):
        a = sample(plain, (1, 3), steps=100, solver=Ancestral(), seed=seed)
        b = sample(cached, (1, 3), steps=100, solver=Cached(), seed=seed)
        assert torch.equal(a, b)
    assert plain.calls == 500 and cached.calls <= 5 * 4
