"""NCSN's samplers, against numbers from the authors' algorithms on Gaussian data (exact linear propagation)."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, UserError
from scorefield.noise import EDM, VP
from scorefield.solvers.annealed import AnnealedLangevin, Consistent, carried, technique_4
from scorefield.testing import check_solver
from tests.components import PROCESSES
from tests.solvers.laws import response

UNIFORM = 1 / 12  # variance of the authors' start, U[0, 1]; their mean is forgotten


def geometric(top: float, count: int, low: float = 0.01) -> tuple[Gaussian, torch.Tensor]:
    """A process whose times are σ/top, and the authors' levels on it, then clean data."""
    levels = torch.logspace(0, math.log10(low / top), count, dtype=torch.float64)
    return Gaussian(EDM(top)), torch.cat([levels, torch.zeros(1, dtype=torch.float64)])


@pytest.mark.parametrize("solver", [AnnealedLangevin(), AnnealedLangevin(2), Consistent()], ids=repr)
def test_they_obey_the_laws_of_solvers(solver):
    for process in PROCESSES[::3]:
        check_solver(solver, process)


CIFAR = {0.25: (0.266983, 0.266557), 0.5: (0.533651, 0.533437), 1.0: (1.067143, 1.067036)}


@pytest.mark.parametrize("std", CIFAR)
def test_annealed_langevin_gives_ncsnv2s_numbers(std):
    """Levels 50 … 0.01, 232 of them, 5 moves, ε = 6.2e-6: the raw and the denoised deviation on N(0, std²)."""
    process, times = geometric(50, 232)
    raw, denoised = CIFAR[std]
    solver = AnnealedLangevin(5, 6.2e-6)
    got = response(solver, process, times, 0.0, std**2)
    assert got.nfe == 232 * 5 + 1
    assert got.var(UNIFORM) ** 0.5 == pytest.approx(denoised, abs=6e-7)
    assert response(solver, process, times, 0.0, std**2, before=True).var(UNIFORM) ** 0.5 == pytest.approx(
        raw, abs=6e-7
    )


def test_annealed_langevin_on_a_point_leaves_noise_that_the_last_belief_removes():
    process, times = geometric(50, 232)
    solver = AnnealedLangevin(5, 6.2e-6)
    assert response(solver, process, times, 0.0, 0.0, before=True).var(UNIFORM) ** 0.5 == pytest.approx(
        0.0106221, abs=6e-8
    )
    assert response(solver, process, times, 0.0, 0.0).var(UNIFORM) == 0


@pytest.mark.parametrize(
    ("epsilon", "numbers"), [(2e-5, {0.25: 0.2540305, 0.5: 0.5078472}), (1e-5, {0.25: 0.2576919, 0.5: 0.5151789})]
)
def test_annealed_langevin_gives_ncsns_numbers(epsilon, numbers):
    """Levels 1 … 0.01, 10 of them, 100 moves. 2e-5 is what the code does, 1e-5 what the paper writes."""
    process, times = geometric(1, 10)
    for std, number in numbers.items():
        got = response(AnnealedLangevin(100, epsilon), process, times, 0.0, std**2, before=True)
        assert got.var(UNIFORM) ** 0.5 == pytest.approx(number, abs=6e-8)


@pytest.mark.parametrize(
    ("top", "count", "steps", "epsilon"),
    [
        (50, 232, 5, 6.184e-6),
        (90, 500, 5, 3.337e-6),
        (140, 788, 4, 2.31e-6),
        (190, 1086, 3, 1.767e-6),
        (348, 2311, 3, 8.93e-7),
    ],
)
def test_the_step_chosen_is_that_of_technique_4(top, count, steps, epsilon):
    """NCSNv2's configs for CIFAR-10, CelebA, church, bedroom and FFHQ (table of the reference, four digits)."""
    process, times = geometric(top, count)
    assert AnnealedLangevin(steps).init(process, times) * 1e-4 == pytest.approx(epsilon, rel=2e-3)


@pytest.mark.parametrize(
    ("top", "count", "steps", "epsilon", "value"),
    [
        (50, 232, 5, 6.2e-6, 1.0555),
        (90, 500, 5, 3.3e-6, 1.0314),
        (140, 788, 4, 4.9e-6, 1.0247),
        (190, 1086, 3, 1.8e-6, 1.0174),
        (348, 2311, 3, 9e-7, 1.0089),
    ],
)
def test_the_published_steps_carry_what_technique_4_says(top, count, steps, epsilon, value):
    """The variance that is left at each level, in units of its own: 1 % to 6 % too much, and nearest to 1 where ε is
    the one chosen."""
    ratio = (top / 0.01) ** (1 / (count - 1))
    rates = torch.tensor([epsilon * 1e4, technique_4(ratio, steps)], dtype=torch.float64)
    published, chosen = carried(rates, ratio, steps).tolist()
    assert published == pytest.approx(value, abs=6e-5)
    assert abs(chosen - 1) <= abs(published - 1) + 1e-9


@pytest.mark.parametrize(("std", "number"), [(0.25, 0.246616), (0.5, 0.492961)])
def test_consistent_sampling_gives_its_authors_numbers(std, number):
    process, times = geometric(50, 232)
    got = response(Consistent(5.6e-6), process, times, 0.0, std**2, before=True)
    assert got.nfe == 233
    assert got.var(2500.0) ** 0.5 == pytest.approx(number, abs=6e-7)


def test_consistent_sampling_on_a_point_has_the_noise_of_its_level():
    """After level i the deviation is σ_{i+1} exactly, (1 − η) σ_L before the last belief, then 0."""
    process, times = geometric(50, 232)
    for i in (1, 2, 100, 231):
        got = response(_Until(times, 5.6e-6), process, times[: i + 1], 0.0, 0.0)
        assert got.var(2500.0) ** 0.5 == pytest.approx(50 * times[i].item(), rel=1e-9)
    last = response(Consistent(5.6e-6), process, times, 0.0, 0.0, before=True)
    assert last.var(2500.0) ** 0.5 == pytest.approx(0.00944, rel=1e-9)
    assert response(Consistent(5.6e-6), process, times, 0.0, 0.0).var(2500.0) == 0


class _Until:
    """Consistent sampling that stops early but knows its whole grid."""

    tabulates = True

    def __init__(self, times, epsilon):
        self.times, self.inner = times, Consistent(epsilon)
        self.step = self.inner.step

    def init(self, process, times):
        return self.inner.init(process, self.times)


def test_the_numbers_do_not_depend_on_the_schedule():
    """x/α on VP, at the same σ/α, is x on VE."""
    edm, times = geometric(50, 60, 0.02)
    vp = Gaussian(VP())
    same = vp.time(edm.log_ratio(times))
    start = vp.schedule(same[0]).alpha.item() ** 2 * 2500
    for solver in (AnnealedLangevin(3), Consistent()):
        ve, other = response(solver, edm, times, 0.2, 0.3), response(solver, vp, same, 0.2, 0.3)
        assert other.var(start) == pytest.approx(ve.var(2500.0), rel=1e-7)  # times come back from λ to 1e-9
        assert other.shift == pytest.approx(ve.shift, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p, t: AnnealedLangevin(0), "at least 1, got 0"),
        (lambda p, t: AnnealedLangevin(5, 0.0), "epsilon must be above 0, got 0.0. Leave it out"),
        (lambda p, t: AnnealedLangevin(5, 3e-4).init(p, t), "0.0003 diverges .* σ/α = 0.01: it must be below 0.0002"),
        (lambda p, t: Consistent(float("nan")), "epsilon must be above 0"),
        (lambda p, t: Consistent(3.6e-6).init(p, t), "inconsistent with.*between 3.62e-06 and 0.00019638"),
        (lambda p, t: Consistent(2e-4).init(p, t), "must be between"),
        (lambda p, t: Consistent().init(object(), t), "Consistent needs a process with bridge"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(*geometric(50, 232))
