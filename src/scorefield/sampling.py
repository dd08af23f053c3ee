"""The one sampling loop. Solvers say how to take a step; this file is the only place that takes them in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .core import Denoiser, Process, Rng, Solver, as_time
from .errors import UserError
from .solvers.exponential import Exponential
from .solvers.grids import Grid, Karras


class Step(NamedTuple):
    """Where a trajectory is: time, state (B, *D), the last belief about x₀ (None at the start), evaluations so far."""

    t: Tensor
    x: Tensor
    belief: Any
    nfe: int


class _Watched:
    """The denoiser as a solver sees it: conditions bound, evaluations counted, the last belief kept for the viewer."""

    def __init__(self, denoiser: Denoiser, cond: dict[str, Any]) -> None:
        self.denoiser, self.cond, self.belief, self.nfe = denoiser, cond, None, 0

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        self.belief, self.nfe = self.denoiser(x, t, **self.cond, **cond), self.nfe + 1
        return self.belief


@torch.no_grad()
def trajectory(
    denoiser: Denoiser,
    x: Tensor,
    times: Sequence[float] | Tensor,
    *,
    solver: Solver | None = None,
    rng: Rng | None = None,
    **cond: Any,
) -> Iterator[Step]:
    """Yield a ``Step`` at every one of the falling ``times`` in [0, 1], from x (B, *D) at times[0].

    Progress bars, previews, films and early stops are loops over this. ``cond`` goes to the denoiser.
    Raises UserError, before any evaluation, when the times do not fall from at most 1 to at least 0.
    """
    times = as_time(times if torch.is_tensor(times) else list(times))
    _check(times)
    solver, rng = solver or Exponential(2), rng or Rng.each(0, range(len(x)))
    watched, memory = _Watched(denoiser, cond), solver.init()
    yield Step(times[0], x, None, 0)
    for t, s in pairwise(times.unbind()):
        x, memory = solver.step(watched, x, t, s, memory, rng)
        yield Step(s, x, watched.belief, watched.nfe)


def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    *,
    steps: int = 18,
    solver: Solver | None = None,
    grid: Grid | None = None,
    times: Sequence[float] | Tensor | None = None,
    seed: int = 0,
    rng: Rng | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    **cond: Any,
) -> Tensor:
    """x₀ of ``shape`` (B, *D) from the model: the prior at t = 1, then the last element of a trajectory to t = 0.

    ``steps`` on ``grid`` (default Karras), or explicit ``times``; ``solver`` default Exponential(2), one evaluation a
    step. Example i of ``seed`` is the same whatever the batch size; ``rng`` replaces the seed.
    Raises UserError for steps < 1 or a grid that does not fall from 1.
    """
    if steps < 1:
        raise UserError(f"steps must be at least 1, got {steps}.")
    times = (grid or Karras())(denoiser.process, steps) if times is None else as_time(times)
    _check(times)
    if times[0] != 1:
        raise UserError(f"sampling starts from pure noise at t = 1, but the first time is {times[0]:g}.")
    rng = rng or Rng.each(seed, range(shape[0]))
    x = denoiser.process.prior(torch.empty(tuple(shape), dtype=dtype, device=device), rng)
    for step in trajectory(denoiser, x, times, solver=solver, rng=rng, **cond):
        x = step.x
    return x


def _check(times: Tensor) -> None:
    if times.ndim != 1 or len(times) < 2:
        raise UserError(f"a trajectory needs at least two times, got {times.tolist()}.")
    if not (times.diff() < 0).all() or times[0] > 1 or times[-1] < 0:
        raise UserError(f"times must fall strictly from at most 1 to at least 0, got {_abbreviated(times)}.")


def _abbreviated(times: Tensor) -> str:
    values = [f"{t:.4g}" for t in times.tolist()]
    return ", ".join(values if len(values) <= 8 else [*values[:4], "…", *values[-3:]])
