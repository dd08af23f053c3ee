"""Posterior samples with weights, effective sample sizes and the evidence: sequential Monte Carlo in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng
from ..errors import UserError, suggest
from ..operators import Measurement
from ..sampling import noise_at, trajectory
from ..solvers import Grid, LogSNR
from .mcgdiff import LEAST, MCGDiff
from .particles import Particles
from .requirements import require
from .smc_solver import SMC
from .twist import Twist, Twisted
from .twists import MMPSTwist, PiGDMTwist, ProximalTwist

LOWEST = 0.002  # σ/α of the last level before clean data, or a fifth of the noise of y


class Named(NamedTuple):
    """How a twist is made, and what it needs of a measurement."""

    build: Callable[[Measurement], Twist]
    needs: tuple[str, ...]


TWISTS: dict[str, Named] = {
    "mmps": Named(MMPSTwist, ("differentiable", "noise > 0", "deviation")),
    "pigdm": Named(PiGDMTwist, ("spectrum", "noise > 0", "deviation")),
    "mcgdiff": Named(MCGDiff, ("spectrum", "gaussian noise")),
    "likelihood": Named(ProximalTwist, ("differentiable", "noise > 0")),
}


def smc(
    denoiser: Denoiser,
    measurement: Measurement | None,
    particles: int = 512,
    *,
    steps: int = 100,
    replicates: int = 1,
    twist: str | Twist = "mmps",
    seed: int = 0,
    resample: str = "systematic",
    ess: float = 0.5,
    order: int = 2,
    grid: Grid | None = None,
    batch: int | None = None,
    like: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
    **cond: Any,
) -> Particles:
    """``replicates`` populations of ``particles`` each from p(x₀ | y). **Exact in the limit** of many particles and
    steps, whatever the prior, the operator and the noise are.

    The twisted diffusion sampler (Wu et al. 2023) with systematic resampling where the effective sample size falls
    below ``ess`` K, and the true likelihood in the last weight. ``twist``, what particles are told of y on the way:

    - "mmps", the Gaussian of the model's own covariance: the most even weights; M backward passes a step;
    - "pigdm", the same as if the prior were N(0, I): one backward pass; linear operators;
    - "mcgdiff", a noised path of y (Cardoso et al. 2024): no gradients; linear operators and Gaussian noise, also std
      0;
    - "likelihood", what is likeliest near x̂, as if the prior were N(0, I): any differentiable likelihood;
    - or any ``Twist``: ``LikelihoodTwist(f)`` for classes and energies, without a measurement; then ``like`` (1, *D)
      gives shape, dtype and device.

    y has one row for all populations or one for each; so have conditions. ``order`` 2 is the model's SDE sampler of
    second order, 1 is DDPM. ``grid`` defaults to log-uniform levels down to σ/α = min(0.002, std/5). At most ``batch``
    particles go through the model at once; a population depends on (seed, its number) and on nothing else that is
    drawn. ``progress`` is called with (steps done, steps). Raises UserError, before any evaluation, for a twist whose
    needs the measurement does not meet, rows that fit neither, and numbers below 1.
    """
    _check(measurement, like, steps, replicates, batch)
    example = _example(measurement, like)
    rows = torch.arange(replicates, device=example.device).repeat_interleave(particles)
    aware, process = _twist(measurement, twist), denoiser.process
    walker = SMC(particles, aware, rows, resample, ess, order)
    times = (grid or levels(measurement))(process, steps)
    given = {name: _spread(name, value, replicates, particles) for name, value in cond.items()}
    rng = Rng.each(seed, range(replicates))
    start = example.expand(replicates, particles, *example.shape[1:])
    x = noise_at(process, times[0], start, rng).flatten(0, 1)
    watched, nfe = _Kept(walker), 0
    guided = Twisted(denoiser, aware, rows, batch)
    for done, step in enumerate(trajectory(guided, x, times, solver=watched, rng=rng, **given)):
        x, nfe = step.x, step.nfe
        if progress is not None:
            progress(done, steps)
    return watched.particles(x.to(example.dtype), nfe)


class _Kept:
    """The solver, whose last memory is kept: it holds the weights."""

    tabulates = False

    def __init__(self, walker: SMC) -> None:
        self.walker = walker
        self.memory: Any = None

    def init(self, process: Any, times: Tensor) -> Any:
        return self.walker.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Any, rng: Rng) -> tuple[Tensor, Any]:
        x, self.memory = self.walker.step(denoiser, x, t, s, memory, rng)
        return x, self.memory

    def particles(self, x: Tensor, nfe: int) -> Particles:
        """What the walk ended with."""
        cloud = self.memory
        weights = cloud.log_weights.log_softmax(1)
        populations = x.unflatten(0, (-1, self.walker.particles))
        return Particles(populations, weights, torch.stack(cloud.ess), cloud.log_evidence, cloud.roots, nfe)


def levels(measurement: Measurement | None) -> Grid:
    """Log-uniform noise levels from 80 to well below the noise of y."""
    std = LOWEST if measurement is None else measurement.noise.std or LEAST
    return LogSNR(min(LOWEST, std / 5))


def _check(
    measurement: Measurement | None, like: Tensor | None, steps: int, replicates: int, batch: int | None
) -> None:
    if min(steps, replicates, 1 if batch is None else batch) < 1:
        raise UserError(f"steps, replicates and batch must be at least 1, got {steps}, {replicates} and {batch}.")
    if measurement is None and like is None:
        raise UserError(
            "without a measurement, give like=, an example (1, *D) with the shape, dtype and device wanted."
        )
    rows = 1 if measurement is None else len(measurement.y)
    if rows not in (1, replicates):
        raise UserError(f"y has {rows} rows for {replicates} populations: give one row, or replicates={rows}.")


def _example(measurement: Measurement | None, like: Tensor | None) -> Tensor:
    if like is not None:
        return like[:1]
    event: Any = measurement and measurement.operator.event
    y: Any = measurement and measurement.y
    return y.new_empty(1, *event)


def _twist(measurement: Measurement | None, twist: str | Twist) -> Twist:
    if not isinstance(twist, str):
        return twist
    if twist not in TWISTS:
        raise UserError(f"no twist is called {twist!r}.{suggest(twist, TWISTS)}")
    if measurement is None:
        raise UserError(f"the twist {twist!r} needs a measurement; without one give a Twist, as LikelihoodTwist(f) is.")
    require(measurement, f"smc with the twist {twist!r}", *TWISTS[twist].needs)
    return TWISTS[twist].build(measurement)


def _spread(name: str, value: Any, replicates: int, particles: int) -> Any:
    """A condition for every particle: a tensor of one row, or of one for each population."""
    if not torch.is_tensor(value) or not value.ndim:
        return value
    if len(value) not in (1, replicates):
        raise UserError(
            f"the condition {name} has {len(value)} rows for {replicates} populations: give 1 or {replicates}."
        )
    return value.expand(replicates, *value.shape[1:]).repeat_interleave(particles, 0)
