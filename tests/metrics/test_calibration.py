"""Simulation-based calibration: exact samplers pass, samplers that are too narrow, too wide or off to a side do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scorefield import GaussianMixture, Rng
from scorefield.errors import UserError
from scorefield.metrics import calibration
from scorefield.metrics.calibration import FALSE_ALARM, _mean_is_one, ranks

STD = 0.5
A = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
PRIOR = GaussianMixture(
    torch.tensor([0.7, 0.3]).double(),
    torch.tensor([[0.0, 0.0, 0.0], [3.0, -1.0, 2.0]]).double(),
    torch.stack([torch.eye(3).double(), 0.3 * torch.eye(3).double()]),
)


def simulated(n: int, count: int, seed: int, spread: float = 1.0, shift: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Truth (n, F), draws (n, count, F) and χ²/M (n,) of the mixture's exact posterior, its draws spread around their
    mean by a factor and moved: the numbers are three coordinates and the likelihood."""
    rng = Rng(seed)
    x = PRIOR.sample(n, rng)
    y = x @ A.mT + STD * rng.normal(torch.empty(n, 2).double())
    draws = []
    for row in y:
        posterior = PRIOR.posterior(A, row, STD)
        drawn = posterior.sample(count, rng)
        draws.append(posterior.mean + spread * (drawn - posterior.mean) + shift)
    drawn = torch.stack(draws)
    square = ((y[:, None] - drawn @ A.mT) / STD).square().sum(-1)
    own = ((y - x @ A.mT) / STD).square().sum(-1, keepdim=True)
    return torch.cat([x, -0.5 * own], 1), torch.cat([drawn, -0.5 * square[..., None]], 2), square.mean(1) / 2


NAMES = ("a", "b", "c", "likelihood")


def test_an_exact_sampler_passes():
    """By construction with probability 0.99 for any seed: this is one of them. Coverage within 4 standard errors."""
    truth, draws, chi2 = simulated(400, 19, 0)
    found = calibration(truth, draws, NAMES, chi2=chi2)
    assert found.passed and "no fault" in found.verdict
    assert found.chi2 is not None and abs(found.chi2 - 1) < 4 * found.chi2_se
    for one in found:
        assert [c.level for c in one.coverage] == pytest.approx([0.5, 0.8, 0.9])
        assert all(abs(c.value - c.level) < 4 * c.se for c in one.coverage)
        assert one.reading == "no fault seen" and sum(one.counts) == 400


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"spread": 0.6}, "too narrow"),
        ({"spread": 1.7}, "too wide"),
        ({"shift": 0.5}, "above the truth"),
        ({"shift": -0.5}, "below the truth"),
    ],
)
def test_a_wrong_sampler_fails_and_the_reading_says_how(fault: dict, words: str):
    truth, draws, _ = simulated(300, 15, 1, **fault)
    found = calibration(truth[:, :3], draws[:, :, :3], NAMES[:3])
    assert not found.passed and found.p < 1e-4 and words in found.verdict
    assert found.to_json()["verdict"] == found.verdict


def test_draws_that_do_not_read_y_are_seen_by_the_likelihood_alone():
    """The prior instead of the posterior passes on every number of x; only a number that reads y tells."""
    truth = simulated(300, 1, 2)[0]
    rng = Rng(3)
    prior = torch.stack([PRIOR.sample(15, rng) for _ in range(300)])
    assert calibration(truth[:, :3], prior).passed
    y = truth[:, :3] @ A.mT  # noiseless is enough to tell
    square = ((y[:, None] - prior @ A.mT) / STD).square().sum(-1)
    with_y = torch.cat([prior, -0.5 * square[..., None]], 2)
    found = calibration(truth, with_y, NAMES, chi2=square.mean(1) / 2)
    assert not found.passed and found.chi2 is not None and found.chi2 > 2


def test_false_alarms_are_as_rare_as_is_said():
    """400 exact calibrations of four independent numbers: more than 14 alarms at 1 % have probability 3e-5."""
    rng, alarms = Rng(4), 0
    for _ in range(400):
        truth, draws = (rng.normal(torch.empty(shape)) for shape in ((64, 4), (64, 15, 4)))
        alarms += not calibration(truth, draws).passed
    assert FALSE_ALARM == 0.01 and alarms <= 14


@pytest.mark.parametrize(("n", "m", "most"), [(16, 1, 0.0105), (16, 8, 0.0045), (64, 2, 0.004)])
def test_the_test_of_residuals_holds_its_level_though_their_law_is_skewed(n: int, m: int, most: float):
    """χ²/M of M numbers, at level 0.00125, that of one test of eight: 12,000 exact ones gave alarms in .0056, .0017 and
    .0013 of them, and ``most`` is 4 standard errors of 4,000 above; a z-test gave .056, .011 and .007."""
    chi2 = Rng(7).normal(torch.empty(4000, n, m).double()).square().mean(2)
    alarms = sum(_mean_is_one(row) < 0.00125 for row in chi2) / len(chi2)
    assert alarms < most


def test_the_verdict_names_the_test_that_failed_worst():
    """Worst first where both ranks and χ² are off, and χ² left out where it is not."""
    rng = Rng(8)
    truth, draws = rng.normal(torch.empty(64, 1)) + 1.0, rng.normal(torch.empty(64, 15, 1))
    assert "draws lie below the truth" in calibration(truth, draws, ["mean"], chi2=torch.ones(64)).verdict
    far = 3 + 0.1 * rng.normal(torch.empty(64))
    said = calibration(truth, draws, ["mean"], chi2=far).verdict
    assert said.endswith("draws lie too far from y, χ²/M = 2.99 ± 0.01; of mean, draws lie below the truth")
    assert calibration(draws[:, 0], draws[:, 1:], ["mean"], chi2=far).verdict.endswith(
        "): draws lie too far from y, χ²/M = 2.99 ± 0.01"
    )
    near = 1.02 + 0.3 * rng.normal(torch.empty(64))
    assert calibration(truth, draws, ["mean"], chi2=near).verdict.endswith("of mean, draws lie below the truth")


def test_ranks_of_ties_are_uniform():
    """All equal: every rank is as likely, χ² of 4,000 over 8 ranks below 30 but for 1e-4."""
    found = ranks(torch.zeros(4000, 1), torch.zeros(4000, 7, 1), 5)
    counts = torch.bincount(found[:, 0], minlength=8).double()
    assert ((counts - 500).square() / 500).sum() < 30
    some = ranks(torch.tensor([[2.0]]), torch.tensor([[[1.0], [3.0], [0.0]]]), 6)
    assert some.item() == 2


@pytest.mark.parametrize(
    ("truth", "draws", "sentence"),
    [
        ((20, 2), (20, 5, 3), r"truth \(N, F\) and draws \(N, L, F\), got 20×2 and 20×5×3"),
        ((8, 2), (8, 5, 2), "at least 16 simulations of 3 draws, got 8 of 5"),
    ],
)
def test_what_cannot_be_calibrated_is_said(truth: tuple, draws: tuple, sentence: str):
    with pytest.raises(UserError, match=sentence):
        calibration(torch.zeros(truth), torch.zeros(draws))
    with pytest.raises(UserError, match="finite numbers"):
        calibration(torch.zeros(20, 1), torch.full((20, 5, 1), torch.nan))
