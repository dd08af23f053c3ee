"""The kit passes what is right (everywhere else in these tests) and, here, catches what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from scorefield import ClassifierFree, Gaussian, GaussianMixture, Moments
from scorefield.data import Pixels, Standardise
from scorefield.noise import VP, Flow, Scales
from scorefield.solvers import Exponential
from scorefield.testing import check_codec, check_denoiser, check_guidance, check_process, check_schedule, check_solver


def test_our_codecs_obey_their_laws():
    check_codec(Pixels(), torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8))
    check_codec(Standardise([1.0, -2.0], [0.5, 30.0]), torch.randn(50, 2, generator=torch.Generator().manual_seed(0)))


@dataclass(frozen=True)
class Bent:
    """Flow with one thing wrong."""

    start: float = 0.0  # σ(0)
    inverse: float = 1.0  # a factor on time()

    def __call__(self, t):
        return Scales(1 - t, t + self.start)

    def time(self, log_ratio):
        return torch.sigmoid(-log_ratio) * self.inverse


class OffByAStep(Gaussian):
    """Reads the noise of the wrong level when it steps back."""

    def reverse(self, x, belief, t, s, rng, eta=1.0):
        return super().reverse(x, belief, t, s + 0.01, rng, eta)


class Late(Exponential):
    """Claims order 2 and forgets its past."""

    def step(self, denoiser, x, t, s, memory, rng):
        return super().step(denoiser, x, t, s, replace(memory, past=()), rng)


class Coupled:
    """A denoiser that looks at the whole batch."""

    process = Gaussian(VP())

    def __call__(self, x, t, **cond):
        return Moments(x - x.mean(0))


class Truncating:
    """A codec that rounds down."""

    def encode(self, raw):
        return raw.float() / 127.5 - 1

    def decode(self, z):
        return ((z + 1) * 127.4).to(torch.uint8)


MIXTURE = GaussianMixture.isotropic(torch.tensor([[1.0], [-1.0]], dtype=torch.float64), 0.3)


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: check_schedule(Bent(start=0.1)), "x_0 must be the data"),
        (lambda: check_schedule(Bent(inverse=0.99)), "time is no inverse"),
        (lambda: check_process(OffByAStep(Flow())), "reverse step misses"),
        (lambda: check_solver(Late(2), Gaussian(VP()), order=2), r"order (0.9|1.0)\d, claimed 2"),
        (lambda: check_denoiser(Coupled(), (4, 2)), "an example depends on its batch"),
        (lambda: check_codec(Truncating(), torch.arange(256, dtype=torch.uint8).reshape(4, 64)), "differs from x"),
        (
            lambda: check_guidance(lambda w: ClassifierFree(MIXTURE.denoiser(Gaussian(VP())), w), (4, 1)),
            "the condition changes nothing",
        ),
    ],
    ids=["dirty start", "wrong inverse", "wrong level", "lost order", "coupled batch", "lossy codec", "deaf guidance"],
)
def test_the_kit_catches(check, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check()
