"""Guidance beyond a plain lerp, against the identities that define it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from scorefield import ClassifierFree, Gaussian, Moments, Rng, UserError
from scorefield.core import as_time
from scorefield.guidance import Autoguidance, OptimisedScale, PlusPlus, Projected, Rescaled
from scorefield.noise import EDM, VP, Cosine, Flow
from scorefield.testing import check_denoiser
from tests.guidance.laws import TwoClasses

SHAPE = (3, 4)
LABEL = torch.zeros(3, dtype=torch.long)
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
T = as_time(0.4)
WAYS = [Rescaled(0.7), Projected(0.3, 0.8), OptimisedScale()]


def guided(combine=None, scale=3.0, process=None, **more):
    model = TwoClasses(process or Gaussian(Cosine()), 4)
    return ClassifierFree(model, scale, **more, **({} if combine is None else {"combine": combine}))


def pair(process=None):
    """The conditional and the unconditional mean at (X, T)."""
    return (guided(scale=w, process=process)(X, T, label=LABEL).mean for w in (1.0, 0.0))


@pytest.mark.parametrize("combine", WAYS, ids=repr)
def test_every_way_is_per_example_and_the_strong_belief_at_scale_one(combine):
    check_denoiser(guided(combine), SHAPE, label=LABEL)
    strong, weak = pair()
    belief = combine(Gaussian(Cosine()), X, T, Moments(strong), Moments(weak), 1.0)
    torch.testing.assert_close(belief.mean, strong, rtol=1e-12, atol=1e-12)
    assert torch.equal(guided(combine, 1.0)(X, T, label=LABEL).mean, strong)


def test_rescaling_restores_the_contrast_of_the_strong_belief():
    """φ = 1: std per example is that of the conditional belief; φ = 0: nothing; between them linear (Lin, eq. 16)."""
    strong, _ = pair()
    plain, full, part = (guided(Rescaled(phi))(X, T, label=LABEL).mean for phi in (0.0, 1.0, 0.7))
    torch.testing.assert_close(full.std(1), strong.std(1), rtol=1e-12, atol=0)
    assert torch.equal(plain, guided()(X, T, label=LABEL).mean)
    torch.testing.assert_close(part, 0.7 * full + 0.3 * plain, rtol=1e-12, atol=1e-13)


def test_projection_splits_the_change():
    """η = 1 is plain guidance; with η = 0 the change is orthogonal to the strong belief; the norm bounds its length."""
    strong, weak = pair()
    torch.testing.assert_close(guided(Projected(1.0))(X, T, label=LABEL).mean, guided()(X, T, label=LABEL).mean)
    change = guided(Projected(0.0))(X, T, label=LABEL).mean - strong
    assert (change * strong).sum(1).abs().max() < 1e-12
    along = strong / strong.norm(dim=1, keepdim=True)
    delta = strong - weak
    torch.testing.assert_close(change, 2 * (delta - (delta * along).sum(1, keepdim=True) * along))
    short = guided(Projected(1.0, 0.1))(X, T, label=LABEL).mean - strong
    assert delta.norm(dim=1).min() > 0.1
    torch.testing.assert_close(short.norm(dim=1), torch.full((3,), 0.2).double())  # (3 − 1) · 0.1
    wide = delta.norm(dim=1).max().item() * 1.01
    torch.testing.assert_close(guided(Projected(1.0, wide))(X, T, label=LABEL).mean, strong + 2 * delta)


def test_the_optimised_scale_is_the_papers_on_the_flow():
    """u = s⋆ u_w + 3 (u_s − s⋆ u_w) with s⋆ = ⟨u_s, u_w⟩/‖u_w‖², u = dx/dt of the process; s⋆ is the least squares
    fit, so u_s − s⋆ u_w is orthogonal to u_w."""
    process = Gaussian(Flow())
    u_s, u_w = (process.velocity(X, Moments(mean), T) for mean in pair(process))
    s = (u_s * u_w).sum(1, keepdim=True) / u_w.square().sum(1, keepdim=True)
    u = process.velocity(X, guided(OptimisedScale(), process=process)(X, T, label=LABEL), T)
    torch.testing.assert_close(u, s * u_w + 3 * (u_s - s * u_w), rtol=1e-12, atol=1e-12)
    assert ((u_s - s * u_w) * u_w).sum(1).abs().max() < 1e-12


def test_the_optimised_scale_does_not_depend_on_the_clock_of_the_process():
    """Flow and EDM are one process: x_edm = x_flow/α at equal σ/α."""
    flow, edm = Gaussian(Flow()), Gaussian(EDM())
    t = edm.time(flow.log_ratio(T))
    one = guided(OptimisedScale(), process=flow)(X, T, label=LABEL).mean
    other = guided(OptimisedScale(), process=edm)(X / flow.schedule(T).alpha, t, label=LABEL).mean
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_plus_plus_is_cfgpp_on_ddim():
    """x_s = α_s (x̂_u + λ (x̂_c − x̂_u)) + σ_s ε̂_u (Chung et al. 2025, algorithm 2), step by step."""
    for schedule, strength in ((VP(), 0.6), (Cosine(), 0.6), (EDM(), 0.3), (Flow(), 0.0)):
        process, rng = Gaussian(schedule), Rng(0)
        times = as_time([1.0, 0.7, 0.3, 0.1, 0.0])
        model = TwoClasses(process, 4)
        ours = ClassifierFree(model, PlusPlus(process, times, strength))
        x = y = process.prior(X, rng)
        for t, s in pairwise(times.unbind()):
            (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
            cond, uncond = model(y, t, label=LABEL).mean, model(y, t, label=LABEL - 1).mean
            y = a_s * (uncond + strength * (cond - uncond)) + s_s * (y - a_t * uncond) / s_t
            x = process.reverse(x, ours(x, t, label=LABEL), t, s, rng, eta=0.0)
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


def test_the_scale_may_depend_on_the_noise_level():
    process, seen = Gaussian(EDM()), []

    def scale(level):
        seen.append(level)
        return 1.0 if level > 10 else 2.0

    model = guided(scale=scale, process=process)
    assert torch.equal(model(X, as_time(0.5), label=LABEL).mean, model.inner(X, as_time(0.5), label=LABEL).mean)
    at_two = guided(scale=2.0, process=process)
    assert torch.equal(model(X, as_time(0.1), label=LABEL).mean, at_two(X, as_time(0.1), label=LABEL).mean)
    assert seen == pytest.approx([40.0, 8.0])
    mixed = model(X, as_time([0.5, 0.1, 0.02]), label=LABEL).mean  # one time per example
    for row, t in enumerate((0.5, 0.1, 0.02)):
        torch.testing.assert_close(mixed[row], model(X, as_time(t), label=LABEL).mean[row], rtol=1e-12, atol=1e-12)


def test_an_interval_that_no_level_falls_in_is_no_guidance_bitwise():
    for combine in (None, *WAYS):
        model = guided(combine, interval=(1e6, 1e7))
        plain = model.inner(X, T, label=LABEL).mean
        model.inner.calls = 0
        assert torch.equal(model(X, T, label=LABEL).mean, plain) and model.inner.calls == 1


class Worse:
    """A denoiser that is off by a known bias."""

    def __init__(self, inner, bias):
        self.inner, self.bias, self.process, self.calls = inner, bias, inner.process, 0

    def __call__(self, x, t, **cond):
        self.calls += 1
        belief = self.inner(x, t, **cond)
        return belief.with_mean(belief.mean + self.bias)


def test_autoguidance_moves_away_from_the_weak_models_fault():
    """strong = truth + b, weak = truth + 3b: scale 1.5 returns the truth exactly, and scale 1 never asks the weak."""
    truth = TwoClasses(Gaussian(VP()), 4)
    strong, weak = Worse(truth, 0.1), Worse(truth, 0.3)
    exact = truth(X, T, label=LABEL).mean
    torch.testing.assert_close(Autoguidance(strong, weak, 1.5)(X, T, label=LABEL).mean, exact)
    weak.calls = 0
    assert torch.equal(Autoguidance(strong, weak, 1.0)(X, T, label=LABEL).mean, strong(X, T, label=LABEL).mean)
    assert torch.equal(
        Autoguidance(strong, weak, 2.0, interval=(1e6, 1e7))(X, T, label=LABEL).mean, strong(X, T, label=LABEL).mean
    )
    assert weak.calls == 0
    check_denoiser(Autoguidance(strong, weak, 2.0, combine=Projected()), SHAPE, label=LABEL)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Rescaled(1.5), r"phi between 0 \(none\) and 1 \(all\), got 1.5"),
        (lambda: Projected(0.0, 0.0), "norm > 0, or None for no threshold, got 0.0"),
        (lambda: PlusPlus(Gaussian(VP()), as_time([1.0, 0.0]), 1.5), "a strength between 0 and 1, got 1.5"),
        (lambda: PlusPlus(Gaussian(VP()), as_time([0.5, 0.7])), "the falling times of the walk"),
        (lambda: guided(interval=(3.0, 3.0)), "0 ≤ low < high"),
        (
            lambda: Autoguidance(TwoClasses(Gaussian(VP())), TwoClasses(Gaussian(Flow())), 2.0),
            "two models on one schedule, got .*VP.* and .*Flow.*under",
        ),
    ],
)
def test_impossible_guidance_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
