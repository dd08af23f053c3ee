"""Solvers that take masks off: exactness, and what each order costs."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise, product

import pytest
import torch

from scorefield import Rng, UserError, sample
from scorefield.belief import Logits
from scorefield.core import as_time
from scorefield.noise import masking
from scorefield.noise.keep import Cosine, Linear, Sine
from scorefield.sampling import trajectory
from scorefield.solvers import DiscreteFlow, FirstHitting, MaskGIT, Remasking, Uniform
from tests.solvers.token_laws import Exact, K, doubt, noised, random_law, variation

LAW = random_law()
N = 20_000


@pytest.mark.parametrize("keep", [Sine(), Cosine()], ids=str)
@pytest.mark.parametrize("steps", [1, 4])
def test_first_hitting_is_exact_on_every_grid(steps, keep):
    """And costs an evaluation a site and step at most; also half of the way, where p_t is due. False alarms 1e-4."""
    denoiser = Exact(LAW, masking(K, keep))
    x = sample(denoiser, (N, 3), steps=steps, solver=FirstHitting(), rng=Rng(1))
    assert doubt(x, LAW) > 1e-4 and denoiser.calls <= 3 * steps
    start = torch.full((N, 3), K)
    *_, middle = trajectory(denoiser, start, [1.0, 0.7, 0.45], solver=FirstHitting(), rng=Rng(2))
    assert doubt(middle.x, noised(LAW, denoiser.process, as_time(0.45))) > 1e-4


def test_first_hitting_asks_at_the_times_at_which_masks_come_off():
    """The levels 1 − α at which the first of three goes, the second and the last are order statistics: ¾, ½, ¼."""
    asked = []

    class Watched(Exact):
        def __call__(self, x, t):
            asked.append(t)
            return super().__call__(x, t)

    sample(Watched(LAW, masking(K)), (4000, 3), steps=1, solver=FirstHitting(), rng=Rng(0))
    assert [t.shape for t in asked] == [(4000,)] * 3
    assert [t.mean().item() for t in asked] == pytest.approx([0.75, 0.5, 0.25], abs=5 * 0.224 / 4000**0.5)


def test_several_sites_an_evaluation_are_fewer_evaluations_and_an_error():
    denoiser = Exact(LAW, masking(K))
    x = sample(denoiser, (N, 3), steps=1, solver=FirstHitting(3), rng=Rng(1))
    assert denoiser.calls == 1 and variation(x, LAW) > 0.15


@pytest.mark.parametrize("confidence", ["margin", "entropy", "random"])
@pytest.mark.parametrize("noise", [0.0, 4.5])
def test_one_site_a_step_is_exact_in_every_order_that_does_not_see_the_draw(confidence, noise):
    x = sample(Exact(LAW, masking(K)), (N, 3), steps=3, solver=MaskGIT(confidence, noise), rng=Rng(1))
    assert doubt(x, LAW) > 1e-4


def test_the_surest_draw_first_favours_what_is_likely():
    """MaskGIT's own order, one site a step: biased, the less the more its order is noise; and always towards the
    likelier states."""
    away = []
    for noise in (0.0, 4.5):
        x = sample(Exact(LAW, masking(K)), (N, 3), steps=3, solver=MaskGIT(noise=noise), rng=Rng(1))
        away.append(variation(x, LAW))
        assert LAW[tuple(x.T)].log().mean() > (LAW * LAW.log()).sum() + 0.01
    assert away[0] > 0.05 and away[1] < away[0]


class Unsure:
    """Believes nothing, anywhere."""

    def __init__(self, process):
        self.process = process

    def __call__(self, x, t):
        return Logits(torch.zeros(*x.shape, K))


@pytest.mark.parametrize(("keep", "left"), [(Sine(), [9, 8, 7, 5, 2, 0]), (Linear(), [8, 6, 5, 3, 1, 0])], ids=str)
def test_the_numbers_of_masks_are_maskgits(keep, left):
    """⌊10 cos(½π i/6)⌋ of ten sites in six steps, and ⌊10 (1 − i/6)⌋; every example by its own number: five of the
    first one's are shown from the beginning, and stay."""
    process = masking(K, keep)
    x = torch.full((2, 10), K)
    x[0, :5] = 1
    walk = list(trajectory(Unsure(process), x, Uniform()(process, 6), solver=MaskGIT(), rng=Rng(0)))
    counts = torch.stack([(step.x == K).sum(1) for step in walk[1:]])
    assert counts[:, 1].tolist() == left
    assert counts[:, 0].tolist() == [4, 3, 2, 1, 1, 0]
    assert (walk[-1].x[0, :5] == 1).all() and (walk[-1].x < K).all()


def test_remasking_and_the_noisy_flow_are_one_step():
    """ReMDM at σ = 1 − α_s/α_u is the flow to u and noise to s: the chance that a mask comes off is
    (α_s/α_u)(α_u − α_t)/(1 − α_t). With η → 0 both are Campbell's rates, (1 + η α)/(1 − α) and η, in 1 − t."""
    process, (t, s), eta = masking(K), as_time([0.6, 0.5]), 2.0
    a_t, a_s = process.keep(t).item(), process.keep(s).item()
    a_u = a_s * torch.tensor(eta * (a_s - a_t)).exp().item()
    sigma, shown = Remasking(1 - a_s / a_u).chances(process, t, s)
    assert sigma == pytest.approx(1 - a_s / a_u)
    assert shown == pytest.approx(a_s / a_u * (a_u - a_t) / (1 - a_t))
    sigma, shown = Remasking(eta, "rate").chances(process, t, t - 1e-6)
    assert (sigma / 1e-6, shown / 1e-6) == pytest.approx((eta, (1 + eta * a_t) / (1 - a_t)), rel=1e-5)
    start = torch.randint(0, K + 1, (N, 3), generator=torch.Generator().manual_seed(0))
    denoiser = Exact(LAW, process)
    both = [
        next(s.x for s in trajectory(denoiser, start, [0.6, 0.5], solver=solver, rng=Rng(3)) if s.t == 0.5)
        for solver in (Remasking(1 - a_s / a_u), DiscreteFlow(eta))
    ]
    masked = [(x == K).double().mean().item() for x in both]
    assert masked[0] == pytest.approx(masked[1], abs=5 * (0.5 / (3 * N)) ** 0.5)


@pytest.mark.parametrize(("rule", "eta", "sigma"), [("cap", 0.3, 0.3), ("cap", 0.9, 0.8), ("rescale", 0.5, 0.4)])
def test_remasking_stays_within_its_bound(rule, eta, sigma):
    """σ_max = (1 − α_s)/α_t = 0.8 from t = 0.5 to 0.4 (linear); at the bound every mask comes off. Outside the span
    and from pure noise nothing is masked again."""
    process, (t, s) = masking(K), as_time([0.5, 0.4])
    assert Remasking(eta, rule).chances(process, t, s)[0] == pytest.approx(sigma)
    assert Remasking(1.0).chances(process, t, s)[1] == pytest.approx(1)
    assert Remasking(eta, rule, (0.6, 0.9)).chances(process, t, s) == pytest.approx((0, 0.2))
    assert Remasking(eta, rule).chances(process, as_time(1.0), t) == pytest.approx((0, 0.5))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FirstHitting(0), "at least 1 site an evaluation, got sites=0"),
        (lambda: MaskGIT("margins"), "no confidence is called 'margins'. Did you mean 'margin'"),
        (lambda: MaskGIT(noise=-1.0), "noise of the order of unmasking must be at least 0"),
        (lambda: Remasking(1.5), "eta of remasking by the rule cap must be between 0"),
        (lambda: Remasking(-0.5, "rate"), "eta of remasking by the rule rate must be at least 0"),
        (lambda: Remasking(rule="caps"), "no rule of remasking is called 'caps'. Did you mean 'cap'"),
        (lambda: Remasking(span=(0.5, 0.5)), "0 ≤ low < high ≤ 1"),
    ],
)
def test_impossible_requests(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_confident_remasking_is_what_its_paths_say():
    """ReMDM-conf over two sites, every path enumerated with the certainties it remembers: 20,000 walks of four steps
    against that law (false alarms 1e-4). A sure token is masked again less often than one that was a guess."""
    law, process = random_law(length=2), masking(K)
    exact, paths = Exact(law, process), {((K, K), (1.0, 1.0)): 1.0}
    for t, s in pairwise(Uniform()(process, 4)):
        a_t, a_s = process.keep(t).item(), process.keep(s).item()
        sigma = min(1.0, (1 - a_s) / a_t) if a_t > 0 else 0.0
        after: dict = defaultdict(float)
        for (x, sure), p in paths.items():
            belief = exact(torch.tensor([x]), t).probs[0].tolist()
            total, off = sum(math.exp(-c) for k, c in zip(x, sure, strict=True) if k < K), (a_s - a_t) / (1 - a_t)
            sites = []
            for k, c, b in zip(x, sure, belief, strict=True):
                again = sigma * math.exp(-c) / total if k < K else 0.0
                shown = [(j, round(b[j], 12), off * b[j]) for j in range(K)] + [(K, 1.0, 1 - off)]
                sites.append(shown if k == K else [(k, c, 1 - again), (K, 1.0, again)])
            for (i, c, left), (j, d, right) in product(*sites):
                after[(i, j), (c, d)] += p * left * right
        paths = after
    drawn = torch.zeros(K, K, dtype=torch.float64)
    for x, p in ((x, p) for (x, _), p in paths.items() if p > 0):
        drawn[x] += p
    solver = Remasking(1.0, "rescale", confident=True)
    assert doubt(sample(exact, (N, 2), steps=4, grid=Uniform(), solver=solver, rng=Rng(7)), drawn) > 1e-4

    class Fixed:
        process = masking(K)

        def __call__(self, x, t):
            return Logits(torch.zeros(*x.shape, K))

    sure = torch.tensor([[0.9, 0.2]], dtype=torch.float64).expand(40_000, 2)
    x, _ = solver.step(Fixed(), torch.zeros(40_000, 2, dtype=torch.int64), as_time(0.5), as_time(0.25), sure, Rng(1))
    share = (x == K).double().mean(0)  # σ = (1 − 0.75)/0.5, shared as e^−0.9 : e^−0.2
    least = 0.5 / (1 + math.exp(0.2 - 0.9))
    assert share.tolist() == pytest.approx([0.5 - least, least], abs=5 * 0.5 / 40_000**0.5)
