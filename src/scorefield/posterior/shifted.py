"""Guidance as published: whatever step a solver takes, and then a shift along a gradient. Solver → solver.

The size of such a shift does not follow from Bayes' rule but from the number of steps, which is why it cannot be an
edit of the belief. All norms are of one example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser, Rng, Solver, like, need
from ..errors import UserError
from ..guidance.tilted import Leaf, differentiable, leaf
from ..operators import Measurement, pinv
from ..solvers import Ancestral, tabulate
from .gaussian import check_variance
from .requirements import require, std_of
from .tangent import Isotropic


@dataclass(eq=False)
class Watched:
    """A denoiser that, when first asked in a step, also keeps ``of`` what it then sees."""

    inner: Denoiser
    of: Callable[[Leaf], Tensor]
    asker: Any
    kept: list[Tensor] = field(default_factory=list)

    @property
    def process(self) -> Any:
        """That of the denoiser."""
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        if self.kept:
            return self.inner(x, t, **cond)
        with differentiable():
            seen = leaf(self.inner, x, t, self.asker, **cond)
            self.kept.append(self.of(seen).detach())
        return seen.settled()


class Inner(NamedTuple):
    """A solver on its way: itself, or its table, which has done the arithmetic on schedules; and what it remembers."""

    solver: Solver
    memory: Any

    @classmethod
    def begun(cls, solver: Solver, process: Any, times: Tensor) -> Inner:
        """Before the first step."""
        ready = tabulate(solver, process, times) if solver.tabulates else solver
        return cls(ready, ready.init(process, times))

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, rng: Rng) -> tuple[Tensor, Inner]:
        """x_s, and where the solver is then."""
        x, memory = self.solver.step(denoiser, x, t, s, self.memory, rng)
        return x, Inner(self.solver, memory)


def unit(x: Tensor) -> Tensor:
    """x (B, *D) over its length, example by example; 0 where that is 0."""
    length = x.flatten(1).norm(dim=1)
    return x / like(torch.where(length > 0, length, 1.0), x)


@dataclass(frozen=True, eq=False)
class Published:
    """DPS as published: x_s ← step − ζ ∇_{x_t}‖y − A x̂₀‖ (Chung et al. 2023, algorithm 1 with ζ' = ζ/‖y − A x̂₀‖).

    **Heuristic**, made for 1,000 steps of DDPM, where ζ is 0.3 to 1; 300 do. The noise of y does not enter: the
    residual that is left grows with ζ. Masses of modes come out well. Any differentiable operator. Norms are of one
    example, where the authors' code and others take one over the batch. Raises UserError for ζ ≤ 0 and operators
    without gradient.
    """

    measurement: Measurement
    zeta: float = 0.3
    inner: Solver = Ancestral("small")

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "differentiable")
        if not self.zeta > 0:
            raise UserError(f"DPS as published needs zeta > 0, got {self.zeta}.")

    def init(self, process: Any, times: Tensor) -> Inner:
        need(process, self, "scales", "tilt", "time")
        return Inner.begun(self.inner, process, times)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Inner, rng: Rng
    ) -> tuple[Tensor, Inner]:
        return _shifted(self, denoiser, x, t, s, memory, rng)


def _shifted(
    method: Published | MCG, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Inner, rng: Rng
) -> tuple[Tensor, Inner]:
    """The step of the solver inside, − ζ ∇_{x_t}‖y − A x̂₀‖; norms have gradient 0 where they are 0."""
    watched = Watched(
        denoiser, lambda seen: seen.pull(method.measurement.residual(seen.mean).flatten(1).norm(dim=1)), method
    )
    x, memory = memory.step(watched, x, t, s, rng)
    return x - method.zeta * watched.kept[0].to(x), memory


class Pulls(NamedTuple):
    """The solver inside on its way, and of each step y − A x̂₀ ↦ what Jᵀ is applied to."""

    inner: Inner
    weighed: list[Callable[[Tensor], Tensor]]
    done: int


@dataclass(frozen=True, eq=False)
class PublishedPiGDM:
    """ΠGDM with the weight of the authors' code: x_s ← step + α_s α_t Jᵀ Aᵀ(A Aᵀ + (std²/r²) I)⁻¹(y − A x̂₀), r² =
    v s²/(v + s²) (Song et al. 2023, algorithm 1, whose "adaptive weight" is r²).

    **Heuristic**: in many steps a far stronger pull than Bayes' rule (``PiGDM``), with which masses of modes come out
    better and spreads too small. Public codes leave std out. Raises UserError as ``PiGDM``.
    """

    measurement: Measurement
    variance: float = 1.0
    inner: Solver = Ancestral("small")

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear", "gaussian noise")
        check_variance(self.variance)

    def init(self, process: Any, times: Tensor) -> Pulls:
        need(process, self, "schedule", "tilt", "time")
        alpha, sigma = process.schedule(times)
        spread = (self.variance * sigma**2 / (self.variance * alpha**2 + sigma**2))[:-1]
        solved = Isotropic(self.measurement.operator, std_of(self.measurement))
        weighed = solved.times(spread, spread * alpha[1:] * alpha[:-1])
        return Pulls(Inner.begun(self.inner, process, times), weighed, 0)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Pulls, rng: Rng
    ) -> tuple[Tensor, Pulls]:
        weighed = memory.weighed[memory.done]
        residual = self.measurement.residual
        watched = Watched(denoiser, lambda seen: seen.pull(seen.mean, weighed(residual(seen.mean.detach()))), self)
        x, inner = memory.inner.step(watched, x, t, s, rng)
        return x + watched.kept[0].to(x), memory._replace(inner=inner, done=memory.done + 1)


@dataclass(frozen=True, eq=False)
class MCG:
    """Manifold constrained gradient: the shift of DPS as published, and then onto the noised measurement, x_s ← x_s +
    A⁺(α_s y + σ_s A z − A x_s) (Chung et al. 2022, algorithm 1).

    **Heuristic**: the projection undoes what the gradient weighed, and the result follows the noise of y. ``zeta`` is
    the step on ‖y − A x̂₀‖, per example. Raises UserError for ζ ≤ 0 and operators that are not linear.
    """

    measurement: Measurement
    zeta: float = 0.3
    inner: Solver = Ancestral("small")

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear")
        if not self.zeta > 0:
            raise UserError(f"MCG needs zeta > 0, got {self.zeta}.")

    @cached_property
    def _inverse(self) -> Callable[[Tensor], Tensor]:
        return pinv(self.measurement.operator)

    def init(self, process: Any, times: Tensor) -> Inner:
        need(process, self, "scales", "tilt", "time")
        return Inner.begun(self.inner, process, times)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Inner, rng: Rng
    ) -> tuple[Tensor, Inner]:
        x, memory = _shifted(self, denoiser, x, t, s, memory, rng)
        return replaced(self.measurement, self._inverse, denoiser.process, x, s, rng), memory


def replaced(
    measurement: Measurement,
    inverse: Callable[[Tensor], Tensor],
    process: Any,
    x: Tensor,
    t: Tensor,
    rng: Rng,
    share: float = 1.0,
) -> Tensor:
    """x + share · A⁺(α y + σ A z − A x): what is measured of x_t replaced by y at the same noise."""
    alpha, sigma = process.scales(t, x)
    there = alpha * measurement.y.to(x) + sigma * measurement.operator(rng.normal(x)) if t > 0 else measurement.y.to(x)
    return x + share * inverse(there - measurement.operator(x))


@dataclass(frozen=True, eq=False)
class GradPaint:
    """Inpainting along a normalised gradient: x_s ← step − rate σ_s g/‖g‖ · √D, g = ∇_{x_t}(‖y − A x̂₀‖² + smooth ·
    ‖seams‖²) (Grechka et al. 2024, as recalled: no code of theirs is public).

    The seams are the jumps between neighbours on the two sides of the mask's border, in the picture that shows y where
    it is known and x̂₀ elsewhere; events without places, (B, D), have none. **Heuristic**. Raises UserError for a rate
    ≤ 0 and operators that are no ``Mask``.
    """

    measurement: Measurement
    rate: float = 0.1
    smooth: float = 1.0
    inner: Solver = Ancestral("small")

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "mask")
        if not (self.rate > 0 and self.smooth >= 0):
            raise UserError(f"GradPaint needs rate > 0 and smooth ≥ 0, got {self.rate} and {self.smooth}.")

    def init(self, process: Any, times: Tensor) -> Inner:
        need(process, self, "scales", "tilt", "time")
        return Inner.begun(self.inner, process, times)

    def loss(self, mean: Tensor) -> Tensor:
        """What the gradient is of, x̂₀ (B, *D) → (B,)."""
        operator, residual = self.measurement.operator, self.measurement.residual(mean)
        known = operator.where.to(mean.device)
        shown = torch.where(known, operator.adjoint(self.measurement.y.to(mean)), mean)
        total = residual.square().flatten(1).sum(1)
        for axis in range(2, mean.ndim):
            border = known.diff(dim=axis - 1)
            total = total + self.smooth * (shown.diff(dim=axis).square() * border).flatten(1).sum(1)
        return total

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Inner, rng: Rng
    ) -> tuple[Tensor, Inner]:
        watched = Watched(denoiser, lambda seen: unit(seen.pull(self.loss(seen.mean))), self)
        x, memory = memory.step(watched, x, t, s, rng)
        length = self.rate * denoiser.process.schedule(s).sigma * x[0].numel() ** 0.5
        x = x - length * watched.kept[0].to(x)
        return (x if s > 0 else torch.where(self._known(x), self._shown(x), x)), memory

    def _known(self, x: Tensor) -> Tensor:
        return self.measurement.operator.where.to(x.device)

    def _shown(self, x: Tensor) -> Tensor:
        return self.measurement.operator.adjoint(self.measurement.y.to(x))
