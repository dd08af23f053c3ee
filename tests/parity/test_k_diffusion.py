"""k-diffusion 0.1.1: the samplers that both have give the same numbers. It works at α = 1, our EDM schedule, t = σ/80.

Both run in float64 on the same grid from the same noise, the stochastic ones with the same draws. What is left is
rounding: 1e-9 leaves room for σ = 80 next to data of size 1 in 16 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peers import doubled, k_diffusion
from benchmarks.peers.common import Oracle, karras
from scorefield.noise import EDM
from scorefield.solvers import Churn, Exponential, RungeKutta

k_diffusion.stub()
SAMPLING = pytest.importorskip("k_diffusion.sampling")

LEVELS = karras(12, 0.02, 80.0)
SIGMAS = torch.tensor([*LEVELS, 0.0], dtype=torch.float64)


def theirs(sampler: str, denoiser: Any, noise: Tensor, sigmas: Tensor = SIGMAS, **options: Any) -> Tensor:
    oracle = Oracle(denoiser)
    sample = getattr(SAMPLING, f"sample_{sampler}")
    return sample(lambda x, sigma: oracle(x, 1.0, sigma[0]), noise * sigmas[0], sigmas, disable=True, **options)


@pytest.mark.parametrize(
    ("sampler", "options", "solver"),
    [
        ("euler", {}, "euler"),
        ("heun", {}, "heun"),
        ("dpm_2", {}, "dpm2"),
        ("dpmpp_2s_ancestral", {"eta": 0.0}, "dpmpp2s"),
        ("dpmpp_sde", {"eta": 0.0}, "dpmpp2s"),
        ("dpmpp_2m", {}, "dpmpp2m-published"),
        ("dpmpp_2m_sde", {"eta": 0.0}, "dpmpp2m-published"),
        ("dpmpp_2m_sde", {"eta": 0.0, "solver_type": "heun"}, "dpmpp2m"),
        ("dpmpp_3m_sde", {"eta": 0.0}, Exponential(3, weights="k-diffusion")),
    ],
)
def test_deterministic(sampler: str, options: dict, solver: Any, exact: Any, noise: Tensor, ours: Any) -> None:
    denoiser = exact(EDM())
    x = ours(denoiser, solver, 80 * noise, SIGMAS / 80)
    torch.testing.assert_close(theirs(sampler, denoiser, noise, **options), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("sampler", "options", "solver"),
    [
        ("euler_ancestral", {}, "ddpm"),
        ("euler_ancestral", {"eta": 0.6}, Exponential(1, 0.6)),
        ("dpmpp_2m_sde", {}, "sde-dpmpp2m-published"),
        ("dpmpp_2m_sde", {"solver_type": "heun"}, "sde-dpmpp2m"),
        # Their η multiplies the drift, ours (Song et al.'s) the deviation; SA-Solver's τ² is theirs.
        ("dpmpp_2m_sde", {"eta": 0.5, "solver_type": "heun"}, Exponential(2, tau=math.sqrt(0.5))),
        ("dpmpp_3m_sde", {}, "sde-dpmpp3m-published"),
    ],
)
def test_stochastic(
    sampler: str, options: dict, solver: Any, exact: Any, noise: Tensor, ours: Any, draws: Callable
) -> None:
    denoiser = exact(EDM())
    x = ours(denoiser, solver, 80 * noise, SIGMAS / 80)
    peer = theirs(sampler, denoiser, noise, noise_sampler=draws(noise), **options)
    torch.testing.assert_close(peer, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_churn(sampler: str, exact: Any, noise: Tensor, ours: Any, draws: Callable) -> None:
    """They draw at every step and use the draw inside the interval; ours draws there only. S_max stays below σ_max,
    because our noise never rises above that of t = 1."""
    denoiser, draw, calls = exact(EDM()), draws(noise), iter(LEVELS)
    low, high = 0.05, 50.0

    def handed(like: Tensor) -> Tensor:
        return draw() if low <= next(calls) <= high else torch.zeros_like(like)

    solver = Churn(RungeKutta(sampler, clock="sigma"), churn=3.0, low=low, high=high, noise=1.003)
    x = ours(denoiser, solver, 80 * noise, SIGMAS / 80)
    with doubled(SAMPLING, randn_like=handed):
        peer = theirs(sampler, denoiser, noise, s_churn=3.0, s_tmin=low, s_tmax=high, s_noise=1.003)
    torch.testing.assert_close(peer, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_linear_multistep(order: int, exact: Any, noise: Tensor, ours: Any) -> None:
    """Down to σ = 0.02: their step to 0 extrapolates, ours takes the clean image. Their integrals are adaptive
    quadratures of polynomials to a relative 1e-4, in fact exact to rounding."""
    denoiser, sigmas = exact(EDM()), SIGMAS[:-1]
    x = ours(denoiser, Exponential(order, space="eps", clock="sigma"), 80 * noise, sigmas / 80)
    torch.testing.assert_close(theirs("lms", denoiser, noise, sigmas, order=order), x, rtol=0, atol=1e-8)


def test_dpm_solver_3(exact: Any, noise: Tensor, ours: Any) -> None:
    """The step that ``dpm_fast`` and ``dpm_adaptive`` are made of."""
    denoiser, oracle, x = exact(EDM()), Oracle(exact(EDM())), 80 * noise
    theirs = SAMPLING.DPMSolver(lambda x, sigma: oracle(x, 1.0, sigma[0]))
    for t, s in pairwise(SIGMAS[:-1]):
        x, _ = theirs.dpm_solver_3_step(x, theirs.t(t), theirs.t(s))
    torch.testing.assert_close(x, ours(denoiser, "dpm3", 80 * noise, SIGMAS[:-1] / 80), rtol=0, atol=1e-9)
