"""The accuracy benchmark measures what it says: its denoiser, its reference, and the budgets of every candidate."""

from __future__ import annotations

import math

import pytest
import torch

import scorefield as sf
from benchmarks import peers

pytest.importorskip("scipy")
from benchmarks import accuracy, problems

VARIANCE = 0.3


@pytest.mark.parametrize("law", [problems.ring, problems.textures])
def test_the_cheap_denoiser_is_the_general_one(law) -> None:
    weights, means, variances = law()
    process, start = sf.Gaussian(problems.SCHEDULES["vp"]), torch.randn(4, means.shape[1], dtype=torch.float64)
    general = sf.GaussianMixture(weights, means, torch.diag_embed(variances)).denoiser(process)
    for t in torch.tensor([0.01, 0.3, 1.0], dtype=torch.float64):
        cheap = problems.Diagonal((weights, means, variances), process)(start, t).mean
        torch.testing.assert_close(cheap, general(start, t).mean, rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", problems.SCHEDULES)
def test_the_reference_is_the_endpoint(schedule: str) -> None:
    """On N(m, v) the flow keeps quantiles: x₀ = m + √v (x₁ − α₁ m)/√(α₁² v + σ₁²)."""
    process, mean = sf.Gaussian(problems.SCHEDULES[schedule]), torch.tensor([[0.4, -1.0]], dtype=torch.float64)
    law = (torch.ones(1, dtype=torch.float64), mean, torch.full_like(mean, VARIANCE))
    start = torch.linspace(-2, 2, 6, dtype=torch.float64).view(3, 2)
    alpha, sigma = process.schedule(torch.tensor(1.0, dtype=torch.float64))
    truth = mean + (VARIANCE / (alpha**2 * VARIANCE + sigma**2)).sqrt() * (sigma * start - alpha * mean)
    found = problems.endpoint(problems.Diagonal(law, process), start)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["vp", "flow"])
def test_every_candidate_keeps_its_budget(schedule: str) -> None:
    """``measured`` refuses more evaluations than were allowed; all but a few settings run, in every library."""
    asked, start = problems.denoiser("mixture-2", schedule, {}), problems.noise("mixture-2")[:2]
    truth, nfe = problems.endpoint(asked, start, 1e-5), 7
    found: dict[str, list[float]] = {}
    for source in (peers.candidates(asked.process, nfe), accuracy.ours(schedule, nfe)):
        for candidate in source:
            row = accuracy.measured(candidate, asked, start, truth, nfe)
            found.setdefault(row[0], []).append(row[4])
    assert set(found) == {*peers.versions(), "scorefield"}
    for errors in found.values():
        assert sum(map(math.isfinite, errors)) > 0.95 * len(errors)
