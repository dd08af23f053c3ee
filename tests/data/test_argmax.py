"""Argmax flows: every draw lies in its region, and the density is that of the draws."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield.core import Rng
from scorefield.data.alphabet import Bytes, Characters
from scorefield.data.argmax import FORMS, Argmax
from scorefield.data.codecs import Pixels
from scorefield.errors import UserError
from scorefield.registry import from_config, to_config
from scorefield.testing import check_codec

every = pytest.mark.parametrize("form", sorted(FORMS))


def flow(classes: int, form: str) -> Argmax:
    """The flow of a few letters."""
    return Argmax(Characters("abcdefghijklmnopqrstuvwxyz"[:classes]), form)


@every
def test_no_mass_lies_outside_the_region(form: str) -> None:
    for codec in (flow(2, form), flow(27 - 1, form), Argmax(Bytes(), form)):
        x = torch.arange(codec.classes).repeat(200_000 // codec.classes**2, 1)
        for rng in (None, Rng(0)):
            v = codec.draw(x, rng)
            assert v.isfinite().all() and torch.equal(v.argmax(-1), x)
            top, second = v.topk(2, -1).values.unbind(-1)
            assert (second < top).all() and codec.log_q(v, x).isfinite().all()
    wrong = (x + 1) % codec.classes
    assert (codec.log_q(v, wrong) == -math.inf).all()
    tie = torch.zeros(1, 1, 4, dtype=torch.float64)
    assert flow(4, form).log_q(tie, torch.zeros(1, 1, dtype=torch.int64)) == -math.inf


@every
@pytest.mark.parametrize("classes", [2, 3])
def test_the_density_integrates_to_one(form: str, classes: int) -> None:
    """By the midpoint rule on a grid of the free directions: T = v_x on the line, and the depth d_i = v_x − v_i > 0 in
    its logarithm, where the integrand is smooth and falls off on both sides."""
    codec = flow(classes, form)
    count, error = {2: (500, 1e-7), 3: (90, 2e-4)}[classes]  # on fewer points the rule itself errs more
    tops = torch.linspace(-9, 14, count, dtype=torch.float64)
    logs = torch.linspace(-20, 4.2, count, dtype=torch.float64)
    axes = torch.meshgrid(tops, *[logs] * (classes - 1), indexing="ij")
    top, depths = axes[0].flatten(), torch.stack([axis.flatten() for axis in axes[1:]], -1)
    for x in range(classes):
        v = top[:, None].repeat(1, classes)
        v[:, [i for i in range(classes) if i != x]] -= depths.exp()
        chosen = torch.full((len(v), 1), x)
        volume = (tops[1] - tops[0]).log() + (classes - 1) * (logs[1] - logs[0]).log() + depths.sum(-1)
        mass = torch.exp(codec.log_q(v[:, None], chosen) + volume).sum()
        assert abs(mass - 1) < error, (x, mass)


@every
def test_the_density_is_that_of_the_draws(form: str) -> None:
    """E_q[h / q] = ∫ h over the region, for a Gaussian h whose mass in the region is 1/K by symmetry. The weights are
    bounded here; 20,000 draws leave an error of at most 5 standard errors but once in two million times."""
    codec, k = flow(3, form), 3
    x = torch.full((20_000, 1), 1)
    v = codec.draw(x, Rng(1))
    log_h = (-0.5 * ((v + 0.3) / 0.6).square() - math.log(0.6 * math.sqrt(2 * math.pi))).sum((1, 2))
    ratio = torch.exp(log_h - codec.log_q(v, x))
    assert abs(ratio.mean() - 1 / k) < 5 * ratio.std() / math.sqrt(len(ratio))
    assert ratio.std() < 5  # the five standard errors mean something


def test_gumbel_noise_loses_nothing_on_equal_categories() -> None:
    """With K independent Gumbel numbers as p, log p(v) − log q(v | x) = −log K at every point, not on average alone."""
    for k in (2, 5, 26):
        codec = flow(k, "gumbel")
        x = torch.randint(k, (50, 4), generator=torch.Generator().manual_seed(0))
        v = codec.draw(x, Rng(2))
        g = v * math.pi / math.sqrt(6) + 0.5772156649015329
        log_p = (-g - torch.exp(-g) + math.log(math.pi / math.sqrt(6))).flatten(1).sum(1)
        torch.testing.assert_close(
            log_p - codec.log_q(v, x), torch.full((50,), -4 * math.log(k), dtype=torch.float64), rtol=1e-9, atol=1e-9
        )
    many = flow(5, "gumbel").draw(torch.arange(5).repeat(4000, 1), Rng(3))
    assert many.mean().abs() < 0.02 and abs(many.std() - 1) < 0.02  # 100,000 numbers of deviation 1


@every
def test_it_is_a_codec_onto_real_numbers(form: str) -> None:
    codec = flow(5, form)
    raw = codec.inner.decode(codec.inner.of_text("abecedabcd")).view(2, 5)
    check_codec(codec, raw)
    z = codec.encode(raw, Rng([4, 5]))
    assert z.shape == (2, 5, 5) and torch.equal(codec.decode(z), raw) and codec.text(z) == ["abece", "dabcd"]
    assert torch.equal(codec.encode(raw[1:], Rng([5])), z[1:])
    first = Argmax(codec.inner, form, first=True)
    assert torch.equal(first.encode(raw, Rng([4, 5])), z.movedim(-1, 1)) and torch.equal(
        first.decode(first.encode(raw)), raw
    )
    again = from_config(to_config(codec), "codec")
    assert again.form == form and torch.equal(again.encode(raw), codec.encode(raw))


def test_flows_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"form=gumble is not known. Did you mean 'gumbel'"):
        flow(3, "gumble")
    with pytest.raises(UserError, match=r"Pixels\(256\) has no number of categories"):
        Argmax(Pixels())
