"""azula: samplers on uniform times of a schedule object, so a grid is a schedule. It stops at the schedule's lowest
noise; as its users do, a last evaluation gives the clean image, or the state there is taken for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .common import LARGE, Candidate, Oracle, exponential, karras, top

MULTISTEP = {"zAB": (2, 3, 4), "vAB": (2, 3, 4), "zEAB": (2, 3), "xEAB": (2, 3, 4), "REAB": (2, 3)}


def run(
    sampler: str, schedule: Any, steps: int, finish: bool, denoiser: Any, noise: Tensor, **options: Any
) -> tuple[Tensor, int]:
    """(x₀, evaluations) in ``steps`` steps; ``finish`` spends one more evaluation on the clean image at the end."""
    import azula.sample
    from azula.denoise import Denoiser, DiracPosterior

    oracle = Oracle(denoiser)

    class Wrapped(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = schedule

        def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
            return DiracPosterior(oracle(x_t, *schedule(t)))

    make = getattr(azula.sample, f"{sampler}Sampler")
    walk = make(Wrapped(), steps=steps, silent=True, dtype=torch.float64, **options)
    alpha, sigma = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64))
    x = walk(noise * sigma[0])
    return (oracle(x, alpha[1], sigma[1]) if finish else x / alpha[1]), oracle.nfe


def own(grid: list[float]) -> Any:
    """A variance-exploding schedule through given levels at uniform times: how a user writes a grid in azula."""
    from azula.noise import Schedule

    class Levels(Schedule):
        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            at = np.interp(1 - t.double().numpy(), np.linspace(0, 1, len(grid)), np.log(grid))
            return torch.ones_like(t), torch.as_tensor(at, dtype=t.dtype).exp()

    return Levels()


def schedules(process: Any, n: int, finish: bool) -> Iterator[tuple[str, Any]]:
    """Their own schedules with the noise range of the process, and the usual grids written as schedules; lower where
    the last state is taken for the clean image."""
    from azula.noise import CosineSchedule, DecaySchedule, RectifiedSchedule, VESchedule, VPSchedule

    high, low = min(top(process), LARGE[1]), 0.01 if finish else 0.001
    for make in (VPSchedule, CosineSchedule, RectifiedSchedule, DecaySchedule):
        yield f"{make.__name__} {low:g}–{high:.4g}", make(alpha_min=1 / high, sigma_min=low)
    yield f"VESchedule {low:g}–{high:.4g}", VESchedule(sigma_min=low, sigma_max=high)
    for low in (0.01, 0.03) if finish else (0.002,):
        yield f"karras {low:g}–{high:.4g}", own(karras(n + 1, low, high))
    if finish:
        yield f"exponential 0.03–{high:.4g}", own(exponential(n + 1, 0.03, high))


def candidates(process: Any, nfe: int) -> Iterator[Candidate]:
    runs = [(f"{name}{order}", name, 1, {"order": order}) for name, orders in MULTISTEP.items() for order in orders]
    runs += [("DDIM", "DDIM", 1, {}), ("Heun", "Heun", 2, {})]
    for finish in (True, False):
        for label, name, cost, options in runs:
            steps = (nfe - finish) // cost
            if steps < 1:
                continue
            for grid, schedule in schedules(process, steps, finish):
                ready = partial(run, name, schedule, steps, finish, **options)
                yield Candidate("azula", label, grid + (" + clean" if finish else ""), ready)
