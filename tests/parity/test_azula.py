"""azula 0.11.1: the samplers that both have give the same numbers, on a schedule through the same levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peers import azula, doubled
from benchmarks.peers.common import karras
from scorefield.noise import EDM
from scorefield.solvers import Exponential

pytest.importorskip("azula")
LEVELS = karras(14, 0.02, 80.0)
TIMES = torch.tensor(LEVELS, dtype=torch.float64) / 80


@pytest.mark.parametrize(
    ("sampler", "options", "solver"),
    [
        ("DDIM", {}, "ddim"),
        ("Euler", {}, "euler"),
        ("Heun", {}, "heun"),
        ("zAB", {"order": 3}, Exponential(3, space="eps", clock="sigma")),
        ("zEAB", {"order": 3}, Exponential(3, space="eps")),
        ("xEAB", {"order": 2}, "dpmpp2m"),
        ("xEAB", {"order": 3}, "dpmpp3m"),
        ("xEAB", {"order": 4}, Exponential(4)),
    ],
)
def test_deterministic(sampler: str, options: dict, solver: Any, exact: Any, noise: Tensor, ours: Any) -> None:
    """To 1e-7: their integrals are differences of closed forms, which cancel."""
    denoiser = exact(EDM())
    theirs, _ = azula.run(sampler, azula.own(LEVELS), len(LEVELS) - 1, False, denoiser, noise, **options)
    torch.testing.assert_close(theirs, ours(denoiser, solver, 80 * noise, TIMES), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("options", "eta"), [({}, 1.0), ({"eta": 0.25}, 0.5)])
def test_stochastic(options: dict, eta: float, exact: Any, noise: Tensor, ours: Any, draws: Callable) -> None:
    """Their η of DDIM multiplies the variance, the paper's and ours the deviation."""
    theirs = pytest.importorskip("azula.sample")

    denoiser = exact(EDM())
    with doubled(theirs, randn_like=draws(noise)):
        name = "DDIM" if options else "DDPM"
        x, _ = azula.run(name, azula.own(LEVELS), len(LEVELS) - 1, False, denoiser, noise, **options)
    torch.testing.assert_close(x, ours(denoiser, Exponential(1, eta), 80 * noise, TIMES), rtol=0, atol=1e-9)
