"""What an affine sampler makes of Gaussian data, exactly: its response to its start and to each of its draws."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from scorefield import GaussianMixture, trajectory


class Response(NamedTuple):
    """x = gain · x_start + shift + N(0, noise)."""

    gain: float
    shift: float
    noise: float  # variance
    nfe: int

    def var(self, start: float) -> float:
        """The variance, for a start of this variance."""
        return self.gain**2 * start + self.noise


class Pulses:
    """Stands in for an ``Rng``: the k-th draw is 1 in row k + 2 and 0 elsewhere, and nothing where there is no row."""

    def __init__(self) -> None:
        self.draws = 0

    def normal(self, like: Tensor) -> Tensor:
        pulse = torch.zeros_like(like)
        pulse[2 + self.draws : 3 + self.draws] = 1
        self.draws += 1
        return pulse


class Watched:
    """A denoiser that remembers the last state it was asked about."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.process, self.x = inner, inner.process, torch.empty(0)

    def __call__(self, x: Tensor, t: Tensor) -> Any:
        self.x = x
        return self.inner(x, t)


def normal_law(mean: float, var: float) -> GaussianMixture:
    """N(mean, var) on ℝ¹."""
    return GaussianMixture(*(torch.tensor(v, dtype=torch.float64) for v in ([1.0], [[mean]], [[[var]]])))


def response(solver: Any, process: Any, times: Any, mean: float, var: float, before: bool = False) -> Response:
    """How ``solver`` over ``times`` maps its start to its end (or, ``before``, to where the belief was last asked),
    with the exact belief about N(mean, var) data."""
    denoiser = Watched(normal_law(mean, var).denoiser(process))
    rows, rng = 0, Pulses()
    rng.draws = 6 * len(times)  # a guess, mended by a second run
    while rows < 2 + rng.draws:
        rows, rng = 2 + rng.draws, Pulses()
        x = torch.zeros(rows, 1, dtype=torch.float64)
        x[1] = 1
        *_, step = trajectory(denoiser, x, times, solver=solver, rng=rng)  # type: ignore[arg-type]
    x = (denoiser.x if before else step.x)[:, 0]
    pulse = x - x[0]
    return Response(pulse[1].item(), x[0].item(), pulse[2:].square().sum().item(), step.nfe)
