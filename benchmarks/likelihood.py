"""Exact log-likelihood of images: ours beside score_sde's method, on one network, at one tolerance, in one process.

python benchmarks/likelihood.py [--run RUN] [--images 32] [--tight 3e-7]

The other method is re-implemented here from its description (Song et al. 2021, appendix D.2): scipy's RK45 over t from
1e-5 to 1 of the whole batch as one vector, the probability-flow drift f x − ½ g² s in float32, one Rademacher vector an
image, its divergence by a pass backward. Ours is `log_prob` with the same vectors, from its usual first noise on,
σ/α = 0.002, where theirs begins at 0.001. Both walk the schedule vp. The error is that of the integration alone: each
method against itself in float64 at the tight tolerance (theirs with DOP853), on an eighth of the images. Without --run
a network of 400 steps on the digits is trained first.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

import scorefield
from scorefield.likelihood import Adams, log_prob
from scorefield.likelihood.divergence import divergence_of
from scorefield.noise import VP, Gaussian

BEGIN = 1e-5  # score_sde's first time
TOLERANCES = (1e-4, 1e-5)


def theirs(denoiser: Any, x0: Tensor, cond: dict[str, Any], rtol: float, method: str = "RK45") -> tuple[Tensor, float]:
    """log p (B,) and evaluations an image, by score_sde's method."""
    process, v = denoiser.process, divergence_of("rademacher", 1, x0, None).vectors[0]
    size, count = x0.numel(), len(x0)

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        with torch.enable_grad():
            x = torch.from_numpy(state[:size]).to(x0.dtype).view_as(x0).requires_grad_()
            at = torch.full((count,), t, dtype=torch.float64)
            drift = process.velocity(x, denoiser(x, at, **cond), at)
            (back,) = torch.autograd.grad(drift, x, v)
        divergence = (back * v).flatten(1).sum(1)
        return np.concatenate([drift.detach().reshape(-1).double().numpy(), divergence.double().numpy()])

    start = np.concatenate([x0.reshape(-1).double().numpy(), np.zeros(count)])
    done = solve_ivp(slope, (BEGIN, 1.0), start, method, rtol=rtol, atol=rtol)
    x1, integral = torch.from_numpy(done.y[:size, -1]).view_as(x0), torch.from_numpy(done.y[size:, -1])
    return process.log_prior(x1) + integral, float(done.nfev)


def ours(denoiser: Any, x0: Tensor, cond: dict[str, Any], rtol: float) -> tuple[Tensor, float]:
    """log p (B,) and the mean of evaluations an image."""
    found = log_prob(denoiser, x0, divergence="rademacher", solver=Adams(rtol), **cond)
    return found.nats, found.evaluations.double().mean().item()


def timed(method: Callable[[], tuple[Tensor, float]]) -> tuple[Tensor, float, float]:
    began = time.process_time()
    nats, calls = method()
    return nats, calls, time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--tight", type=float, default=3e-7)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = scorefield.load(told.run, device="cpu") if told.run else _trained(folder)
    denoiser = run.denoiser.under(Gaussian(VP()))
    held = run.dataset().held_out
    cond = {"label": held.labels[: told.images]} if run.classes else {}
    raw = held.x[: told.images]
    jitter = scorefield.Rng(0).uniform(raw.double()) - 0.5
    x0 = run.codec.encode(raw.double() + jitter).float()
    wide, few = deepcopy(denoiser).double(), max(1, told.images // 8)
    print("python benchmarks/likelihood.py " + " ".join(sys.argv[1:]) + "\n")
    print(f"{run.name}, step {run.step:,}, {told.images} images, 1 thread\n")
    print("| method | rtol = atol | CPU seconds an image | evaluations an image | bits/dim | error, nats: mean, most |")
    print("|---|---|---|---|---|---|")
    methods = (
        ("score_sde's", theirs, lambda: theirs(wide, x0[:few].double(), first(cond, few), told.tight, "DOP853")),
        ("log_prob", ours, lambda: ours(wide, x0[:few].double(), first(cond, few), told.tight)),
    )
    exact = [reference()[0] for _, _, reference in methods]
    for rtol in TOLERANCES:
        seconds = []
        for (name, method, _), known in zip(methods, exact, strict=True):
            method(denoiser, x0[:2], first(cond, 2), 1e-2)  # warm
            nats, calls, spent = timed(lambda method=method, rtol=rtol: method(denoiser, x0, cond, rtol))
            off, size = (nats[:few] - known).abs(), x0[0].numel()
            bits = -(nats.mean().item() + run.codec.log_det(run.shape)) / (size * math.log(2))
            seconds.append(spent / told.images)
            figures = f"{seconds[-1]:.3f} | {calls:.0f} | {bits:.4f} | {off.mean():.2g}, {off.max():.2g}"
            print(f"| {name} | {rtol:g} | {figures} |", flush=True)
        print(f"| their seconds over ours | {rtol:g} | {seconds[0] / seconds[1]:.2f} | | | |", flush=True)


def first(cond: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """What the first n examples are told."""
    return {name: value[:n] for name, value in cond.items()}


def _trained(folder: str) -> Any:
    how = {"evaluate": False, "device": "cpu", "preview": 400}
    return scorefield.train("digits", runs=folder, steps=400, **how)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
