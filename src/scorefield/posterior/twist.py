"""What particles are told of a measurement on the way, and how they move by it: the protocol of twists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..core import Denoiser
from ..solvers import Row


class Look(NamedTuple):
    """A belief about x₀ that has seen y: the model's mean (B, *D), by how much y moves it (B, *D), log p̃(y | x_t) in
    nats (B,)."""

    mean: Tensor
    shift: Tensor
    log_twist: Tensor


class Kernel(NamedTuple):
    """The model's own step t → s: x_s ~ N(keep x_t + Σ_j beliefs[j] D_{−j}, fresh² I), a row of a table; and whose the
    particles are, ``rows`` (B,) of y."""

    process: Any
    t: Tensor
    s: Tensor
    row: Row
    first: bool  # of the walk
    rows: Tensor

    def mean(self, x: Tensor, beliefs: Sequence[Tensor]) -> Tensor:
        """keep x + Σ_j c_j D_{−j}, the newest belief first."""
        return self.row.keep * x + self.mixed(beliefs)

    def mixed(self, beliefs: Sequence[Tensor]) -> Tensor:
        """Σ_j c_j D_{−j}."""
        total = self.row.beliefs[0] * beliefs[0]
        for c, belief in zip(self.row.beliefs[1:], beliefs[1:], strict=False):
            total = total + c * belief
        return total


class Twist(Protocol):
    """How particles look at y, how they move, and what that weighs: (B, *D) → (B,) nats, example by example."""

    def look(self, denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
        """One evaluation of some particles, x (b, *D) at t () with α_t > 0; ``rows`` (b,) int64 say which row of y is
        whose."""
        ...

    def potential(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel) -> Tensor:
        """What the weight gains when x_t is reached and looked at. The newest look is the first."""
        ...

    def move(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel, z: Tensor) -> tuple[Tensor, Tensor]:
        """(x_s, what the weight gains by the move); z is standard normal."""
        ...

    def last(self, x0: Tensor, rows: Tensor) -> Tensor:
        """What the weight gains at the end: log p(y | x₀), unless that is in it already."""
        ...


class Guided:
    """What twists inherit that are a function p̃(y | x_t) and a shift: x_s ~ N(mean around x̂ + shift, fresh² I),
    weight p(x_s | x_t) p̃(y | x_s)/(q(x_s | x_t) p̃(y | x_t)), and p(y | x₀) in the place of p̃ at the end."""

    def potential(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel) -> Tensor:
        """log p̃(y | x_t)."""
        return looks[0].log_twist

    def move(self, x: Tensor, looks: tuple[Look, ...], kernel: Kernel, z: Tensor) -> tuple[Tensor, Tensor]:
        """The proposal of the twisted diffusion sampler (Wu et al. 2023, eq. 8)."""
        there = kernel.mean(x, [look.mean for look in looks])
        fresh = kernel.row.fresh
        if fresh == 0:  # the last step: the model itself draws nothing, so nothing may be shifted
            return there, -looks[0].log_twist
        offset = kernel.mixed([look.shift for look in looks]) / fresh
        log_ratio = -(offset * z + 0.5 * offset.square()).flatten(1).sum(1, dtype=torch.float64)
        return there + fresh * (offset + z), log_ratio - looks[0].log_twist


@dataclass(frozen=True, eq=False)
class Twisted:
    """A denoiser whose beliefs are looks: what ``SMC`` walks with. At most ``batch`` examples go through the model at
    once; ``rows`` (B,) say which row of y is whose."""

    inner: Denoiser
    twist: Twist
    rows: Tensor
    batch: int | None = None

    @property
    def process(self) -> Any:
        """That of the model."""
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Look:
        """x (B, *D) → the look. Where there is no signal yet (α_t = 0) y says nothing of x_t."""
        look = self.twist.look if self.process.schedule(t).alpha > 0 else unguided
        looks = [look(self.inner, part, t, rows, given) for part, rows, given in _parts(x, self.rows, cond, self.batch)]
        return Look(*map(torch.cat, zip(*looks, strict=True)))


def unguided(denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
    """A look that has not seen y."""
    mean = denoiser(x, t, **cond).mean
    return Look(mean, torch.zeros_like(mean), torch.zeros(len(x), dtype=torch.float64, device=x.device))


def _parts(x: Tensor, rows: Tensor, cond: dict[str, Any], batch: int | None) -> Any:
    """The examples, at most ``batch`` at once, each with its rows and conditions (a tensor of B rows is cut)."""
    size = batch or len(x)
    for i in range(0, len(x), size):
        part = slice(i, i + size)
        yield (
            x[part],
            rows[part],
            {k: v[part] if torch.is_tensor(v) and len(v) == len(x) else v for k, v in cond.items()},
        )
