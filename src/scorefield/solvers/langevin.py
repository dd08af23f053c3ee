"""Langevin dynamics at one noise level: a chain of its own, or the corrector between the steps of a predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.polynomial import Legendre
from torch import Tensor

from ..core import Denoiser, Rng, Solver, as_time, like, need
from ..errors import UserError, suggest
from ..registry import register
from .sde import ReverseDiffusion


class Level(NamedTuple):
    """One noise level as a corrector sees it."""

    score: Callable[[Tensor], Tensor]  # ∇ log p_t, (B, *D) → (B, *D)
    t: Tensor
    sigma: Tensor
    shrink: Tensor  # Score SDE's α_i: (α_t/α_s)² of the grid's step, 1 where the noise stays


class Link(NamedTuple):
    """One state of a chain: x (B, *D), its score where that is known, and which examples moved to it (None: all)."""

    x: Tensor
    score: Tensor | None = None
    accepted: Tensor | None = None


def _fixed(size: float, level: Level, score: Tensor, z: Tensor) -> Tensor:
    return as_time(size)


def _noise(size: float, level: Level, score: Tensor, z: Tensor) -> Tensor:
    return 2 * level.shrink * (size * level.sigma) ** 2


def _norm(size: float, level: Level, score: Tensor, z: Tensor) -> Tensor:
    steepness = _norms(score)
    ratio = torch.where(steepness > 0, _norms(z) / steepness, 0.0)
    return like(2 * level.shrink * (size * ratio) ** 2, z)


RULES: dict[str, Callable[[float, Level, Tensor, Tensor], Tensor]] = {"fixed": _fixed, "noise": _noise, "norm": _norm}


@register("langevin", "corrector")
@dataclass(frozen=True)
class Langevin:
    """x' = x + ε ∇log p_t(x) + √(2ε) z, whose stationary law is p_t up to O(ε) (ULA).

    - ``rule`` gives ε from ``size``, with a = (α_t/α_s)² of the step that it corrects: fixed, ε = size; noise,
      2a (size σ_t)², Score SDE's annealed corrector; norm, 2a (size ‖z‖/‖∇log p_t‖)², its Langevin corrector (Song et
      al. 2021, algorithms 4 and 5, size = their r). The norms are of each example: the authors' code takes their means
      over the batch, so that there a sample depends on its batch mates.
    - ``metropolis`` accepts or rejects each example (MALA: Roberts and Tweedie 1996): p_t is then stationary exactly.
      Δlog p is ``log_prob``'s, (x, t) → (B,), where given; else the line integral of the score from x to x' by
      Gauss–Lobatto with ``nodes`` evaluations between the ends: exact where the score is a polynomial of degree
      2 nodes + 1 along the line, hence for Gaussians with none.

    Stable where ε < 2/L, L the largest −∇²log p_t, at most 1/σ_t². So the two rules that scale with the noise need
    size < 1, and a fixed ε suits one level. Raises UserError for values outside these.
    """

    size: float = 0.16
    rule: str = "norm"
    metropolis: bool = False
    nodes: int = 0
    log_prob: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UserError(f"no rule is called {self.rule!r}.{suggest(self.rule, RULES)}")
        top = float("inf") if self.rule == "fixed" else 1.0
        if not 0 < self.size < top:
            bound = "above 0" if self.rule == "fixed" else "between 0 and 1 (0.16 is Score SDE's)"
            raise UserError(f"the size of a Langevin step by the rule {self.rule} must be {bound}, got {self.size}.")
        if self.metropolis and self.rule == "norm":
            raise UserError(
                "metropolis needs a step that depends on the noise level alone, but the rule norm reads it off the "
                "draw. Use rule='noise' or rule='fixed'."
            )
        if not 0 <= self.nodes <= 16:
            raise UserError(f"nodes must be between 0 (trapezoid) and 16, got {self.nodes}.")

    @property
    def tabulates(self) -> bool:
        """Where a step is affine in x and z: not by norms, nor with a decision."""
        return self.rule != "norm" and not self.metropolis

    def move(self, level: Level, link: Link, rng: Rng) -> Link:
        """One move of the chain, for one evaluation; with ``metropolis`` 1 + ``nodes``, and one to begin."""
        x, score = link.x, level.score(link.x) if link.score is None else link.score
        z = rng.normal(x)
        size = RULES[self.rule](self.size, level, score, z)
        there = x + size * score + (2 * size).sqrt() * z
        if not self.metropolis:
            return Link(there)
        back = level.score(there)
        gain = self._gain(level, x, score, there, back)
        # log q(x | x') − log q(x' | x): the noise that would lead back, against z
        noise = (x - there - size * back) / (2 * size).sqrt()
        gain = gain + 0.5 * (z.square() - noise.square()).flatten(1).sum(1)
        accepted = rng.uniform(gain).log() < gain
        take = like(accepted, there).bool()
        return Link(torch.where(take, there, x), torch.where(take, back, score), accepted)

    def _gain(self, level: Level, x: Tensor, score: Tensor, there: Tensor, back: Tensor) -> Tensor:
        """log p(there) − log p(x), (B,)."""
        if self.log_prob is not None:
            return self.log_prob(there, level.t) - self.log_prob(x, level.t)
        way, (places, shares) = there - x, _lobatto(self.nodes)
        mean = shares[0] * score + shares[-1] * back
        for u, share in zip(places, shares[1:-1], strict=True):
            mean = mean + share * level.score(x + u * way)
        return (mean * way).flatten(1).sum(1)


@torch.no_grad()
def chain(
    denoiser: Denoiser, x: Tensor, t: float | Tensor, corrector: Langevin, rng: Rng, **cond: Any
) -> Iterator[Link]:
    """The states of a chain at fixed noise, without end: every ``Link`` after x (B, *D), at time t () or (B,) of the
    denoiser's process. ULA, or MALA with ``metropolis``; ``link.accepted`` (B,) then says who moved. ``cond`` goes to
    the denoiser. Raises UserError, before any evaluation, where t has no noise or the process no score."""
    need(denoiser.process, corrector, "scales", "schedule", "score")
    level = _level(denoiser, x, as_time(t), as_time(t), cond)
    if not (level.sigma > 0).all():
        raise UserError("a Langevin chain needs noise: at t = 0 data have no score. Give a small t > 0.")
    link = Link(x)
    while True:
        link = corrector.move(level, link, rng)
        yield link


@register("predictor-corrector", "solver")
@dataclass(frozen=True)
class PredictorCorrector:
    """Solver → solver: ``steps`` moves of ``corrector`` at t, then the ``predictor`` t → s, in the order of Song et al.
    (2021, algorithm 1, and their code), so that the last step returns the predictor's mean.

    Each move costs an evaluation beside the predictor's. Where there is no signal yet (α_t = 0) nothing needs
    correction, and none is made. Raises UserError for steps < 1.
    """

    predictor: Solver = ReverseDiffusion()
    corrector: Langevin = Langevin()
    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps of the corrector must be at least 1, got {self.steps}. Use the predictor alone.")

    @property
    def tabulates(self) -> bool:
        """Where both parts do."""
        return self.predictor.tabulates and self.corrector.tabulates

    def init(self, process: Any, times: Tensor) -> Any:
        need(process, self, "scales", "schedule", "score")
        return self.predictor.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Any, rng: Rng) -> tuple[Tensor, Any]:
        level = _level(denoiser, x, t, s, {})
        if level.shrink > 0:
            link = Link(x)
            for _ in range(self.steps):
                link = self.corrector.move(level, link, rng)
            x = link.x
        return self.predictor.step(denoiser, x, t, s, memory, rng)


def _level(denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, cond: dict[str, Any]) -> Level:
    process = denoiser.process
    shrink = (process.schedule(t).alpha / process.schedule(s).alpha) ** 2
    return Level(lambda y: process.score(y, denoiser(y, t, **cond), t), t, process.scales(t, x).sigma, shrink)


def _norms(x: Tensor) -> Tensor:
    """‖x‖ of each example, (B, *D) → (B,)."""
    return x.flatten(1).norm(dim=1)


@lru_cache(32)
def _lobatto(nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gauss–Lobatto on [0, 1] with ``nodes`` inner points: the inner points, and the weights of all with the ends."""
    legendre = Legendre.basis(nodes + 1)
    places = np.sort(legendre.deriv().roots())
    weights = 1 / ((nodes + 1) * (nodes + 2) * legendre(np.array([-1.0, *places, 1.0])) ** 2)
    return tuple(float((u + 1) / 2) for u in places), tuple(weights.tolist())
