"""diffusers: a scheduler is walked as its pipelines walk it, in one of three states: x scaled to α² + σ² = 1 ("vp"), to
α = 1 ("edm"), or to α + σ = 1 ("flow")."""

from __future__ import annotations

import importlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .common import LARGE, Candidate, Levels, Oracle, doubled, exponential, levels, top

TABLE = 1000  # levels of the discrete tables, as in every published model

SCALES: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {  # the scheduler's "sigma" ↦ (α, σ) of its state
    "vp": lambda rho: (1 / (1 + rho**2).sqrt(), rho / (1 + rho**2).sqrt()),
    "edm": lambda rho: (torch.ones_like(rho), rho),
    "flow": lambda sigma: (1 - sigma, sigma),
}


class Row(NamedTuple):
    """A scheduler: its class, the state it works in, its options, evaluations a level, options that choose its grid."""

    make: str
    state: str
    options: dict[str, Any]
    cost: int
    grids: dict[str, dict[str, Any]]
    injected: bool = False  # whether given levels may replace its own


OWN = {
    "linspace": {},
    "trailing": {"timestep_spacing": "trailing"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}
LU = OWN | {"lu": {"use_lu_lambdas": True}}
SHIFTS = {f"flow shift {shift:g}": {"use_flow_sigmas": True, "flow_shift": shift} for shift in (1.0, 3.0)}
BETTER = {"shift 1": {}, "shift 3": {"shift": 3.0}}
EDM = {"karras": {"sigma_schedule": "karras"}, "exponential": {"sigma_schedule": "exponential"}}
TAU = {"tau_func": lambda t: 0.0}

MULTISTEP: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++2m": ("DPMSolverMultistep", {"solver_order": 2}),
    "dpm++2m heun": ("DPMSolverMultistep", {"solver_order": 2, "solver_type": "heun"}),
    "dpm++3m": ("DPMSolverMultistep", {"solver_order": 3}),
    "unipc2": ("UniPCMultistep", {"solver_order": 2}),
    "unipc3": ("UniPCMultistep", {"solver_order": 3}),
    "unipc2 bh1": ("UniPCMultistep", {"solver_order": 2, "solver_type": "bh1", "final_sigmas_type": "sigma_min"}),
    "deis2": ("DEISMultistep", {"solver_order": 2}),
    "deis3": ("DEISMultistep", {"solver_order": 3}),
    "sa22": ("SASolver", {"predictor_order": 2, "corrector_order": 2, **TAU}),
    "sa34": ("SASolver", {"predictor_order": 3, "corrector_order": 4, **TAU}),
    "dpm++2s": ("DPMSolverSinglestep", {"solver_order": 2, "lower_order_final": True}),
    "dpm++3s": ("DPMSolverSinglestep", {"solver_order": 3, "lower_order_final": True}),
}
SPACED = {"DPMSolverMultistep": LU, "DPMSolverSinglestep": {k: OWN[k] for k in ("karras", "exponential", "beta")}}


def rows(process: Any) -> dict[str, Row]:
    """The schedulers that suit a schedule: flow has flow matching's, EDM its own, the others the classic ones."""
    kind = type(process.schedule).__name__.lower()
    found = {}
    for name, (make, options) in MULTISTEP.items():
        own = SHIFTS if kind == "flow" else {} if kind == "edm" else SPACED.get(make, OWN)
        found[name] = Row(make, "vp", {**options, "prediction_type": "sample"}, 1, own, injected=True)
    if kind == "flow":
        more = {"karras": {"use_karras_sigmas": True}, "exponential": {"use_exponential_sigmas": True}}
        more |= {"beta": {"use_beta_sigmas": True}}
        found["flow euler"] = Row("FlowMatchEulerDiscrete", "flow", {}, 1, BETTER | more)
        found["flow heun"] = Row("FlowMatchHeunDiscrete", "flow", {}, 2, BETTER)
        return found
    if kind == "edm":
        ends = {"sigma_min": 0.002, "sigma_max": top(process)}
        found["edm euler"] = Row("EDMEuler", "edm", ends, 1, EDM)
        for order in (2, 3):
            found[f"edm dpm++{order}m"] = Row("EDMDPMSolverMultistep", "edm", {**ends, "solver_order": order}, 1, EDM)
    for name, make, cost in (("euler", "Euler", 1), ("heun", "Heun", 2), ("lms", "LMS", 1), ("kdpm2", "KDPM2", 2)):
        found[name] = Row(f"{make}Discrete", "edm", {}, cost, OWN)
    if kind != "edm":
        last = {"set_alpha_to_one": True, "clip_sample": False, "prediction_type": "sample"}
        spacing = {k: OWN[k] for k in ("linspace", "trailing")}
        found["ddim"] = Row("DDIM", "vp", last, 1, spacing)
    return found


def module(make: str) -> Any:
    """The module of ``<make>Scheduler``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = importlib.import_module("diffusers")
        return sys.modules[getattr(package, f"{make}Scheduler").__module__]


def table(process: Any) -> np.ndarray:
    """The betas of the process at t = 1/1000 … 1; EDM's, which has no table, log-uniform in σ; no level above 1e4."""
    t = torch.arange(1, TABLE + 1, dtype=torch.float64) / TABLE
    rho = (-process.log_ratio(t)).exp().clamp_max(1e4 * t)
    if type(process.schedule).__name__ == "EDM":
        rho = torch.tensor(exponential(TABLE, 0.002, top(process))).flip(0).double()
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), 1 / (1 + rho**2)])
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).numpy()


def build(make: str, **options: Any) -> Any:
    """A scheduler whose own tables are float64."""
    where = module(make)
    with doubled(where):
        return getattr(where, f"{make}Scheduler")(**options)


def replace_levels(scheduler: Any, grid: Tensor) -> None:
    """Walk these (n + 1) levels instead of the scheduler's own. Times, which only label the steps, become distinct."""
    scheduler.sigmas = grid
    scheduler.timesteps = torch.arange(len(grid) - 1, 0, -1)
    scheduler.num_inference_steps = len(grid) - 1


def level(scheduler: Any, t: Any) -> Tensor:
    """The noise level (its "sigma") at which the model is asked next."""
    step = scheduler.step_index or 0
    if hasattr(scheduler, "sigmas_interpol") and not scheduler.state_in_first_order:
        return scheduler.sigmas_interpol[step]
    return scheduler.sigmas[step]


def output(scheduler: Any, x: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """What a model must say so that the scheduler believes ``clean``."""
    if hasattr(scheduler, "precondition_outputs"):
        zero = torch.zeros_like(x)
        skipped = scheduler.precondition_outputs(x, zero, sigma)
        return (clean - skipped) / scheduler.precondition_outputs(zero, zero + 1, sigma)
    if getattr(scheduler.config, "prediction_type", "flow") == "sample":
        return clean
    return (x - clean) / sigma


def walk(scheduler: Any, state: str, oracle: Oracle, x: Tensor, **step: Any) -> Tensor:
    """The state at the end, from x in the scheduler's state at its first level, which must be in float64 all along."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    if hasattr(scheduler, "is_scale_input_called"):
        scheduler.is_scale_input_called = True  # the model is asked through the oracle, which scales by itself
    for t in scheduler.timesteps:
        if hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "sigmas"):
            a_bar = scheduler.alphas_cumprod[t]
            sigma, scales = (1 - a_bar).sqrt(), (a_bar.sqrt(), (1 - a_bar).sqrt())
        else:
            sigma = level(scheduler, t)
            scales = SCALES[state](sigma)
        clean = oracle(x, *scales)
        x = scheduler.step(output(scheduler, x, clean, sigma), t, x, return_dict=False, **step)[0]
    return x


def run(
    row: Row, own: dict[str, Any], n: int, given: Levels | None, denoiser: Any, noise: Tensor
) -> tuple[Tensor, int]:
    """(x₀, evaluations) of n levels, the scheduler's own or ``given``. A scheduler that stops above 0 is finished with
    its last clean image."""
    where, oracle, process = module(row.make), Oracle(denoiser), denoiser.process
    options = {**row.options, **own}
    if row.state != "flow" and "sigma_schedule" not in own:
        options["trained_betas"] = table(process)
    with doubled(where), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = build(row.make, **options)
        scheduler.set_timesteps(n)
        if given is not None:
            # DEIS and SA-Solver need a last level above 0; UniPC's bh1 returns NaN at 0
            stops = row.make in ("DEISMultistep", "SASolver") or row.options.get("solver_type") == "bh1"
            replace_levels(scheduler, torch.tensor([*given, given[-1] if stops else 0.0], dtype=torch.float64))
        state = "flow" if "use_flow_sigmas" in own else row.state
        if hasattr(scheduler, "sigmas"):
            start = SCALES[state](scheduler.sigmas[0])[1]
        else:
            start = (1 - scheduler.alphas_cumprod[scheduler.timesteps[0]]).sqrt()
        x = walk(scheduler, state, oracle, noise * start)
    ends = hasattr(scheduler, "sigmas") and scheduler.sigmas[-1] > 0
    return (oracle.last if ends else x), oracle.nfe


def candidates(process: Any, nfe: int) -> Iterator[Candidate]:
    high = min(top(process), LARGE[1])
    for name, row in rows(process).items():
        n = (nfe + row.cost - 1) // row.cost
        if n < 2 or not math.isfinite(high):
            continue
        for label, own in row.grids.items():
            yield Candidate("diffusers", name, label, partial(run, row, own, n, None))
        for label, given in levels(process, n) if row.injected else ():
            yield Candidate("diffusers", name, label, partial(run, row, {}, n, given))
