"""EDM's own sampler (Karras et al. 2022, algorithm 2): endpoints recorded from its code by ``record_edm.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import scorefield as sf
from scorefield.noise import EDM
from scorefield.solvers import Churn, Karras, RungeKutta

RECORDED = json.loads(Path(__file__).with_name("edm.json").read_text(encoding="utf-8"))
HIGHEST = 160.0  # σ at t = 1: above the start, so that churn may raise the first level too


class Replay:
    """The recorded draws, in order."""

    def __init__(self, draws: list[Tensor]) -> None:
        self.draws = iter(draws)

    def normal(self, like: Tensor) -> Tensor:
        return next(self.draws)


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: str(case["options"]))
def test_the_numbers_of_their_code(case: dict[str, Any]) -> None:
    """The same grid, start and draws. They draw at every step, we only where γ > 0: inside [S_min, S_max]."""
    law, options = RECORDED["law"], {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0, **case["options"]}
    weights, means, stds = (torch.tensor(law[key], dtype=torch.float64) for key in ("weights", "means", "stds"))
    covs = stds[:, None, None] ** 2 * torch.eye(2, dtype=torch.float64)
    denoiser = sf.GaussianMixture(weights, means, covs).denoiser(sf.Gaussian(EDM(HIGHEST)))

    low, high, rho = (options[key] for key in ("sigma_min", "sigma_max", "rho"))
    own = Karras(low, high, rho)(sf.Gaussian(EDM(high)), options["num_steps"])  # t of a schedule that ends at high
    times = own * high / HIGHEST
    x = high * torch.tensor(RECORDED["latents"], dtype=torch.float64)
    solver: Any = RungeKutta("heun")
    draws: list[Tensor] = []
    if "S_churn" in options:
        low, high = options["S_min"], options["S_max"]
        solver = Churn(solver, options["S_churn"], low, high, options["S_noise"])
        inside = [low <= sigma <= high for sigma in (HIGHEST * times[:-1]).tolist()]
        draws = [torch.tensor(z, dtype=torch.float64) for z, used in zip(case["draws"], inside, strict=True) if used]
    end = list(sf.trajectory(denoiser, x, times, solver=solver, rng=Replay(draws)))[-1]
    assert end.nfe == 2 * options["num_steps"] - 1
    torch.testing.assert_close(end.x, torch.tensor(case["endpoint"], dtype=torch.float64), rtol=0, atol=1e-8)
