"""Inpainting by walking stretches of the way again (RePaint), and conditioning on a low-pass of the picture (ILVR)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from ..core import Denoiser, Rng, Solver, need
from ..errors import UserError
from ..operators import Measurement, pinv
from ..solvers import Ancestral
from .replacing import Song22
from .requirements import require
from .shifted import replaced


def levels(steps: int, jump: int, rounds: int) -> list[int]:
    """The levels that RePaint visits, ``steps`` … 0 (Lugmayr et al. 2022, section 4.2): on arrival at 1, 1 + jump, 1 +
    2 jump … below steps − jump + 1 it goes ``jump`` up again, rounds − 1 times. Each change by one is a transition:
    250, 10, 10 makes 2,410 denoisings and 2,160 steps of noise."""
    visited = [steps]
    for level in range(steps - 1, -1, -1):
        visited.append(level)
        if level >= 1 and (level - 1) % jump == 0 and level - 1 < steps - jump:
            again = [*range(level + 1, level + jump + 1), *range(level + jump - 1, level - 1, -1)]
            visited += again * (rounds - 1)
    return visited


class Course(NamedTuple):
    """The memory of ``Jumping``: all times, the level reached, and the memory of the solver inside."""

    times: Tensor
    level: int
    inner: Any


@dataclass(frozen=True)
class Jumping:
    """Solver → solver: some steps are taken again, ``rounds`` times in all: noise is added for ``jump`` steps of the
    grid and taken away again (``levels`` says where). The resampling of RePaint and the time travel of DDNM and
    CoPaint.

    rounds × as many evaluations or so. Raises UserError for a jump or rounds below 1.
    """

    inner: Solver
    jump: int = 10
    rounds: int = 10

    tabulates = False

    def __post_init__(self) -> None:
        if self.jump < 1 or self.rounds < 1:
            raise UserError(f"jumping needs jump ≥ 1 steps and rounds ≥ 1, got {self.jump} and {self.rounds}.")

    def init(self, process: Any, times: Tensor) -> Course:
        need(process, self, "renoise")
        return Course(times, len(times) - 1, self.inner.init(process, times))

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Course, rng: Rng) -> tuple[Tensor, Any]:
        times, now, inner = memory
        steps, visited = len(times) - 1, levels(len(times) - 1, self.jump, self.rounds)
        first = visited.index(now - 1) - 1  # until the level below the next is reached for the first time
        end = visited.index(now - 2) if now > 1 else len(visited)
        for a, b in pairwise(visited[first:end]):
            here, there = times[steps - a], times[steps - b]
            if b < a:
                x, inner = self.inner.step(denoiser, x, here, there, inner, rng)
            else:
                x = denoiser.process.renoise(x, here, there, rng)
        return x, Course(times, now - 1, inner)


@dataclass(frozen=True, eq=False)
class Repaint:
    """RePaint (Lugmayr et al. 2022, algorithm 1): what is known is shown to the model at the noise of the moment,
    x ← m (α y + σ z) + (1 − m) x, and stretches of ``jump`` steps are walked ``rounds`` times so that the rest
    gets used to it. **Heuristic**: it does not tend to the posterior, however many rounds, and takes y for exact.

    ``solver`` steps between, DDPM by default. The paper has 250 steps, jump 10, rounds 10: 2,410 evaluations. Needs a
    mask.
    """

    measurement: Measurement
    jump: int = 10
    rounds: int = 10
    solver: Solver = Ancestral()
    walker: Jumping = field(init=False)

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "mask")
        shown = Song22(self.measurement, 1.0, self.solver)
        object.__setattr__(self, "walker", Jumping(shown, self.jump, self.rounds))

    def init(self, process: Any, times: Tensor) -> Course:
        return self.walker.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Course, rng: Rng) -> tuple[Tensor, Any]:
        return self.walker.step(denoiser, x, t, s, memory, rng)


@dataclass(frozen=True, eq=False)
class ILVR:
    """Iterative latent variable refinement (Choi et al. 2021, algorithm 1): after each step the part that y sees is
    that of y at the same noise, x ← x − A⁺A x + A⁺(α y + σ A z), with A a low-pass such as ``Downsample(32)``.
    **Heuristic**: what y does not see is decided by the prior, and y is taken for exact.

    Below the time ``until`` the model walks alone, which gives y freedom. The noise is that of the time reached; the
    authors' code takes that of the time before. Needs a linear operator. Raises UserError for until outside [0, 1).
    """

    measurement: Measurement
    until: float = 0.0
    solver: Solver = Ancestral()

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear")
        if not 0 <= self.until < 1:
            raise UserError(f"ILVR holds y until a time in [0, 1), got until={self.until}.")

    @cached_property
    def _inverse(self) -> Callable[[Tensor], Tensor]:
        return pinv(self.measurement.operator)

    def init(self, process: Any, times: Tensor) -> Any:
        need(process, self, "scales")
        return self.solver.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Any, rng: Rng) -> tuple[Tensor, Any]:
        x, memory = self.solver.step(denoiser, x, t, s, memory, rng)
        if s >= self.until:
            x = replaced(self.measurement, self._inverse, denoiser.process, x, s, rng)
        return x, memory
