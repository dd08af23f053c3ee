"""What all grids share: the protocol, and noise levels turned into times."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ...core import as_time, need
from ...errors import UserError


class Grid(Protocol):
    """A process and a number of steps ↦ times (steps + 1,)."""

    def __call__(self, process: Any, steps: int) -> Tensor:
        """Falling times (steps + 1,) float64, the last exactly 0. Raises UserError where the grid has no such
        number of steps, or the process no such noise levels."""
        ...


def ramp(n: int) -> Tensor:
    """1 … 0 in n even numbers, (n,) float64; for n = 1 the number 1."""
    return torch.linspace(1, 0, n, dtype=torch.float64)


def top(process: Any) -> float:
    """σ/α at t = 1; infinite where the terminal SNR is zero."""
    need(process, "a grid of noise levels", "log_ratio", "time")
    return (-process.log_ratio(as_time(1.0))).exp().item()


def reach(process: Any, name: str, sigma_min: float, sigma_max: float) -> tuple[float, float]:
    """(lowest, highest) σ/α between which the grid ``name`` spaces its levels: ``sigma_max``, or the end of a schedule
    that has less noise. Raises UserError when the schedule ends below ``sigma_min``."""
    highest = min(top(process), sigma_max)
    if highest <= sigma_min:
        raise UserError(
            f"{name} spaces σ/α from sigma_min={sigma_min:g} up, but the schedule ends at {highest:g}. "
            "Give a smaller sigma_min."
        )
    return sigma_min, highest


def closed(process: Any, levels: Tensor) -> Tensor:
    """Times of falling σ/α > 0 (n,) with both ends closed, (n + 1,): the first becomes 1, where the prior lives, and 0
    is added."""
    need(process, "a grid of noise levels", "time")
    times = torch.cat([process.time(-levels.log()), as_time([0.0])])
    times[0] = 1.0
    return times


def falling(times: Tensor, what: str) -> Tensor:
    """The times themselves. Raises UserError, which says ``what`` would not fall strictly."""
    if not (times.diff() < 0).all():
        shown = ", ".join(f"{t:.4g}" for t in times[:8].tolist()) + (", …" if len(times) > 8 else "")
        raise UserError(f"{what} must fall strictly, got the times {shown}.")
    return times
