"""NCSNv2's first two techniques against the authors' configs (tables of the paper and of their code)."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import UserError
from scorefield.core import Rng, as_time
from scorefield.noise import EDM, VP, Gaussian, largest_distance, levels_between, overlap, spacing
from scorefield.objectives import NoiseLevels, Simple

CONFIGS = {  # σ₁, levels to 0.01, dimensions, technique 2's value
    "cifar-10": (50, 232, 3 * 32**2, 0.5670),
    "celeba-64": (90, 500, 3 * 64**2, 0.5669),
    "church-96": (140, 788, 3 * 96**2, 0.5662),
    "church-64": (140, 788, 3 * 64**2, 0.8694),  # what the config says, which was not what was trained
    "bedroom-128": (190, 1086, 3 * 128**2, 0.5665),
    "ffhq-256": (348, 2311, 3 * 256**2, 0.5669),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_overlap_of_published_levels(name):
    top, count, dimensions, value = CONFIGS[name]
    assert overlap((top / 0.01) ** (1 / (count - 1)), dimensions) == pytest.approx(value, abs=6e-5)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "church-64"])
def test_the_levels_chosen_are_those_of_the_authors(name):
    """To one level of a thousand: their overlaps are 0.5662 to 0.5670, and ours is 0.567 for all."""
    top, count, dimensions, _ = CONFIGS[name]
    assert abs(levels_between(top, 0.01, spacing(dimensions)) - count) <= 1


def test_ncsn_had_no_overlap_and_the_digits_get_22_levels():
    assert overlap(100 ** (1 / 9), 3072) < 5e-4
    assert levels_between(4.8003, 0.01, spacing(64)) == 22
    assert overlap(spacing(64, 0.3), 64) == pytest.approx(0.3, abs=1e-12)
    assert spacing(2) == spacing(4) == 2.0  # every ratio overlaps there


def test_the_largest_distance_is_the_largest(monkeypatch):
    from scorefield.noise import levels

    x = Rng(0).normal(torch.empty(50, 3, 4))
    monkeypatch.setattr(levels, "BLOCK", 400)  # eight rows at once
    flat = x.flatten(1).double()
    want = (flat[:, None] - flat[None]).norm(dim=2).max().item()
    assert largest_distance(x) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("schedule", [EDM(10.0), VP()], ids=repr)
def test_the_law_takes_every_level_equally_often(schedule):
    law, process = NoiseLevels(9.6, 0.02, 22), Gaussian(schedule)
    u = (torch.arange(2200, dtype=torch.float64) + 0.5) / 2200
    t, correction = law(u, process)
    found = -process.log_ratio(t)
    want = torch.linspace(math.log(9.6), math.log(0.02), 22, dtype=torch.float64).repeat_interleave(100)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-9)
    assert (correction == 1).all()
    # σ² ‖s + z/σ‖², of which NCSN's loss is the half: the weight on ‖x̂₀ − x₀‖² is 1/σ²
    assert Simple()(Gaussian(EDM(10.0)), as_time(0.2)).item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: largest_distance(torch.zeros(1, 2)), "at least 2 of them, got 1"),
        (lambda: spacing(0), "dimensions ≥ 1"),
        (lambda: levels_between(1.0, 2.0, 1.5), "0 < low < top"),
        (lambda: NoiseLevels(1.0, 0.1, 1), "a count of at least 2"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
