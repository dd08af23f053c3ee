"""Posterior samples in one call, by any method of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng
from ..errors import UserError
from ..operators import Measurement
from ..sampling import noise_at, trajectory
from .names import METHODS, Method
from .names import method as named
from .particles import Particles
from .smc import smc

SMALL, FEW = 256, 32  # numbers in an example and in y up to which "auto" takes particles
AUTO = ("tds", "mmps", "tds-likelihood", "dps", "ddnm", "ilvr")  # in this order, the first that the measurement suits


@dataclass(frozen=True, eq=False)
class Posterior:
    """n draws of p(x₀ | y), ``x`` (n, *D), by ``method``; ``nfe`` evaluations of the network for each example or
    particle. Of a method with particles, ``particles`` holds all of them with their weights; the draws are
    unweighted."""

    x: Tensor
    method: str
    nfe: int
    particles: Particles | None = None

    @property
    def label(self) -> str:
        """How far to trust the method: exact in the limit, exact for Gaussian priors, or heuristic."""
        return METHODS[self.method].label

    @property
    def log_weights(self) -> Tensor | None:
        """(R, K), of all particles together; None of a method without."""
        return None if self.particles is None else self.particles.joint

    @property
    def ess(self) -> Tensor | None:
        """(steps, R), the effective sample size before each resampling, 1 … K; None of a method without particles."""
        return None if self.particles is None else self.particles.ess

    @property
    def log_evidence(self) -> float | None:
        """log p̂(y) in nats, from the mean of all populations; None of a method without particles."""
        if self.particles is None:
            return None
        each = self.particles.log_evidence
        return (each.logsumexp(0) - torch.tensor(float(len(each))).log()).item()


def draw(
    denoiser: Denoiser,
    measurement: Measurement,
    n: int,
    *,
    method: str = "auto",
    steps: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    particles: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **cond: Any,
) -> Posterior:
    """n examples of what was measured. ``METHODS`` has the names, what each needs and its label; ``steps`` defaults to
    the method's own.

    "auto" takes particles with exact weights ("tds") where an example has at most 256 numbers and y at most 32, else
    "mmps", else what the measurement allows. Example i of ``seed`` is the same whatever n and ``batch``, the number
    that goes through the network at once. Methods with particles walk populations of ``particles`` (512; more where
    weights are less even), each of which gives at most half as many draws, so that few draws share an ancestor
    (``Method.particles``, ``Method.each``); their result depends on n, not on batch.

    y has one row for all or a row for each example; so have conditions. ``progress`` is called with (steps done, steps
    in all). Raises UserError, before any evaluation, where the measurement lacks what the method needs, and for rows or
    numbers that do not fit."""
    if n < 1 or (batch is not None and batch < 1) or (steps is not None and steps < 1):
        raise UserError(f"n, batch and steps must be at least 1, got n={n}, batch={batch}, steps={steps}.")
    name = chosen(measurement) if method == "auto" else method
    row = named(name)
    row.check(name, measurement)
    check_particles(name, particles)
    how = _walked if row.twist is None else _weighed
    return how(
        _Asked(
            denoiser, measurement, n, name, steps or row.steps, seed, batch, particles or row.particles, progress, cond
        )
    )


class _Asked(NamedTuple):
    """What ``draw`` was asked for, with the method's own numbers where nothing was said."""

    denoiser: Denoiser
    measurement: Measurement
    n: int
    name: str
    steps: int
    seed: int
    batch: int | None
    particles: int
    progress: Callable[[int, int], None] | None
    cond: dict[str, Any]


def chosen(measurement: Measurement) -> str:
    """The method that "auto" stands for. Raises UserError where the measurement suits none."""
    operator = measurement.operator
    small = prod(operator.event) <= SMALL and prod(operator.measured) <= FEW
    for name in AUTO:
        if name in METHODS and (small or METHODS[name].twist is None) and _suits(METHODS[name], measurement):
            return name
    raise UserError(
        f"no method suits a measurement by {type(operator).__name__} with {type(measurement.noise).__name__}: it can "
        "neither be differentiated nor is it linear. Use a differentiable form of the operator."
    )


def _suits(row: Method, measurement: Measurement) -> bool:
    try:
        row.check("auto", measurement)
    except UserError:
        return False
    return True


def check_particles(name: str, particles: int | None) -> None:
    """Raise UserError for a number of particles where the method has none."""
    if METHODS[name].twist is None and particles is not None:
        raise UserError(f"the method {name} has no particles. Those that do: {', '.join(_with_particles())}.")


def _with_particles() -> list[str]:
    return [name for name, row in METHODS.items() if row.twist is not None]


def _walked(asked: _Asked) -> Posterior:
    """Example by example, in batches."""
    denoiser, measurement, n, steps = asked.denoiser, asked.measurement, asked.n, asked.steps
    if len(measurement.y) not in (1, n):
        raise UserError(f"y has {len(measurement.y)} rows for n={n} examples: give one row, or one for each.")
    row, size = METHODS[asked.name], min(n, asked.batch or n)
    assert row.walk is not None
    starts, counted, drawn = range(0, n, size), Counted(denoiser), []
    for turn, start in enumerate(starts):
        part = slice(start, min(start + size, n))
        indices = range(part.start, part.stop)
        some, rng = measurement.rows(part), Rng.each(asked.seed, indices)
        guided, solver = row.walk(counted, some)
        times = row.grid(denoiser.process, steps)
        like = measurement.y.new_empty(len(indices), *measurement.operator.event)
        x = noise_at(denoiser.process, times[0], like, rng)
        given = {key: _some(key, value, part, n) for key, value in asked.cond.items()}
        for done, step in enumerate(trajectory(guided, x, times, solver=solver, rng=rng, **given)):
            x = step.x
            if asked.progress is not None:
                asked.progress(turn * steps + done, steps * len(starts))
        drawn.append(x.to(like.dtype))
    return Posterior(torch.cat(drawn), asked.name, counted.nfe // len(starts))


def _weighed(asked: _Asked) -> Posterior:
    """By particles of one and the same y."""
    if len(asked.measurement.y) != 1:
        raise UserError(
            f"the method {asked.name} draws from one posterior, but y has {len(asked.measurement.y)} rows. Give them "
            "one by one, or call scorefield.posterior.smc, which takes a population for each."
        )
    populations = ceil(asked.n / max(1, asked.particles // METHODS[asked.name].each))
    cloud = smc(
        asked.denoiser,
        asked.measurement,
        asked.particles,
        steps=asked.steps,
        replicates=populations,
        twist=METHODS[asked.name].twist or "",
        ess=METHODS[asked.name].ess,
        seed=asked.seed,
        batch=asked.batch,
        progress=asked.progress,
        **asked.cond,
    )
    return Posterior(cloud.resampled(asked.n, asked.seed), asked.name, cloud.nfe, cloud)


class Counted:
    """A denoiser that counts its evaluations, however often a step asks."""

    def __init__(self, inner: Denoiser) -> None:
        self.inner, self.nfe = inner, 0

    @property
    def process(self) -> Any:
        """That of the denoiser."""
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        self.nfe += 1
        return self.inner(x, t, **cond)


def _some(name: str, value: Any, part: slice, n: int) -> Any:
    """A condition of some of n examples: a tensor of n rows is cut, one row stands for all."""
    if not torch.is_tensor(value) or not value.ndim:
        return value
    if len(value) not in (1, n):
        raise UserError(
            f"the condition {name} has {len(value)} rows for n={n} examples: give one row, or one for each."
        )
    return value[part] if len(value) == n else value.expand(part.stop - part.start, *value.shape[1:])
