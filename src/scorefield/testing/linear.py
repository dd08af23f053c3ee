"""A sampler on Gaussian data is an affine map of its noise: so its endpoint law is read off without sampling."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..analytic import GaussianMixture
from ..core import Solver, as_time
from ..noise import Gaussian
from ..sampling import trajectory


class Endpoint(NamedTuple):
    """Exact mean and standard deviation of a sampler's result on N(mean, var) data, and its evaluations."""

    mean: float
    std: float
    nfe: int


class Impulses:
    """Stands in for an ``Rng``: row k of the batch receives a unit impulse in the k-th normal draw and nothing else;
    row 0 receives nothing. ``draws`` counts."""

    def __init__(self) -> None:
        self.draws = 0

    def normal(self, like: Tensor) -> Tensor:
        """The next impulse, shaped like ``like`` (B, *D). Raises IndexError when B is too small for the draws."""
        self.draws += 1
        pulse = torch.zeros_like(like)
        pulse[self.draws] = 1
        return pulse


def gaussian_endpoint(solver: Solver, process: Gaussian, times: Tensor, mean: float, var: float) -> Endpoint:
    """The law that ``solver`` on ``times`` (falling, from 1) makes of N(mean, var) data with the exact belief.

    Linear response: rows of a batch carry one unit impulse of noise each, so the result is exact to rounding for
    deterministic and stochastic solvers alike. var ≥ 0.
    """
    law = GaussianMixture(*(torch.tensor(v, dtype=torch.float64) for v in ([1.0], [[mean]], [[[var]]])))
    rng: Any = Impulses()
    rows = 2 + 4 * len(times)  # room for up to four draws a step
    x = process.prior(torch.zeros(rows, 1, dtype=torch.float64), rng)
    *_, step = trajectory(law.denoiser(process), x, as_time(times), solver=solver, rng=rng)
    response = step.x[1 : 1 + rng.draws] - step.x[0]
    return Endpoint(step.x[0].item(), response.square().sum().sqrt().item(), step.nfe)
