"""The one sampling loop. Solvers say how to take a step; this file is the only place that takes them in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .core import Denoiser, Process, Rng, Solver, as_time
from .errors import UserError
from .solvers.ancestral import Ancestral
from .solvers.exponential import Exponential
from .solvers.grids import Grid, Rectified, Uniform
from .solvers.in_order import InOrder
from .solvers.in_turn import AfterTokens, InTurn
from .solvers.table import Table
from .solvers.tabulate import tabulate

USUAL = Exponential(2, corrector=3, space="flow", clock="flow")  # flow2pc: docs/choose-a-solver.md
USUAL_TOKENS = Ancestral()  # docs/discrete.md


def usual(process: Any) -> Solver:
    """The solver where none is given: tokens, which are of some ``classes``, have no flow to follow."""
    if getattr(process, "tokens", None) is not None:
        return InTurn()
    if getattr(process, "known", None) is not None:
        return InOrder()
    return USUAL if getattr(process, "classes", None) is None else USUAL_TOKENS


def _usual_grid(process: Any) -> Grid:
    if getattr(process, "known", None) is not None:
        return Uniform()  # pixels one by one: there is no level to space steps by
    return Rectified() if getattr(process, "tokens", None) is None else AfterTokens()


class Step(NamedTuple):
    """Where a trajectory is: time, state (B, *D), the last belief about x₀ (None at the start), evaluations so far."""

    t: Tensor
    x: Tensor
    belief: Any
    nfe: int


class _Watched:
    """The denoiser as a solver sees it: conditions bound, evaluations counted, the last belief kept for the viewer. It
    is asked in ``dtype``, whatever that of the state is."""

    def __init__(self, denoiser: Denoiser, cond: dict[str, Any], dtype: torch.dtype) -> None:
        self.denoiser, self.cond, self.dtype, self.belief, self.nfe = denoiser, cond, dtype, None, 0

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        self.belief, self.nfe = self.denoiser(x.to(self.dtype), t, **self.cond, **cond), self.nfe + 1
        return self.belief


@torch.no_grad()
def trajectory(
    denoiser: Denoiser,
    x: Tensor,
    times: Sequence[float] | Tensor | None = None,
    *,
    solver: Solver | None = None,
    table: Table | None = None,
    rng: Rng | None = None,
    **cond: Any,
) -> Iterator[Step]:
    """Yield a ``Step`` at every one of the falling ``times`` in [0, 1], from x (B, *D) at times[0]; or, with ``table``,
    at each of its rows.

    Progress bars, previews, films and early stops are loops over this. ``cond`` goes to the denoiser. The denoiser is
    asked in the dtype of x; the state is kept in float32 at least. Raises UserError, before any evaluation, when the
    times do not fall from at most 1 to at least 0, and when solver, table and process do not suit each other.
    """
    walker: Any
    if table is not None:
        if times is not None or solver is not None:
            raise UserError("a table brings its own times and steps: give either table or times and solver.")
        times, walker = table.times, table
    else:
        if times is None:
            raise UserError("a trajectory needs times, or a table that brings them.")
        times, walker = as_time(times if torch.is_tensor(times) else list(times)), solver
        _check(times)
    rng = rng or Rng.each(0, range(len(x)))
    walker = walker or usual(denoiser.process)
    watched = _Watched(denoiser, cond, x.dtype)
    memory: Any = walker.init(denoiser.process, times)
    take: Any = walker.step
    x = x.to(_wide(x.dtype))
    yield Step(times[0], x, None, 0)
    for t, s in pairwise(times.unbind()):
        x, memory = take(watched, x, t, s, memory, rng)
        yield Step(s, x, watched.belief, watched.nfe)


def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    *,
    steps: int = 18,
    solver: Solver | None = None,
    grid: Grid | None = None,
    times: Sequence[float] | Tensor | None = None,
    table: Table | None = None,
    seed: int = 0,
    rng: Rng | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    **cond: Any,
) -> Tensor:
    """x₀ of ``shape`` (B, *D) from the model: the prior at t = 1, then the last element of a trajectory to t = 0.

    ``steps`` on ``grid`` (default ``Rectified``), or explicit ``times``; ``solver`` default "flow2pc", one evaluation a
    step (docs/choose-a-solver.md says why these), for tokens "ancestral". A solver that can be written down runs as its
    table: the same to rounding, without arithmetic on schedules in the loop. ``table`` gives one outright. Example i of
    ``seed`` is the same whatever the batch size; ``rng`` replaces the seed. Raises UserError for steps < 1 or times
    that do not fall from 1.
    """
    process, rng = denoiser.process, rng or Rng.each(seed, range(shape[0]))
    empty, walker = torch.empty(tuple(shape), dtype=dtype, device=device), solver or usual(process)
    if table is None:
        falling = _planned(process, steps, grid, times)
        if not walker.tabulates:
            x = noise_at(process, falling[0], empty, rng)
            *_, last = trajectory(denoiser, x, falling, solver=walker, rng=rng, **cond)
            return last.x.to(x.dtype)
        table = tabulate(walker, process, falling)
    elif not (solver is grid is times is None):
        raise UserError("a table brings its own times and steps: give it alone, without solver, grid or times.")
    return _run(table, denoiser, noise_at(process, table.times[0], empty, rng), rng, cond)


def noise_at(process: Any, t: Tensor, like: Tensor, rng: Rng) -> Tensor:
    """Pure noise to start a walk from, shaped like ``like`` (B, *D): the prior, at t < 1 with the deviation σ_t of that
    time, as libraries do whose grids begin below 1."""
    x = process.prior(like, rng)
    if t == 1 or not x.is_floating_point():
        return x
    return x * (process.schedule(t).sigma / process.schedule(as_time(1.0)).sigma)


@torch.no_grad()
def _run(table: Table, denoiser: Denoiser, x: Tensor, rng: Rng, cond: dict[str, Any]) -> Tensor:
    """The same as the last element of a trajectory, in a loop with nothing else in it."""
    wide = _wide(x.dtype)
    asked = denoiser if wide == x.dtype else _Watched(denoiser, cond, x.dtype)
    return table.run(asked, x.to(wide), rng, **({} if asked is not denoiser else cond)).to(x.dtype)


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype of a state: at least float32, and that of tokens as it is."""
    return torch.promote_types(dtype, torch.float32) if dtype.is_floating_point else dtype


def _planned(process: Any, steps: int, grid: Grid | None, times: Sequence[float] | Tensor | None) -> Tensor:
    if steps < 1:
        raise UserError(f"steps must be at least 1, got {steps}.")
    falling = (grid or _usual_grid(process))(process, steps) if times is None else as_time(times)
    _check(falling)
    if times is not None and falling[0] != 1:
        raise UserError(f"sampling starts from pure noise at t = 1, but the first time is {falling[0]:g}.")
    return falling


def _check(times: Tensor) -> None:
    if times.ndim != 1 or len(times) < 2:
        raise UserError(f"a trajectory needs at least two times, got {times.tolist()}.")
    if not (times.diff() < 0).all() or times[0] > 1 or times[-1] < 0:
        raise UserError(f"times must fall strictly from at most 1 to at least 0, got {_abbreviated(times)}.")


def _abbreviated(times: Tensor) -> str:
    values = [f"{t:.4g}" for t in times.tolist()]
    return ", ".join(values if len(values) <= 8 else [*values[:4], "…", *values[-3:]])
