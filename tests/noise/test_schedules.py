from __future__ import annotations

import math

import pytest
import torch

from scorefield import UserError
from scorefield.noise import EDM, VE, VP, BetaTable, Cosine, SubVP
from scorefield.testing import check_process, check_schedule
from tests.components import PROCESSES, SCHEDULES


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedule_obeys_its_laws(schedule):
    check_schedule(schedule)


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_process_obeys_its_laws(process):
    check_process(process)


# Published constants of the discrete tables, computed in float64 with high-precision products:
# (betas, T): (ᾱ_1, ᾱ_T).
TABLES = {
    ("linear", 1000): (0.9999, 4.035830e-5),
    ("linear", 4000): (0.999975, 4.246652e-5),
    ("cosine", 1000): (0.99995872, 2.428767e-9),
    ("cosine", 4000): (0.99999013, 1.517980e-10),
    ("scaled-linear", 1000): (0.99915, 4.660098e-3),
}


@pytest.mark.parametrize(("betas", "steps"), TABLES)
def test_tables_have_the_published_ends(betas, steps):
    alpha, sigma = BetaTable(betas, steps)(torch.tensor([1 / steps, 1.0], dtype=torch.float64))
    first, last = TABLES[betas, steps]
    assert alpha[0].square().item() == pytest.approx(first, rel=1e-8)
    assert alpha[1].square().item() == pytest.approx(last, rel=1e-6)  # the figures above have seven digits
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones(2, dtype=torch.float64), rtol=1e-14, atol=0)


def test_zero_terminal_table_is_lin_et_al():
    """ᾱ of the scaled-linear table after rescaling, at 0-based steps 0, 250, 500, 750, 998, 999 (Lin et al. 2024)."""
    t = torch.tensor([1, 251, 501, 751, 999, 1000], dtype=torch.float64) / 1000
    bar = BetaTable("scaled-linear", zero_terminal=True)(t).alpha.square()
    expected = torch.tensor([0.99915, 0.652457, 0.241019, 0.0327991, 1.96789e-7, 0.0], dtype=torch.float64)
    torch.testing.assert_close(bar, expected, rtol=3e-6, atol=0)  # six digits


def test_vp_and_sub_vp_have_the_published_ends():
    t = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    alpha, sigma = VP()(t)
    assert alpha[1].item() == pytest.approx(0.0065716, rel=1e-5)
    assert (sigma / alpha).tolist() == pytest.approx([0.010486, 152.17], rel=1e-4)
    sub = SubVP()(t)
    torch.testing.assert_close(sub.alpha, alpha)
    torch.testing.assert_close(sub.sigma, sigma.square())  # 1 − e^{−B} against √(1 − e^{−B})


def test_ve_is_its_sde():
    """σ² = ∫ g² with g² = 2 σ_min² r²ᵗ log r, by the trapezoid rule: error ≤ (h²/12) max |(g²)''| = 1e-9 σ_max²."""
    schedule, t = VE(), torch.linspace(0, 1, 200_001, dtype=torch.float64)
    log_r = math.log(schedule.sigma_max / schedule.sigma_min)
    g2 = 2 * schedule.sigma_min**2 * (2 * log_r * t).exp() * log_r
    integral = torch.trapezoid(g2, t).item()
    assert schedule(t[-1:]).sigma.square().item() == pytest.approx(integral, rel=1e-8)


def test_cosine_keeps_full_precision_near_clean_data():
    """σ(t) against σ² = 1 − α² in 50 digits, where float64 would cancel: 1 − α² ~ 4e-9 at t = 1e-7."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 50
    t = 1e-7
    angle = lambda u: mpmath.cos(mpmath.pi / 2 * (mpmath.mpf(u) + mpmath.mpf(0.008)) / (1 + mpmath.mpf(0.008)))  # noqa: E731
    truth = mpmath.sqrt(1 - (angle(t) / angle(0)) ** 2)
    assert Cosine()(torch.tensor(t, dtype=torch.float64)).sigma.item() == pytest.approx(float(truth), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: VP(beta_min=-1), "vp needs 0 < beta_min < beta_max"),
        (lambda: SubVP(beta_min=5, beta_max=1), "sub-vp needs 0 < beta_min < beta_max"),
        (lambda: VE(sigma_min=2, sigma_max=1), "ve needs 0 < sigma_min < sigma_max"),
        (lambda: EDM(sigma_max=0), "edm needs sigma_max > 0"),
        (lambda: Cosine(offset=1), "cosine needs 0 ≤ offset < 1"),
        (lambda: BetaTable("linea"), "no table of betas is called 'linea'. Did you mean 'linear'?"),
        (lambda: BetaTable(steps=1), "at least 2 steps, got 1"),
    ],
)
def test_impossible_schedules_say_so(make, sentence):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        make()
