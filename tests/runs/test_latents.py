"""Latents of runs: against a flow in closed form, there and back, and as files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import scorefield
from scorefield import UserError
from scorefield.core import as_time
from scorefield.likelihood import Adams
from scorefield.likelihood import encode as encoded
from scorefield.runs.latents import Latents, decode, encode, interpolate
from tests.runs.conftest import TINY


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory: pytest.TempPathFactory):
    """A run whose network has not moved from zero: its denoiser is that of N(0, c²), c = sigma_data."""
    root = tmp_path_factory.mktemp("gaussian") / "runs"
    return scorefield.train("moons", runs=root, steps=1, lr=1e-12, schedule="vp", **TINY | {"preview": 0})


def test_latents_of_a_gaussian_are_known(gaussian):
    """x₁/σ₁ = x √(α₁² c² + σ₁²)/(c σ₁) along the flow of N(0, c²)."""
    found = encode(gaussian, n=20)
    alpha, sigma = (part.item() for part in gaussian.process.schedule(as_time(1.0)))
    c = gaussian.denoiser.sigma_data
    want = gaussian.codec.encode(found.x).float() * math.sqrt((alpha * c) ** 2 + sigma**2) / (c * sigma)
    torch.testing.assert_close(found.z, want, rtol=1e-4, atol=1e-4)


def test_there_and_back(finished_digits: Path, tmp_path: Path):
    """At a tolerance of 1e-4 the walk back ends within half a byte: every byte is what it was. Through every kind of
    file, in another batch size, and told the same classes."""
    run = scorefield.load(finished_digits / "digits", device="cpu")
    latents = encode(run, n=6)
    assert torch.equal(latents.labels, run.dataset().held_out.labels[:6])
    for ending in (".npz", ".safetensors"):
        back = decode(run, latents.save(tmp_path / f"z{ending}"), batch=4)
        assert torch.equal(back.x, latents.x) and torch.equal(back.labels, latents.labels)
    alone = np.load(latents.save(tmp_path / "z.npy"))
    np.testing.assert_array_equal(alone, latents.z.numpy())
    assert torch.equal(decode(run, alone, label=latents.labels).x, latents.x)
    other = encode(run, "digits", 6, label=3)
    assert (other.labels == 3).all() and not torch.equal(other.x, latents.x)  # the first of all, not of those held out


def test_the_flow_is_that_of_likelihood(finished_digits: Path):
    run = scorefield.load(finished_digits / "digits", device="cpu")
    latents = encode(run, n=3, label="7", tol=1e-3)
    x = run.codec.encode(latents.x).float()
    want = encoded(run.denoiser, x, solver=Adams(1e-3), label=torch.full((3,), 7))
    torch.testing.assert_close(latents.z * run.process.schedule(as_time(1.0)).sigma.item(), want)


def test_interpolation_has_both_ends(finished_digits: Path, tmp_path: Path):
    run = scorefield.load(finished_digits / "digits", device="cpu")
    held = run.dataset().held_out
    made = interpolate(run, 0, "1", 4)
    assert torch.equal(made.x[[0, 3]], held.x[:2]) and len(made) == 4 and (made.labels == -1).all()
    made.save(tmp_path / "strip.png")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda run: encode(run, n=0), "n must be at least 1, got 0"),
        (lambda run: encode(run, label="a"), "class 'a' is not known"),
        (lambda run: encode(run, "digits"), "digits holds images of 1×8×8, but this run makes vectors of 2"),
        (lambda run: encode(run, tol=0.0), "tol, .* between 0 and 1"),
        (lambda run: decode(run, torch.zeros(3, 5)), r"real numbers N × 2, got torch.float32 of \(3, 5\)"),
        (lambda run: decode(run, "nowhere.npz"), "nowhere.npz does not exist"),
        (lambda run: decode(run, "picture.png"), "picture.png should be latents: .npz, .safetensors, .npy"),
        (lambda run: interpolate(run, 0, 1, 1), "n must be at least 2, got 1"),
        (lambda run: interpolate(run, 0, 10**6), "no held-out example 1000000"),
        (lambda run: interpolate(run, "a.png", "b.png"), "say the numbers of two held-out examples"),
    ],
)
def test_bad_input(gaussian, call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(gaussian)


def test_files_that_hold_no_latents(gaussian, tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2)))
    with pytest.raises(UserError, match="holds x and no latents z"):
        decode(gaussian, tmp_path / "x.npz")
    for name in ("z.npz", "z.safetensors", "z.npy"):
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(UserError, match=f"{name} cannot be read as latents"):
            decode(gaussian, tmp_path / name)
    with pytest.raises(UserError, match="exists and is not overwritten"):
        Latents(torch.zeros(1, 2), torch.zeros(1, 2)).save(tmp_path / "z.npy")
