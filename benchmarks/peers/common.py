"""What the three adapters share: a denoiser seen at any (α, σ), grids of noise levels, arithmetic in float64."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Levels = list[float]  # σ/α, falling; without the final 0
LARGE = (80.0, 1000.0)  # where users start whose schedule has σ/α = ∞ at t = 1


class Candidate(NamedTuple):
    """One way to spend the budget: whose, which sampler, on which grid; ``run(denoiser, noise) → (x₀, evaluations)``.

    ``noise`` (B, *D) is standard normal: the state at t = 1 is σ₁ times it.
    """

    peer: str
    solver: str
    grid: str
    run: Callable[[Any, Tensor], tuple[Tensor, int]]


class Oracle:
    """A denoiser asked at any pair of scales (a, s), x = a x₀ + s ε: x is carried to the scales of its process."""

    def __init__(self, denoiser: Any) -> None:
        self.denoiser, self.process, self.nfe, self.last = denoiser, denoiser.process, 0, torch.zeros(())

    def __call__(self, x: Tensor, a: float | Tensor, s: float | Tensor) -> Tensor:
        """E[x₀ | x], (B, *D)."""
        a, s = (torch.as_tensor(c, dtype=torch.float64) for c in (a, s))
        t = self.process.time(a.log() - s.log())
        alpha, sigma = self.process.schedule(t)
        return self.at(x * (torch.hypot(alpha, sigma) / torch.hypot(a, s)), t)

    def at(self, x: Tensor, t: Tensor) -> Tensor:
        """E[x₀ | x_t] at a time of the process itself, with no arithmetic between."""
        self.nfe += 1
        self.last = self.denoiser(x, t).mean
        return self.last


def top(process: Any) -> float:
    """σ/α at t = 1, ∞ where no signal is left."""
    return (-process.log_ratio(torch.tensor(1.0, dtype=torch.float64))).exp().item()


def karras(n: int, low: float, high: float, rho: float = 7.0) -> Levels:
    """Karras et al. 2022, eq. 5."""
    ends = (high ** (1 / rho), low ** (1 / rho))
    return [(ends[0] + i / max(n - 1, 1) * (ends[1] - ends[0])) ** rho for i in range(n)]


def exponential(n: int, low: float, high: float) -> Levels:
    """Uniform in log σ/α."""
    return np.exp(np.linspace(math.log(high), math.log(low), n)).tolist()


def uniform(process: Any, n: int, high: float) -> Levels:
    """Uniform in the schedule's own time, from the t of σ/α = ``high`` down; 0 would be the next."""
    start = process.time(torch.tensor(-math.log(high), dtype=torch.float64))
    times = torch.linspace(1, 0, n + 1, dtype=torch.float64)[:-1] * start
    return (-process.log_ratio(times)).exp().tolist()


def rectified(n: int, high: float) -> Levels:
    """Uniform in σ/(α + σ), the time of rectified flow."""
    u = np.linspace(high / (1 + high), 0, n + 1)[:-1]
    return (u / (1 - u)).tolist()


def levels(process: Any, n: int) -> Iterator[tuple[str, Levels]]:
    """The grids that a user of σ/α levels tries: Karras and exponential with three lowest levels, uniform times; from
    the end of the schedule, or where that is ∞, from two large levels."""
    if n < 2:
        return
    highest = top(process)
    highs = LARGE if math.isinf(highest) else (highest,)
    for high in highs:
        for low in (0.002, 0.01, 0.03):
            yield f"karras {low:g}–{high:.4g}", karras(n, low, high)
            yield f"exponential {low:g}–{high:.4g}", exponential(n, low, high)
        yield f"karras ρ=3 0.01–{high:.4g}", karras(n, 0.01, high, 3.0)
        yield f"uniform t from {high:.4g}", uniform(process, n, high)
        if type(process.schedule).__name__ != "Flow":
            yield f"uniform σ/(α+σ) from {high:.4g}", rectified(n, high)


class _Swapped:
    """A module with some names replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def doubled(*modules: Any, **torch_names: Any) -> Iterator[None]:
    """While open, ``torch.float32`` and ``np.float32`` mean float64 in these modules (diffusers casts its samples and
    tables to float32); ``torch_names`` replaces further names of torch, such as ``randn_like``."""
    kept = [(module, vars(module).get("torch"), vars(module).get("np")) for module in modules]
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        for module, torch_of, np_of in kept:
            if torch_of is not None:
                module.torch = _Swapped(torch, **{"float32": torch.float64, **torch_names})
            if np_of is not None:
                module.np = _Swapped(np, float32=np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # their np.array(tensor) under NumPy 2
            yield
    finally:
        torch.set_default_dtype(before)
        for module, torch_of, np_of in kept:
            if torch_of is not None:
                module.torch = torch_of
            if np_of is not None:
                module.np = np_of
