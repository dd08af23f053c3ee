"""What a sampler's loop costs beside its network: a trivial denoiser, 50 steps of DPM-Solver++(2M), one process.

python benchmarks/overhead.py            prints the table and writes benchmarks/results/overhead.md

Compared are scorefield's `Table.run` (what `sample` runs), a loop written by hand for this very method with its
coefficients worked out beforehand, scorefield's `trajectory` of the same table and of the solver itself, and diffusers'
scheduler steps. The contenders take turns, so that a busy moment hits all alike; the median of the turns counts.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

import scorefield as sf
from scorefield.noise import BetaTable
from scorefield.solvers import Exponential, Karras

STEPS, TURNS = 50, 60
SHAPES = ((64, 3, 32, 32), (4096, 2))
RESULT = Path(__file__).parent / "results" / "overhead.md"


class Trivial:
    """A denoiser that costs one multiplication."""

    process = sf.Gaussian(BetaTable())

    def __call__(self, x: Tensor, t: Tensor) -> sf.Moments:
        return sf.Moments(x * 0.5)


def last(walk: Iterator[Any]) -> Any:
    """The last element, keeping none of the others."""
    return deque(walk, maxlen=1)[0]


def contenders(x: Tensor) -> dict[str, Callable[[], object]]:
    """Name ↦ a walk from x to the end."""
    denoiser, solver, rng = Trivial(), Exponential(2), sf.Rng(0)
    times = Karras()(denoiser.process, STEPS)
    table = sf.tabulate(solver, denoiser.process, times)
    rows = [(t, row.keep, *row.beliefs, 0.0)[:4] for t, row in zip(table.times.unbind(), table.rows, strict=False)]
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_start=1e-4, beta_end=0.02, solver_order=2, prediction_type="sample", use_karras_sigmas=True
    )

    def hand() -> Tensor:
        y, before = x, None
        for t, keep, now, last in rows:
            belief = denoiser(y, t).mean
            y = y * keep
            y.add_(belief, alpha=now)
            if before is not None:
                y.add_(before, alpha=last)
            before = belief
        return y

    def theirs() -> Tensor:
        scheduler.set_timesteps(STEPS)
        y = x
        for t in scheduler.timesteps:
            y = scheduler.step(y * 0.5, t, y).prev_sample
        return y

    return {
        "hand-written loop": hand,
        "scorefield, Table.run": lambda: table.run(denoiser, x, rng),
        "scorefield, trajectory of the table": lambda: last(sf.trajectory(denoiser, x, table=table, rng=rng)),
        "scorefield, trajectory of the solver": lambda: last(sf.trajectory(denoiser, x, times, solver=solver, rng=rng)),
        "diffusers, scheduler.step": theirs,
    }


@torch.no_grad()
def measure(shape: tuple[int, ...]) -> dict[str, float]:
    """Median milliseconds of a walk of ``STEPS`` steps, by contender."""
    walks = contenders(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    spent: dict[str, list[float]] = {name: [] for name in walks}
    for turn in range(TURNS + 3):
        for name, walk in walks.items():
            start = time.perf_counter()
            walk()
            if turn >= 3:
                spent[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Print the table and write it."""
    torch.set_num_threads(1)
    lines = [
        "# The loop beside the network",
        "",
        f"Made by `python benchmarks/overhead.py` (torch {torch.__version__}, diffusers {diffusers.__version__}, CPU, "
        f"1 thread, Python {platform.python_version()}). {STEPS} steps of DPM-Solver++(2M) with a denoiser of one "
        f"multiplication, float32; the median of {TURNS} turns.",
    ]
    for shape in SHAPES:
        spent = measure(shape)
        hand = spent["hand-written loop"]
        lines += ["", f"## {' × '.join(map(str, shape))}", "", "| loop | ms | beside the hand-written one |"]
        lines += ["|---|---|---|", *(f"| {name} | {ms:.2f} | {ms / hand:.2f} |" for name, ms in spent.items())]
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
