"""k-diffusion: every sampler works on x/α at the level σ/α, so any Gaussian schedule is reached."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .common import LARGE, Candidate, Levels, Oracle, levels, top

ONE = {  # evaluations a step: 1
    "euler": {},
    "lms": {"order": 4},
    "lms order 3": {"order": 3},
    "lms order 2": {"order": 2},
    "dpmpp_2m": {},
    "dpmpp_2m_sde": {"eta": 0.0},
    "dpmpp_2m_sde heun": {"eta": 0.0, "solver_type": "heun"},
    "dpmpp_3m_sde": {"eta": 0.0},
}
TWO = {"heun": {}, "dpm_2": {}, "dpmpp_2s_ancestral": {"eta": 0.0}}  # 2, and 1 for the last


def stub() -> None:
    """Make ``import k_diffusion.sampling`` work: the package itself imports torchvision and more, of which the samplers
    need one helper. Nothing happens where k-diffusion is not installed."""
    spec = None if "k_diffusion" in sys.modules else importlib.util.find_spec("k_diffusion")
    if spec is None or spec.submodule_search_locations is None:
        return
    package, utils = ModuleType("k_diffusion"), ModuleType("k_diffusion.utils")
    package.__path__ = list(spec.submodule_search_locations)
    vars(package)["utils"] = utils
    vars(utils)["append_dims"] = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    sys.modules |= {"k_diffusion": package, "k_diffusion.utils": utils}


def sampling() -> Any:
    """Their module of samplers (pip install --no-deps k-diffusion; it needs scipy, torchdiffeq, torchsde and tqdm)."""
    stub()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("k_diffusion.sampling")


def run(sampler: str, grid: Levels, denoiser: Any, noise: Tensor, **options: Any) -> tuple[Tensor, int]:
    """(x₀, evaluations) of ``sample_<sampler>`` on the levels ``grid``, then 0."""
    oracle = Oracle(denoiser)
    sigmas = torch.tensor([*grid, 0.0], dtype=noise.dtype)
    model = lambda x, sigma: oracle(x, 1.0, sigma[0])  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's quadrature of steep polynomials
        x = getattr(sampling(), f"sample_{sampler}")(model, noise * sigmas[0], sigmas, disable=True, **options)
    return x, oracle.nfe


def fast(low: float, high: float, n: int, denoiser: Any, noise: Tensor) -> tuple[Tensor, int]:
    """DPM-Solver-fast in n − 1 evaluations to ``low``, and one more for the clean image."""
    oracle = Oracle(denoiser)
    model = lambda x, sigma: oracle(x, 1.0, sigma[0])  # noqa: E731
    ends = (torch.tensor(c, dtype=noise.dtype) for c in (low, high))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.tensor of a tensor
        x = sampling().sample_dpm_fast(model, noise * high, *ends, n - 1, disable=True)
    return oracle(x, 1.0, low), oracle.nfe


def candidates(process: Any, nfe: int) -> Iterator[Candidate]:
    for cost, samplers in ((1, ONE), (2, TWO)):
        for grid, sigmas in levels(process, (nfe + cost - 1) // cost):
            for name, options in samplers.items():
                ready = partial(run, name.split()[0], sigmas, **options)
                yield Candidate("k-diffusion", name, grid, ready)
    high = min(top(process), LARGE[1])
    for low in (0.002, 0.01, 0.03):
        if nfe >= 5 and math.isfinite(high):
            yield Candidate("k-diffusion", "dpm_fast", f"{low:g}–{high:.4g}", partial(fast, low, high, nfe))
