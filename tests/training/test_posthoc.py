"""Averages rebuilt from stored ones, against the same averages computed directly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from scorefield.training import PowerEMA, Profile, fit_profile, gamma_of
from scorefield.training.ema import beta_at
from scorefield.training.posthoc import products
from scorefield.training.snapshots import drop_after, found, narrowed, superfluous, write
from tests.training import toy

STEPS = 400
STORED = (0.05, 0.10)


def weights(width: float, end: int) -> np.ndarray:
    """What the steps 1 … STEPS count in the average of this width after ``end`` of them, by unrolling the recursion."""
    gamma = gamma_of(width)
    betas = np.array([beta_at(gamma, t) for t in range(1, end + 1)])
    surviving = np.append(np.cumprod(betas[:0:-1])[::-1], 1.0)
    return np.append((1 - betas) * surviving, np.zeros(STEPS - end))


def stored(count: int) -> list[Profile]:
    ends = [STEPS * (k + 1) // count for k in range(count)]
    return [Profile(width, end) for end in ends for width in STORED]


def norm(width: float) -> float:
    """‖p‖ in L² over a run of STEPS steps."""
    profile = [Profile(width, STEPS)]
    return float(products(profile, profile)[0, 0]) ** 0.5


@pytest.mark.parametrize("width", [0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.25])
@pytest.mark.parametrize("count", [5, 10, 32])
def test_the_rebuilt_average_is_the_direct_one_within_the_bound_of_its_profile(width: float, count: int):
    """On a random walk of vectors. Held constant between steps it is a path in time on which the discrete recursion
    *is* the continuous profile, so Cauchy and Schwarz bound the difference: ‖p̂ − p‖ (∫‖θ − c‖²)^½."""
    path = np.random.default_rng(0).normal(size=(STEPS, 7)).cumsum(0)
    basis = stored(count)
    averages = np.stack([weights(p.width, int(p.end)) @ path for p in basis])
    fit = fit_profile(basis, Profile(width, STEPS))
    missed = np.linalg.norm(np.array(fit.weights) @ averages - weights(width, STEPS) @ path)
    spread = np.sqrt(((path - path.mean(0)) ** 2).sum())
    assert sum(fit.weights) == pytest.approx(1, abs=1e-12)
    assert missed <= fit.error * norm(width) * spread + 1e-8 * np.abs(path).max()


@pytest.mark.parametrize("width", [0.03, 0.07, 0.20])
def test_the_error_is_the_noise_that_a_rebuilt_average_of_noise_deviates_by(width: float):
    """Weights that are independent noise: the deviation of the two averages is exactly ``error`` times that of the true
    one. The profiles of the recursion are continuous ones averaged over each step, hence 2 %."""
    basis = stored(10)
    fit = fit_profile(basis, Profile(width, STEPS))
    mixed = sum(w * weights(p.width, int(p.end)) for w, p in zip(fit.weights, basis, strict=True))
    true = weights(width, STEPS)
    assert np.linalg.norm(mixed - true) / np.linalg.norm(true) == pytest.approx(fit.error, rel=0.02)


@pytest.mark.parametrize("profile", [stored(10)[0], stored(10)[7], stored(10)[-1]])
def test_a_stored_profile_at_a_stored_time_is_taken_as_it_is(profile: Profile):
    fit = fit_profile(stored(10), profile)
    assert sorted(fit.weights) == [0.0] * 19 + [1.0] and fit.weights[stored(10).index(profile)] == 1.0
    assert (fit.error, fit.amplified) == (0.0, 1.0)


def test_the_products_against_quadrature():
    """Powers up to t^97: Gauss-Legendre with 200 nodes is exact for polynomials up to degree 399."""
    rows = [Profile(0.1, 3.0), Profile(0.05, 7.0), Profile(0.28, 7.0)]
    nodes, at = np.polynomial.legendre.leggauss(200)
    for i, p in enumerate(rows):
        for j, q in enumerate(rows):
            end = min(p.end, q.end)
            t = (nodes + 1) / 2 * end
            both = [(gamma_of(r.width) + 1) * (t / r.end) ** gamma_of(r.width) / r.end for r in (p, q)]
            quadrature = float(at @ (both[0] * both[1]) * end / 2)
            assert products(rows, rows)[i, j] == pytest.approx(quadrature, rel=1e-6)  # γ is no whole number


def test_more_snapshots_are_never_worse():
    """A space of profiles that holds the old one cannot be further away."""
    errors = [fit_profile(stored(count), Profile(0.03, STEPS)).error for count in (5, 10, 20, 40)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01


def test_the_averages_of_a_run_are_what_is_rebuilt():
    """PowerEMA itself, on a walk of one weight: stored at ten times, rebuilt at the end."""
    net = nn.Linear(1, 1, bias=False).double()
    ema, direct = PowerEMA(net, STORED), PowerEMA(net, [0.08])
    walk, kept = np.random.default_rng(1).normal(size=200).cumsum(), []
    for t, value in enumerate(walk, 1):
        nn.init.constant_(net.weight, value)
        ema.update(t), direct.update(t)
        if t % 20 == 0:
            kept += [(Profile(w, t), ema.averaged(w)["weight"].item()) for w in STORED]
    fit = fit_profile([profile for profile, _ in kept], Profile(0.08, 200))
    rebuilt = sum(w * value for w, (_, value) in zip(fit.weights, kept, strict=True))
    spread = np.sqrt(((walk - walk.mean()) ** 2).sum())
    own = products([Profile(0.08, 200)], [Profile(0.08, 200)]).item() ** 0.5
    assert abs(rebuilt - direct.state(0.08)["weight"].item()) <= fit.error * own * spread + 1e-9


def test_narrowing_keeps_eleven_bits_or_the_tensor():
    generator = torch.Generator().manual_seed(0)
    usual = torch.randn(1000, generator=generator)
    assert narrowed(usual).dtype == torch.float16
    assert (narrowed(usual).float() - usual).abs().max() <= 2**-11 * usual.abs().max()
    for kept in (usual * 1e5, usual * 1e-7):  # too large, too small
        assert narrowed(kept).dtype == torch.float32 and torch.equal(narrowed(kept), kept)
    assert narrowed(torch.zeros(3)).dtype == torch.float16 and narrowed(torch.zeros(0)).numel() == 0


def test_snapshots_stay_evenly_spread_and_bounded(tmp_path: Path):
    """A run of 10, then made four times as long: never more than the number asked for, gaps within a factor of two."""
    for step in [*range(10, 101, 10), *range(120, 201, 20), *range(240, 401, 40)]:
        write(tmp_path, step, 4 * step, {0.1: {"w": torch.ones(2)}}, keep=10)
        assert len(found(tmp_path)) <= 10
    ends = [snapshot.images for snapshot in found(tmp_path)]
    gaps = np.diff([0, *ends])
    assert len(ends) == 10 and ends[-1] == 1600 and gaps.max() <= 2 * Fraction(1600, 10)
    assert superfluous(found(tmp_path), 10) == []
    drop_after(tmp_path, 200)
    assert max(snapshot.step for snapshot in found(tmp_path)) == 200


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "snapshots").iterdir())}


@pytest.mark.parametrize("kill", [1, 3, 4, 6])
def test_a_killed_and_resumed_run_has_the_same_snapshots_and_the_same_weights(kill: int, tmp_path: Path):
    how = toy.settings(save_every=1, snapshots=4)
    net, resumed, plain = toy.Net(), toy.Net(), toy.Net()
    whole = toy.numbers(net, toy.train(net, how, tmp_path / "whole"))
    toy.train(toy.Net(), how, tmp_path / "killed", until=kill)
    stray = tmp_path / "killed" / "snapshots" / "step-00000007.safetensors"
    write(tmp_path / "killed", 7, 28, {0.05: {"w": torch.zeros(1)}}, keep=9)  # of a session that came further
    assert stray.exists()
    assert toy.equal(toy.numbers(resumed, toy.train(resumed, how, tmp_path / "killed")), whole)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert [int(name[5:13]) for name in contents(tmp_path / "whole")] == [2, 4, 6, 7]
    assert toy.equal(toy.numbers(plain, toy.train(plain, toy.settings())), whole)  # they cost the training nothing


def test_an_average_that_began_late_is_not_stored_and_fresh_moves_all_aside(tmp_path: Path):
    toy.train(toy.Net(), toy.settings(steps=4, snapshots=2), tmp_path)
    toy.train(toy.Net(), toy.settings(steps=8, snapshots=2, ema=(0.05, 0.2)), tmp_path)
    assert [(s.step, s.widths) for s in found(tmp_path)] == [(4, (0.05, 0.1)), (8, (0.05,))]
    for _ in toy.training_steps(
        toy.Net(), toy.Points(), toy.Same(), toy.Noisy(), toy.settings(), tmp_path, device="cpu", fresh=True
    ):
        pass
    assert found(tmp_path) == [] and len(found(tmp_path / "replaced-1")) == 2


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path):
    for step in (1, 2, 3):
        write(tmp_path, step, step, {0.1: {"w": torch.ones(2)}}, keep=5)
    path = found(tmp_path)[1].path
    path.write_bytes(path.read_bytes()[:50])
    assert [snapshot.step for snapshot in found(tmp_path)] == [1, 3]
