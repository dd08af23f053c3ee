"""diffusers 0.42.1: the schedulers that both have give the same numbers, on their grid or on one given to both.

diffusers casts samples and tables to float32; here its own lines run in float64 (``doubled``), and what is left is
rounding. Stochastic schedulers are handed our draws. Times: their index τ of 1000 is our t = (τ + 1)/1000.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peers import doubled
from benchmarks.peers.common import Oracle, exponential, karras
from scorefield.noise import EDM, VP, BetaTable, Flow
from scorefield.solvers import Exponential

pytest.importorskip("diffusers")
from benchmarks.peers import diffusers as peer

ZERO = karras(16, 0.03, 60.0)  # levels σ/α; a step to 0 follows
CLOSE = {"rtol": 0, "atol": 1e-8}  # cancellation in their exponentials: e^{−h} − 1 + h over h²
CLEAN = {"prediction_type": "sample"}


def given(
    make: str, state: str, levels: list[float], denoiser: Any, noise: Tensor, options: dict, **step: Any
) -> Tensor:
    """Their walk over ``levels``, from noise at levels[0], in their state; the result in theirs too."""
    with doubled(peer.module(make)):
        scheduler = peer.build(make, **options)
        scheduler.set_timesteps(len(levels) - 1)
        peer.replace_levels(scheduler, torch.tensor(levels, dtype=torch.float64))
        start = peer.SCALES[state](scheduler.sigmas[0])[1]
        return peer.walk(scheduler, state, Oracle(denoiser), start * noise, **step)


def times(denoiser: Any, levels: list[float]) -> Tensor:
    return denoiser.process.time(-torch.tensor(levels, dtype=torch.float64).log())


def start(denoiser: Any, levels: list[float], noise: Tensor) -> Tensor:
    return denoiser.process.schedule(times(denoiser, levels)[0]).sigma * noise


MULTISTEP = [
    ("DPMSolverMultistep", {"solver_order": 1}, "ddim"),
    ("DPMSolverMultistep", {"solver_order": 2}, "dpmpp2m-published"),
    ("DPMSolverMultistep", {"solver_order": 2, "solver_type": "heun"}, "dpmpp2m"),
    ("DPMSolverMultistep", {"solver_order": 3}, "dpmpp3m-published"),
    ("UniPCMultistep", {"solver_order": 1}, "unipc1"),
    ("UniPCMultistep", {"solver_order": 2}, "unipc2"),
]


@pytest.mark.parametrize(("make", "options", "solver"), MULTISTEP)
def test_multistep_to_clean_data(make: str, options: dict, solver: Any, exact: Any, noise: Tensor, ours: Any) -> None:
    denoiser, levels = exact(VP()), [*ZERO, 0.0]
    x = ours(denoiser, solver, start(denoiser, levels, noise), times(denoiser, levels))
    torch.testing.assert_close(given(make, "vp", levels, denoiser, noise, {**CLEAN, **options}), x, **CLOSE)


@pytest.mark.parametrize(
    ("make", "options", "solver"),
    [
        ("UniPCMultistep", {"solver_order": 3}, "unipc3"),
        ("UniPCMultistep", {"solver_order": 1, "solver_type": "bh1"}, "unipc1-bh1"),
        ("UniPCMultistep", {"solver_order": 2, "solver_type": "bh1"}, "unipc2-bh1"),
        ("UniPCMultistep", {"solver_order": 3, "solver_type": "bh1"}, "unipc3-bh1"),
        ("DEISMultistep", {"solver_order": 2}, Exponential(2, space="eps")),
        ("DEISMultistep", {"solver_order": 3}, Exponential(3, space="eps")),
    ],
)
def test_multistep_above_clean_data(
    make: str, options: dict, solver: Any, exact: Any, noise: Tensor, ours: Any
) -> None:
    """Down to σ/α = 0.03, at full order to the end: how the orders fall before a step to 0 is each library's own (and
    UniPC's bh1 and DEIS are undefined there). DEIS's "logrho" is our polynomial in λ."""
    denoiser = exact(VP())
    x = ours(denoiser, solver, start(denoiser, ZERO, noise), times(denoiser, ZERO))
    options = {**CLEAN, **options, "lower_order_final": False}
    torch.testing.assert_close(given(make, "vp", ZERO, denoiser, noise, options), x, **CLOSE)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("predictor", "corrector"), [(1, 1), (2, 2), (3, 4)])
def test_sa_solver(
    predictor: int, corrector: int, tau: float, exact: Any, noise: Tensor, ours: Any, draws: Any, monkeypatch: Any
) -> None:
    """Where two beliefs are averaged, their code replaces the integral as UniPC's bh1 does. Coefficients are
    differences of polynomials in λ times e^λ: a few more digits are lost."""
    denoiser = exact(VP())
    solver = Exponential(predictor, corrector=corrector, tau=tau, weights="bh1")
    x = ours(denoiser, solver, start(denoiser, ZERO, noise), times(denoiser, ZERO))
    monkeypatch.setattr(peer.module("SASolver"), "randn_tensor", draws(noise))
    orders = {"predictor_order": predictor, "corrector_order": corrector, "lower_order_final": False}
    options = {**CLEAN, **orders, "tau_func": lambda t: torch.tensor(tau)}
    torch.testing.assert_close(given("SASolver", "vp", ZERO, denoiser, noise, options), x, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "solver"),
    [
        ({"solver_order": 1}, "sde-dpmpp1"),
        ({"solver_order": 2}, "sde-dpmpp2m-published"),
        ({"solver_order": 2, "solver_type": "heun"}, "sde-dpmpp2m"),
    ],
)
def test_sde(options: dict, solver: str, exact: Any, noise: Tensor, ours: Any, draws: Any, monkeypatch: Any) -> None:
    denoiser, levels, make = exact(VP()), [*ZERO, 0.0], "DPMSolverMultistep"
    x = ours(denoiser, solver, start(denoiser, levels, noise), times(denoiser, levels))
    monkeypatch.setattr(peer.module(make), "randn_tensor", draws(noise))
    options = {**CLEAN, **options, "algorithm_type": "sde-dpmsolver++"}
    torch.testing.assert_close(given(make, "vp", levels, denoiser, noise, options), x, **CLOSE)


def test_singlestep(exact: Any, noise: Tensor, ours: Any) -> None:
    """Their stages are levels of the grid: ours lie half way in λ, so these are given to them. (Order 3 differs inside
    its steps: test_deviations.py.)"""
    denoiser, coarse, fine = exact(VP()), exponential(7, 0.03, 60.0), exponential(13, 0.03, 60.0)
    x = ours(denoiser, "dpmpp2s", start(denoiser, coarse, noise), times(denoiser, [*coarse, 0.0]))
    options = {**CLEAN, "solver_order": 2, "lower_order_final": True}
    theirs = given("DPMSolverSinglestep", "vp", [*fine, 0.0], denoiser, noise, options)
    torch.testing.assert_close(theirs, x, **CLOSE)


@pytest.mark.parametrize(
    ("make", "levels", "solver"),
    [
        ("EulerDiscrete", 12, "euler"),
        ("HeunDiscrete", 12, "heun"),
        ("KDPM2Discrete", 12, "dpm2"),
        ("EDMEuler", 12, "euler"),
    ],
)
def test_in_sigma(make: str, levels: int, solver: Any, exact: Any, noise: Tensor, ours: Any) -> None:
    """On their own Karras levels, read from the scheduler."""
    denoiser = exact(EDM(200.0))
    options = {} if make == "EDMEuler" else {"use_karras_sigmas": True}
    with doubled(peer.module(make)):
        scheduler = peer.build(make, **options)
        scheduler.set_timesteps(levels)
        grid = scheduler.sigmas.unique().flip(0)
        x = peer.walk(scheduler, "edm", Oracle(denoiser), grid[0] * noise)
    torch.testing.assert_close(x, ours(denoiser, solver, grid[0] * noise, grid / 200), **CLOSE)


@pytest.mark.parametrize(("order", "solver"), [(2, "dpmpp2m-published"), (3, "dpmpp3m-published")])
def test_edm_multistep(order: int, solver: str, exact: Any, noise: Tensor, ours: Any) -> None:
    denoiser, levels = exact(EDM()), [*ZERO, 0.0]
    x = ours(denoiser, solver, start(denoiser, levels, noise), times(denoiser, levels))
    theirs = given("EDMDPMSolverMultistep", "edm", levels, denoiser, noise, {"solver_order": order})
    torch.testing.assert_close(theirs, x, **CLOSE)


@pytest.mark.parametrize(("make", "solver"), [("FlowMatchEulerDiscrete", "euler"), ("FlowMatchHeunDiscrete", "heun")])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow(make: str, solver: str, shift: float, exact: Any, noise: Tensor, ours: Any) -> None:
    denoiser = exact(Flow())
    with doubled(peer.module(make)):
        scheduler = peer.build(make, shift=shift)
        scheduler.set_timesteps(10)
        grid = scheduler.sigmas.unique().flip(0)
        x = peer.walk(scheduler, "flow", Oracle(denoiser), noise)
    torch.testing.assert_close(x, ours(denoiser, solver, noise, grid), **CLOSE)


@pytest.mark.parametrize(
    ("make", "solver"), [("DPMSolverMultistep", "dpmpp2m-published"), ("UniPCMultistep", "unipc2")]
)
def test_flow_multistep(make: str, solver: str, exact: Any, noise: Tensor, ours: Any) -> None:
    denoiser = exact(Flow())
    with doubled(peer.module(make)):
        options = {**CLEAN, "use_flow_sigmas": True, "flow_shift": 3.0}
        scheduler = peer.build(make, **options)
        scheduler.set_timesteps(16)
        first = scheduler.sigmas[0]
        x = peer.walk(scheduler, "flow", Oracle(denoiser), first * noise)
    torch.testing.assert_close(x, ours(denoiser, solver, first * noise, scheduler.sigmas.double()), **CLOSE)


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
def test_ddim(eta: float, exact: Any, noise: Tensor, ours: Any, draws: Any, monkeypatch: Any) -> None:
    """Leading spacing that divides 1000: elsewhere their previous level is wrong (docs/peers.md)."""
    denoiser = exact(BetaTable())
    monkeypatch.setattr(peer.module("DDIM"), "randn_tensor", draws(noise))
    with doubled(peer.module("DDIM")):
        scheduler = peer.build("DDIM", clip_sample=False, **CLEAN)
        scheduler.set_timesteps(20)
        at = torch.cat([(scheduler.timesteps + 1) / 1000, torch.zeros(1)]).double()
        x = denoiser.process.schedule(at[0]).sigma * noise
        theirs = peer.walk(scheduler, "vp", Oracle(denoiser), x, eta=eta)
    torch.testing.assert_close(theirs, ours(denoiser, Exponential(1, eta), x, at), **CLOSE)


@pytest.mark.parametrize(("variance", "solver"), [("fixed_small", "ddpm"), ("fixed_large", "ddpm-large")])
def test_ddpm(variance: str, solver: str, exact: Any, noise: Tensor, ours: Any, draws: Any, monkeypatch: Any) -> None:
    denoiser = exact(BetaTable())
    monkeypatch.setattr(peer.module("DDPM"), "randn_tensor", draws(noise))
    with doubled(peer.module("DDPM")):
        scheduler = peer.build("DDPM", clip_sample=False, variance_type=variance, **CLEAN)
        scheduler.set_timesteps(timesteps=[999, 870, 731, 500, 333, 180, 77, 20, 3, 0])
        at = torch.cat([(scheduler.timesteps + 1) / 1000, torch.zeros(1)]).double()
        x = denoiser.process.schedule(at[0]).sigma * noise
        theirs = peer.walk(scheduler, "vp", Oracle(denoiser), x)
    torch.testing.assert_close(theirs, ours(denoiser, solver, x, at), **CLOSE)
