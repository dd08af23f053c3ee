"""Every grid falls, on every schedule; and those that other libraries have give the same numbers."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from scorefield import Gaussian, UserError
from scorefield.noise import EDM, VP, BetaTable, Flow
from scorefield.registry import from_config, names, to_config
from scorefield.solvers import grids, named
from scorefield.solvers.grids import (
    BetaQuantile,
    Karras,
    Knots,
    Leading,
    Linspace,
    Listed,
    LogSNR,
    Optimised,
    PolyExponential,
    Quadratic,
    Rectified,
    Shifted,
    Sigmas,
    Trailing,
    Uniform,
)  # fmt: skip
from scorefield.solvers.grids.optimised import CANDIDATES, lost
from scorefield.solvers.grids.quantile import incomplete_beta
from scorefield.testing import gaussian_endpoint
from tests.components import SCHEDULES

FROM_ONE = [
    *(Uniform(), Quadratic(), Shifted(), Shifted(0.3), Rectified(), Rectified(0.1)),
    *(Karras(), Karras(rho=1), LogSNR(), PolyExponential(rho=0.7)),
    *(BetaQuantile(), BetaQuantile(0.3, 2), Trailing(), Linspace(skip_cleanest=True)),
    *(Knots(), Knots("sdxl"), Knots("svd"), Knots((7.0, 0.1, 0.03))),
    *(Optimised(), Optimised((0.5,))),
]
STD = EDM(80.0)


def levels(grid, steps, schedule=STD):
    """σ/α at the times of a grid."""
    process = Gaussian(schedule)
    return (-process.log_ratio(grid(process, steps))).exp()


@pytest.mark.parametrize("grid", FROM_ONE, ids=repr)
def test_grids_fall_from_exactly_one_to_exactly_zero_on_every_schedule(grid):
    for schedule, steps in product(SCHEDULES, (1, 2, 7, 18, 250)):
        times = grid(Gaussian(schedule), steps)
        assert times.shape == (steps + 1,) and times.dtype == torch.float64 and times.device.type == "cpu"
        assert times[0] == 1 and times[-1] == 0 and (times.diff() < 0).all(), (schedule, steps)


def test_rectified_levels_are_even_on_every_schedule():
    """σ/(α + σ) even, the uniform grid of the flow schedule; azula's decay: (1 − γʷ)/(1 − γ)."""
    for schedule in (VP(), Flow(), BetaTable()):
        alpha, sigma = Gaussian(schedule).schedule(Rectified()(Gaussian(schedule), 8))
        u = sigma / (alpha + sigma)
        torch.testing.assert_close(u, u[0] * torch.linspace(1, 0, 9, dtype=torch.float64), rtol=0, atol=1e-9)
    decayed = Rectified(0.1)(Gaussian(Flow()), 4)
    expected = (1 - 0.1 ** torch.linspace(1, 0, 5, dtype=torch.float64)) / 0.9
    torch.testing.assert_close(decayed, expected, rtol=0, atol=1e-12)


def test_every_registered_grid_is_in_the_table_of_contents_and_survives_its_config():
    process = Gaussian(VP())
    examples = [*FROM_ONE, Leading(1000, 1), Listed((1.0, 0.4, 0.0)), Sigmas((3.0, 1.0, 0.0))]
    assert {to_config(grid)["type"] for grid in examples} == set(names("grid")) - {"in-turn"}  # of two processes
    assert {type(grid).__name__ for grid in examples} == set(grids.__all__) - {"Grid"}
    for grid in examples:
        again = from_config(to_config(grid), "grid")
        assert torch.equal(again(process, 2), grid(process, 2))


# Numbers of the peers as constants, EDM's to five digits; the peers are asked below where they are installed.
KARRAS_18 = [80, 57.586, 40.786, 28.375, 19.353, 12.910, 8.4009, 5.3152, 3.2568, 1.9233, 1.0882, 0.58535, 0.29644,
             0.13952, 0.059947, 0.022935, 0.0075280, 0.002, 0]  # fmt: skip


def test_karras_is_edms_table():
    assert levels(Karras(), 18).tolist() == pytest.approx(KARRAS_18, rel=5e-5)


def test_exponential_and_polyexponential_are_k_diffusions_formulas():
    """get_sigmas_exponential and get_sigmas_polyexponential (k_diffusion/sampling.py), in float64."""
    ramp, (low, high) = torch.linspace(1, 0, 10, dtype=torch.float64), (math.log(0.002), math.log(80))
    for rho, grid in ((1.0, LogSNR()), (1.0, PolyExponential()), (2.5, PolyExponential(rho=2.5))):
        want = torch.cat([(ramp**rho * (high - low) + low).exp(), torch.zeros(1)])
        torch.testing.assert_close(levels(grid, 10), want, rtol=1e-13, atol=0)


def test_trailing_and_linspace_round_as_diffusers_does():
    """For 62 of the numbers of steps, numpy.arange returns one entry too many, k = −1: that one we leave out."""
    longer = 0
    for steps in range(1, 1001):
        k = np.round(np.arange(1000, 0, -1000 / steps)).astype(np.int64) - 1
        longer += len(k) > steps
        assert (whole(Trailing(), steps) == k[:steps]).all()
        if steps > 1:
            k = np.linspace(0, 999, steps).round()[::-1].astype(np.int64)
            assert (whole(Linspace(), steps) == k).all()
    assert longer == 62


def whole(grid, steps):
    """The training steps k, 0 … 999, that a discrete grid visits."""
    return (grid(None, steps)[:-1] * 1000).round().long().numpy() - 1


# Lin et al. 2024, section 3.3 and card 23: 25 of 1000 steps.
@pytest.mark.parametrize(
    ("grid", "steps", "k"),
    [
        (Leading(), 25, range(960, -1, -40)),
        (Leading(offset=1), 25, range(961, 0, -40)),
        (Trailing(), 25, range(999, 0, -40)),
        (Linspace(), 5, (999, 749, 500, 250, 0)),
        (Linspace(skip_cleanest=True), 4, (999, 749, 500, 250)),
        (Leading(skip_cleanest=True), 24, range(960, 0, -40)),
        (Leading(4), 4, (3, 2, 1, 0)),
    ],
    ids=repr,
)
def test_discrete_spacings_are_the_published_ones(grid, steps, k):
    total = grid.total
    assert grid(None, steps).tolist() == [(i + 1) / total for i in k] + [0.0]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers and numpy 2
@pytest.mark.parametrize("steps", [2, 5, 20, 25, 50, 333])
def test_discrete_spacings_agree_with_diffusers(steps):
    diffusers = pytest.importorskip("diffusers")
    for spacing, offset in product(("leading", "trailing", "linspace"), (0, 1)):
        for peer, skip in ((diffusers.DDIMScheduler, False), (diffusers.DPMSolverMultistepScheduler, True)):
            scheduler = peer(timestep_spacing=spacing, steps_offset=offset)
            scheduler.set_timesteps(steps)
            grid = {
                "leading": Leading(1000, offset, skip),
                "trailing": Trailing(),
                "linspace": Linspace(1000, skip),
            }[spacing]
            assert whole(grid, steps).tolist() == scheduler.timesteps.tolist(), (spacing, peer.__name__)


def test_beta_quantiles_are_scipys():
    """Relative, from either end: the bisection resolves 120/2⁶⁴ in the logit, the rest is rounding of 200 terms."""
    law = pytest.importorskip("scipy.stats").beta
    for a, b in ((0.6, 0.6), (0.1, 3.0), (20.0, 20.0), (1.0, 1.0), (5.0, 0.3)):
        times = BetaQuantile(a, b)(None, 100)
        q = np.linspace(1, 0, 101)[1:-1]
        np.testing.assert_allclose(times[1:-1], law.ppf(q, a, b), rtol=1e-12)
    assert torch.equal(BetaQuantile(1, 1)(None, 8).float(), Uniform()(None, 8).float())


def test_the_incomplete_beta_function_has_its_closed_forms():
    """I_x(1, b) = 1 − (1 − x)^b; I_x(½, ½) = (2/π) arcsin √x."""
    x = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)
    torch.testing.assert_close(incomplete_beta(x.logit(), 1.0, 3.5), 1 - (1 - x) ** 3.5, rtol=1e-13, atol=0)
    torch.testing.assert_close(incomplete_beta(x.logit(), 0.5, 0.5), 2 / math.pi * x.sqrt().asin(), rtol=1e-13, atol=0)


AYS = {  # card 29 of the reference, diffusers' AysSchedules
    "sd15": [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.0],
    "sdxl": [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.0],
    "svd": [700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.0],
}


@pytest.mark.parametrize("name", AYS)
def test_align_your_steps_lists_are_walked_exactly_at_ten_steps(name):
    end = EDM(AYS[name][0])  # a schedule that ends at the list's first level
    assert levels(Knots(name), 10, end).tolist() == pytest.approx(AYS[name], rel=1e-14)


def test_align_your_steps_lists_are_diffusers_and_fit_stable_diffusion():
    table = pytest.importorskip("diffusers.schedulers.scheduling_utils").AysSchedules
    published = ("StableDiffusionSigmas", "StableDiffusionXLSigmas", "StableDiffusionVideoSigmas")
    assert [list(table[key]) for key in published] == list(AYS.values())
    betas = BetaTable("scaled-linear")
    k = (Knots("sd15")(Gaussian(betas), 10) * 1000)[:-1] - 1
    # the list of steps was rounded by its authors from levels of four digits
    assert k.tolist() == pytest.approx(table["StableDiffusionTimesteps"], abs=1.0)


def test_knots_are_interpolated_log_linearly():
    """NVIDIA's recipe for other numbers of steps, with numpy: np.interp on log σ over the index, the last level 0."""
    knots = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    for steps in (3, 7, 10, 25):
        want = np.exp(np.interp(np.linspace(0, 10, steps + 1), range(11), np.log(knots)))
        got = levels(Knots("sd15"), steps, EDM(14.615))
        np.testing.assert_allclose(got[:-1], want[:-1], rtol=1e-13)
        assert got[-1] == 0


def test_own_lists_are_taken_as_they_are():
    times = (1.0, 0.7, 0.1, 0.0)
    assert Listed(times)(Gaussian(VP()), 3).tolist() == list(times)
    for own in ((9.0, 2.0, 0.5), (9.0, 2.0, 0.5, 0.0)):
        assert levels(Sigmas(own), 3).tolist() == pytest.approx([9.0, 2.0, 0.5, 0.0], rel=1e-14)
    assert Sigmas((90.0, 2.0))(Gaussian(STD), 2)[0] == 1


def endpoint_error(grid, steps, solver, stds):
    """Σ |std of the sampler's endpoint − std| over Gaussian data of these deviations, exactly."""
    process = Gaussian(STD)
    times = grid(process, steps)
    return sum(abs(gaussian_endpoint(named(solver), process, times, 0.0, std**2).std - std) for std in stds)


@pytest.mark.parametrize("std", [1.0, 0.2])
def test_what_ddim_loses_is_told_exactly(std):
    """Endpoint of DDIM on N(0, std²) from σ₀ ε: exact flow, std σ₀/√(std² + σ₀²), times e^{−Σ loss/std}."""
    sigma = torch.tensor([80.0, 7.0, 0.9, 0.1, 0.0], dtype=torch.float64)
    got = gaussian_endpoint(named("ddim"), Gaussian(STD), sigma / 80, 0.0, std**2)
    loss = lost(sigma[:-1], sigma[1:], torch.tensor([std], dtype=torch.float64)).sum().item()
    assert got.std == pytest.approx(std * 80 / math.hypot(std, 80) * math.exp(-loss / std), rel=1e-12)


def test_for_one_deviation_the_optimum_is_equal_angles():
    """Σ −log cos(Δφ) of n angles that add up to atan(80/std) is least where they are equal; the candidates are 2 %
    apart, which moves an angle by at most 0.5 %: the loss is 3e-4 above its minimum at worst."""
    for std, steps in ((1.0, 4), (0.3, 9)):
        sigma, one = levels(Optimised((std,)), steps), torch.tensor([std], dtype=torch.float64)
        least = -steps * std * math.log(math.cos(math.atan(80 / std) / steps))
        assert least <= lost(sigma[:-1], sigma[1:], one).sum().item() <= least * 1.001
        assert (sigma / std).atan().diff().numpy() == pytest.approx(-math.atan(80 / std) / steps, rel=0.05)


def test_no_other_candidate_improves_the_optimised_grid():
    grid = Optimised()
    stds, sigma = torch.tensor(grid.stds, dtype=torch.float64), levels(grid, 8)
    candidates = torch.linspace(math.log(80), math.log(0.05 * 0.03), CANDIDATES, dtype=torch.float64).exp()
    for i in range(1, 8):
        before, after = sigma[i - 1], sigma[i + 1]
        between = candidates[(candidates < before) & (candidates > after)]
        through = lost(before.expand_as(between), between, stds) + lost(between, after.expand_as(between), stds)
        now = lost(before, sigma[i], stds) + lost(sigma[i], after, stds)
        assert now <= through.min() * (1 + 1e-9)


@pytest.mark.parametrize("solver", ["ddim", "dpmpp2m"])
@pytest.mark.parametrize("steps", [5, 10])
def test_the_optimised_grid_beats_karras_on_gaussian_data(solver, steps):
    """On axes between those that it was made for, too."""
    for stds in ((1.0, 0.3, 0.1, 0.03), (0.7, 0.2, 0.05)):
        ours, theirs = (endpoint_error(grid, steps, solver, stds) for grid in (Optimised(), Karras()))
        assert ours < 0.6 * theirs


def test_shifted_is_stable_diffusion_3s():
    """σ' = 3σ/(1 + 2σ) of FlowMatchEulerDiscreteScheduler, where σ = t."""
    assert Shifted(3.0)(Gaussian(Flow()), 4).tolist() == pytest.approx([1, 0.9, 0.75, 0.5, 0], rel=1e-15)
    assert torch.equal(Shifted(1.0)(None, 9), Uniform()(None, 9))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Karras(sigma_min=0), "karras needs 0 < sigma_min < sigma_max and rho > 0, got Karras"),
        (lambda: LogSNR(2.0, 1.0), "log-snr needs 0 < sigma_min < sigma_max, got"),
        (lambda: PolyExponential(rho=0), "exponential needs .* rho > 0"),
        (
            lambda: Karras(2.0, 9.0)(Gaussian(EDM(1.0)), 5),
            "karras spaces .* sigma_min=2 up, but .* ends at 1",
        ),
        (lambda: LogSNR(2.0, 9.0)(Gaussian(EDM(1.0)), 5), "the schedule ends at 1. Give a smaller sigma_min"),
        (lambda: Shifted(0.0), "shifted needs shift > 0, got 0.0"),
        (lambda: BetaQuantile(0.05), "beta needs alpha and beta between 0.1 and 20, got"),
        (lambda: BetaQuantile(0.1, 0.1)(None, 1000), "in 1000 steps must fall strictly, got the times 1, 1,"),
        (lambda: Trailing(10)(None, 11), "a model of 10 steps cannot be sampled in 11: use at most 10"),
        (lambda: Leading(10, 5)(None, 6), "begins at step 10, but the model's last is 9. Use a smaller offset"),
        (lambda: Leading(10, -1), "total ≥ 1 steps and offset ≥ 0, got total=10, offset=-1"),
        (lambda: Linspace(10, skip_cleanest=True)(None, 10), "a model of 9 steps"),
        (lambda: Linspace()(None, 1), "linspace in one step would begin at the cleanest level. Use trailing"),
        (lambda: Knots("sdx"), "no list of knots is called 'sdx'. Did you mean 'sdxl'"),
        (lambda: Knots((1.0, 2.0)), "knots are at least two falling noise levels"),
        (lambda: Knots((3.0, 0.0)), "knots are at least two falling noise levels σ/α > 0, got 3, 0"),
        (lambda: Knots((3.0, 2.0))(Gaussian(EDM(1.0)), 4), "all knots, 3, 2, lie above the schedule, which ends at"),
        (lambda: Listed((1.0, 0.2, 0.3)), "a list of times must fall strictly, got the times 1, 0.2, 0.3"),
        (lambda: Listed((1.5, 0.0)), "two or more numbers from at most 1 to 0, got 1.5, 0"),
        (lambda: Listed((1.0, 0.0))(None, 5), "makes 1 steps, but 5 were asked for. Write steps=1"),
        (lambda: Optimised(()), "optimised needs deviations > 0 of the data's axes, got stds="),
        (lambda: Optimised()(None, 257), "optimised knows up to 256 steps, got 257"),
        (lambda: Optimised((1.0,), 0.01), "optimised needs sigma_max above 0.05 of the smallest deviation"),
        (lambda: Sigmas((1.0, 2.0)), "sigmas are falling noise levels σ/α > 0, and may end in 0, got 1, 2"),
        (lambda: Sigmas(()), "sigmas are falling noise levels"),
        (lambda: Sigmas((9.0, 5.0))(Gaussian(EDM(1.0)), 2), "sigmas on a schedule that ends at σ/α = 1 must fall"),
    ],
)
def test_impossible_grids_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
