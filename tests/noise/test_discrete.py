from __future__ import annotations

import math

import pytest
import torch

from scorefield import Logits, Rng, UserError
from scorefield.core import as_time
from scorefield.noise import Discrete, Markov, Neighbours, binomial, keep, mask_and_replace, masking, uniform
from scorefield.noise.jumps import GivenJumps
from scorefield.registry import from_config, to_config
from scorefield.testing import check_discrete, check_keep
from tests.components import DISCRETE, KEEPS


@pytest.mark.parametrize("schedule", KEEPS, ids=repr)
def test_keep_schedule_obeys_its_laws(schedule):
    check_keep(schedule)


@pytest.mark.parametrize("process", DISCRETE, ids=repr)
def test_discrete_process_obeys_its_laws(process):
    check_discrete(process)


@pytest.mark.parametrize("process", DISCRETE, ids=repr)
def test_config_gives_the_process_back(process):
    assert from_config(to_config(process), "process") == process


def matrices(share: float, process: Discrete, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Q_T … Q_1 of D3PM written out, (states, states), for the step from ``share``·T to the end and from 0 to there."""
    size, total = process.states, torch.eye(process.states, dtype=torch.float64)
    cut = total
    for i in range(steps):
        now, then = (process.keep(as_time(u / steps)).item() for u in (i + 1, i))
        lost = [process.masked * (1 - a) for a in (now, then)]
        gamma = (lost[0] - lost[1]) / (1 - lost[1])
        beta = 1 - now / then - gamma  # all of the K tokens together
        step = torch.zeros(size, size, dtype=torch.float64)
        step[: process.classes, : process.classes] = beta / process.classes
        step += (1 - beta - gamma) * torch.eye(size, dtype=torch.float64)
        if process.mask is not None:
            step[:, process.mask] = gamma
            step[process.mask] = torch.eye(size, dtype=torch.float64)[process.mask]
        assert (step.sum(1) - 1).abs().max() < 1e-12 and step.min() > -1e-15
        cut = total if i == round(share * steps) else cut
        total = total @ step
    return cut, total


@pytest.mark.parametrize("process", [p for p in DISCRETE if isinstance(p, Discrete) and not p.law], ids=repr)
def test_products_of_forward_matrices_are_the_closed_form(process):
    """Q̄_T = Q_1 … Q_T with the steps of the papers (Austin et al. 2021; Gu et al. 2022, eq. 7–8), 50 of them."""
    x = torch.arange(process.states)[:, None]
    half, end = matrices(0.5, process, 50)
    for matrix, t in ((half, 0.5), (end, 1.0)):
        closed = process.log_likelihood(x, as_time(t))[:, 0].exp().mT
        torch.testing.assert_close(matrix[: process.classes], closed, rtol=0, atol=1e-12)


def test_absorbing_share_is_the_time():
    """D3PM's β = 1/(T − t + 1): the mask has probability t/T."""
    process = masking(5)
    t = torch.arange(1, 11, dtype=torch.float64) / 10
    x = torch.full((10, 1), 5)
    torch.testing.assert_close(process.log_likelihood(x, t).exp()[:, 0, 0], t, rtol=0, atol=1e-15)


def test_binomial_is_sohl_dicksteins_chain_and_the_multinomial_of_two():
    """q(x_t = 1 | x₀) = ᾱ x₀ + ½ (1 − ᾱ), ᾱ = Π (1 − β_j), β_j = 1/(T − j + 1); bridges against Bayes' rule."""
    process, steps = binomial(), 20
    beta = 1 / (steps - torch.arange(steps, dtype=torch.float64))
    alpha = (1 - beta).cumprod(0)
    one = torch.ones(1, 1, dtype=torch.int64)
    for i in (1, 7, 19):
        t, s = as_time(i / steps), as_time((i - 1) / steps)
        chance = process.log_likelihood(one, t).exp()[0, 0]  # of a 1, for x₀ = 0 and 1
        a = alpha[i - 1]
        torch.testing.assert_close(chance, torch.stack([0.5 * (1 - a), a + 0.5 * (1 - a)]), rtol=0, atol=1e-12)
        m = 0.3  # believed chance that x₀ = 1
        belief = Logits(torch.tensor([[[1 - m, m]]], dtype=torch.float64).log())
        before = alpha[i - 2] if i > 1 else torch.ones(())
        stay = 1 - 0.5 * beta[i - 1]
        truth = 0.0
        for b, weight in ((1.0, m), (0.0, 1 - m)):
            up = before * b + 0.5 * (1 - before)
            truth = truth + weight * stay * up / (stay * up + (1 - stay) * (1 - up))
        got = process.bridge(one, belief, t, s)[0, 0, 1]
        assert abs(got - truth) < 1e-12
        assert torch.equal(got, uniform(2).bridge(one, belief, t, s)[0, 0, 1])


def test_equal_jumps_are_multinomial_diffusion():
    """Markov with one rate between all categories is Discrete without masks, by spectrum and by closed form."""
    k = 5
    general, closed = Markov(GivenJumps([[1.0] * k] * k), keep.Cosine()), uniform(k, keep.Cosine())
    x = torch.arange(k)[:, None].expand(k, 2).contiguous()
    draw = torch.Generator().manual_seed(0)
    belief = Logits(torch.randn(k, 2, k, dtype=torch.float64, generator=draw))
    x0 = torch.randint(k, (k, 2), generator=draw)
    t, s = as_time(0.6), as_time(0.35)
    for form in ("mixture", "product"):
        pair = [p.bridge(x, belief, t, s, form) for p in (general, closed)]
        torch.testing.assert_close(*pair, rtol=0, atol=1e-12)
    for name in ("rates", "log_likelihood"):
        arguments = (x, belief, t) if name == "rates" else (x, t)
        torch.testing.assert_close(*(getattr(p, name)(*arguments) for p in (general, closed)), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(*(p.kl(x, x0, belief, t, s) for p in (general, closed)), rtol=1e-11, atol=1e-12)


def test_spectra_are_matrix_exponentials():
    """exp(−log α · G) of reflected neighbours with 256 levels by torch.linalg.matrix_exp: cosines against Padé."""
    process = Markov(Neighbours(256))
    spectrum = process.jumps.spectrum
    x = torch.arange(256)[:, None]
    for t in (0.02, 0.5):
        dense = torch.linalg.matrix_exp(-math.log(1 - t) * spectrum.generator)
        got = process.log_likelihood(x, as_time(t))[:, 0].exp().mT
        torch.testing.assert_close(got, dense, rtol=0, atol=1e-12)
    assert (spectrum.generator.sum(1).abs().max() < 1e-9) and (spectrum.generator.sum(0).abs().max() < 1e-9)


def test_kl_of_short_steps_is_right_in_float32():
    """At 10,000 steps the divergence of a step is of order 1e-4; float32 beliefs give it to 1e-4 of itself."""
    process, t, s = uniform(30), as_time(0.5), as_time(0.4999)
    draw = torch.Generator().manual_seed(1)
    x0 = torch.randint(30, (4, 64), generator=draw)
    belief = Logits(torch.randn(4, 64, 30, dtype=torch.float64, generator=draw))
    x = process.corrupt(x0, t, Rng(0))
    exact = process.kl(x, x0, belief, t, s)
    single = process.kl(x, x0, Logits(belief.logits.float()), t, s)
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=0)


def test_rare_tokens_keep_their_share_in_float32_at_10_000_steps():
    """2,000 tokens of mass 2.5e-4 own half of the mass. A race p/(−log u) in float32 gives them 21 % at 10,000 steps;
    here a frequency of 1,000 sites more than 5.5 sd off half has probability 4e-8, as has that unmasked at ½."""
    classes, sites, steps = 2001, 1000, 10_000
    process, rng = masking(classes), Rng(0)
    p = torch.full((classes,), 2.5e-4)
    p[0] = 0.5
    belief = Logits(p.log().expand(1, sites, classes))
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    x = process.prior(torch.empty(1, sites), rng)
    bound = 5.5 * math.sqrt(0.25 / sites)
    for i in range(steps):
        x = process.reverse(x, belief, times[i], times[i + 1], rng)
        if i + 1 == steps // 2:
            assert abs((x < classes).double().mean().item() - 0.5) < bound
    assert (x < classes).all()
    assert abs((x > 0).double().mean().item() - 0.5) < bound


def test_one_seed_an_example_draws_the_same_in_any_batch():
    for process in (uniform(7), masking(7), mask_and_replace(7), Markov(Neighbours(7))):
        x0 = torch.randint(7, (6, 5), generator=torch.Generator().manual_seed(0))
        belief = Logits(torch.randn(6, 5, 7, generator=torch.Generator().manual_seed(1)))
        t, s = as_time(0.8), as_time(0.3)

        def run(rows, process=process, x0=x0, belief=belief, t=t, s=s):
            rng = Rng.each(3, rows)
            x = process.corrupt(x0[rows], t, rng)
            return torch.stack([x, process.reverse(x, Logits(belief.logits[rows]), t, s, rng)])

        assert torch.equal(run(list(range(6)))[:, 2:4], run([2, 3]))


def test_vq_diffusions_final_masses_are_arguments():
    process = mask_and_replace(8, 0.9, 0.06)
    x = torch.arange(9)[:, None]
    end = process.log_likelihood(x, as_time(1.0))[:, 0].exp()  # (states, classes)
    assert end[8].tolist() == pytest.approx([0.9] * 8, abs=1e-12)
    assert end[0, 1].item() == pytest.approx(0.06 / 8, abs=1e-12)
    assert end[0, 0].item() == pytest.approx(0.04 + 0.06 / 8, abs=1e-12)
    x0 = torch.zeros(1, 3, dtype=torch.int64)
    prior = process.redraw
    truth = (end[:, 0] * (end[:, 0] / prior).log()).sum()
    torch.testing.assert_close(process.prior_kl(x0), 3 * truth[None], rtol=1e-12, atol=0)
    assert mask_and_replace(8, 1.0, 0.0) == masking(8)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: uniform(1), "at least 2 classes, got 1"),
        (lambda: Discrete(3, 1.5), "share between 0 and 1, got 1.5"),
        (lambda: uniform(3, law=[0.5, 0.5]), "law needs 3 positive probabilities"),
        (lambda: masking(3, keep.Ending(keep.Linear(), 0.1)), "nothing may be left at t = 1"),
        (lambda: mask_and_replace(3, 0.9, 0.2), r"sum in \(0, 1\], got 0.9 and 0.2"),
        (lambda: uniform(3).bridge(torch.zeros(1, 1).long(), Logits(torch.zeros(1, 1, 3)), 0.5, 0.1, "mixtur"), "mean"),
        (lambda: keep.Steps([0.5, 1.0, 0.1]), "only the last may be 1"),
        (lambda: keep.Geometric(2, 1), "0 < low < high"),
        (lambda: GivenJumps([[0, 1], [0, 0]]), "not reversible"),
        (lambda: GivenJumps([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]), "do not connect all"),
        (lambda: GivenJumps([[0, 1], [1]]), "K rows of K rates"),
    ],
)
def test_impossible_processes_say_so(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("process", DISCRETE, ids=repr)
def test_a_gpu_computes_what_the_cpu_does(process):
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(process.classes, (4, 6), generator=draw)
    logits = torch.randn(4, 6, process.classes, generator=draw)
    for t, s in ((as_time(0.7), as_time(0.3)), (as_time([0.7, 0.2, 0.5, 0.9]), as_time([0.3, 0.1, 0.0, 0.8]))):
        x = process.corrupt(x0, t, Rng(1))
        assert torch.equal(process.corrupt(x0.cuda(), t, Rng(1)).cpu(), x)
        here = Logits(process.informed(logits, x, t))
        there = Logits(process.informed(logits.cuda(), x.cuda(), t))
        sure = x0.clone() if process.mask is None else torch.where(x == process.mask, x0, x)
        for name, arguments in (("bridge", (t, s)), ("rates", (t,))):
            pair = (
                getattr(process, name)(x.cuda(), there, *arguments).cpu(),
                getattr(process, name)(x, here, *arguments),
            )
            torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)
        for name, arguments in (("kl", (t, s)), ("kl_rate", (t,)), ("reconstruction", (t,))):
            got = getattr(process, name)(x.cuda(), sure.cuda(), there, *arguments).cpu()
            torch.testing.assert_close(got, getattr(process, name)(x, sure, here, *arguments), rtol=1e-3, atol=1e-4)
        assert process.reverse(x.cuda(), there, t, s, Rng(2)).shape == x.shape
        u = torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=torch.float64)
        look, same = process.sight(x0.cuda(), u, Rng(3)), process.sight(x0, u, Rng(3))
        assert torch.equal(look.x.cpu(), same.x) and torch.equal(look.t, same.t)
