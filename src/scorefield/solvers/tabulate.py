"""Solver → table, exactly: the solver itself is run on symbolic coordinates, so no formula is written twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Solver, as_time
from ..errors import UserError
from .table import Row, Table

ROUNDING = 1e-12  # of the largest number beside it: smaller coefficients are what is left of exact zeros


class Coordinates:
    """Stands in for a denoiser and for an ``Rng``. A state is a row (1, N) of coefficients over the basis x_start,
    beliefs D₀ … D_{calls−1}, draws z₀ …: every evaluation and every draw returns the next basis vector. ``asked``
    collects where and when the denoiser was asked, and how many draws there were by then."""

    def __init__(self, process: Any, calls: int, draws: int) -> None:
        self.process, self.calls, self.size = process, calls, 1 + calls + draws
        self.asked: list[tuple[Tensor, Tensor, int]] = []
        self.draws = 0

    def start(self) -> Tensor:
        """The state at the first time."""
        return self._unit(0)

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        self.asked.append((x, as_time(t), self.draws))
        return Moments(self._unit(len(self.asked)))

    def normal(self, like: Tensor) -> Tensor:
        """The next draw."""
        self.draws += 1
        return self._unit(self.calls + self.draws)

    def _unit(self, i: int) -> Tensor:
        unit = torch.zeros(1, self.size, dtype=torch.float64)
        unit[:, i : i + 1] = 1  # outside of the basis, where calls are only counted: nothing
        return unit


def tabulate(solver: Solver, process: Any, times: Tensor) -> Table:
    """``solver`` over the falling ``times`` (n + 1,) on ``process`` as a ``Table``: the same affine map, to rounding.

    Where a solver draws more than once between two evaluations the draws become one of the same law; else a table
    uses the very numbers that the solver would. Raises UserError for a solver that is not affine.
    """
    times = as_time(times)
    try:
        return _cached(solver, process, tuple(times.tolist()))
    except TypeError:  # a solver or schedule of the user's that cannot be hashed: only the cache is lost
        return _tabulate(solver, process, times)


@lru_cache(64)
def _cached(solver: Solver, process: Any, times: tuple[float, ...]) -> Table:
    return _tabulate(solver, process, as_time(times))


def _tabulate(solver: Solver, process: Any, times: Tensor) -> Table:
    if not solver.tabulates:
        raise UserError(
            f"{solver} has no table: what it does depends on more than the times. It runs as it is, as solver=."
        )
    counted = Coordinates(process, 0, 0)
    _walk(solver, counted, times)
    basis = Coordinates(process, len(counted.asked), counted.draws)
    end = _walk(solver, basis, times)
    states = torch.cat([*(x for x, _, _ in basis.asked), end])
    draws = [*(before for _, _, before in basis.asked), basis.draws]
    if not basis.asked or (states[0] - basis.start()[0]).abs().max() > ROUNDING:
        raise UserError(f"{solver} has no table: it changes the state before the first evaluation.")
    at = torch.stack([*(t for _, t, _ in basis.asked), times[-1]])
    scales = process.schedule(at)
    row = _row_maker(states, draws, basis.calls, solver)
    return Table(
        rows=tuple(Row(at[i].item(), *row(i)) for i in range(basis.calls)),
        end=at[-1].item(),
        alphas=tuple(scales.alpha.tolist()),
        sigmas=tuple(scales.sigma.tolist()),
        made={"solver": str(solver), "process": str(process)},
        process=process,
    )


def _walk(solver: Solver, basis: Coordinates, times: Tensor) -> Tensor:
    x, memory = basis.start(), solver.init(basis.process, times)
    rng: Any = basis
    for t, s in pairwise(times.unbind()):
        x, memory = solver.step(basis, x, t, s, memory, rng)
    return x


def _row_maker(
    states: Tensor, draws: list[int], calls: int, solver: Solver
) -> Callable[[int], tuple[float, float, tuple[float, ...], float]]:
    """Coordinates of the evaluation points (n + 1, N) ↦ a row's (keep, start, beliefs, fresh).

    x_{i+1} − keep · x_i must hold no old noise. That fixes keep; without old noise, so does having no x_start.
    """
    first = 1 + calls

    def row(i: int) -> tuple[float, float, tuple[float, ...], float]:
        now, then = states[i], states[i + 1]
        old, new = slice(first, first + draws[i]), slice(first + draws[i], first + draws[i + 1])
        noisy = now[old]
        lead = torch.cat([now[:1], noisy]).abs().argmax().item()
        place = 0 if lead == 0 else first + int(lead) - 1
        keep = then[place] / now[place] if now[place] != 0 else torch.zeros_like(then[0])
        rest = then - keep * now
        scale = ROUNDING * torch.maximum(then.abs().max(), (keep * now).abs().max())
        if (rest[old].abs() > 1e3 * scale).any():
            raise UserError(f"{solver} has no table: a step uses again the noise of an earlier one.")
        beliefs = torch.where(rest.abs() > scale, rest, 0.0)[1 : i + 2].flip(0).tolist()
        while len(beliefs) > 1 and beliefs[-1] == 0:
            beliefs.pop()
        begin = rest[0].item() if rest[0].abs() > scale else 0.0
        drawn = rest[new][rest[new] != 0]
        fresh = drawn.item() if len(drawn) == 1 else drawn.norm().item()
        return keep.item(), begin, tuple(beliefs), fresh

    return row
