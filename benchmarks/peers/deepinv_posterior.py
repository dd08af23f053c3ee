"""deepinv's posterior samplers on a scorefield denoiser and measurement: Gaussian noise, a matrix as operator.

deepinv is made for pictures in [0, 1]: events are moved there, ±``WIDTH``/2 → [0, 1], with their measurement. It
imports torchvision, and none of what runs here needs it: modules of that name are empty ones while it is imported.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any, ClassVar

import torch
from torch import Tensor

from .common import Oracle

WIDTH = 8.0


class _Empty(types.ModuleType):
    """A module in which every name is a class without content."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname.split(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


@contextmanager
def _without_torchvision() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def samplers() -> dict[str, Callable[[Any, float, int], Any]]:
    """name ↦ (denoiser, std of the noise, steps) ↦ a sampler of deepinv's, with its defaults for the rest."""
    with _without_torchvision():
        from deepinv.optim.data_fidelity import L2
        from deepinv.sampling import DDRM, DPS, DiffPIR

    return {
        "DDRM": lambda denoiser, std, steps: DDRM(denoiser, sigmas=torch.linspace(1, 0, steps).tolist()),
        "DiffPIR": lambda denoiser, std, steps: DiffPIR(denoiser, L2(), sigma=std, max_iter=steps),
        "DPS": lambda denoiser, std, steps: DPS(denoiser, num_steps=steps),
    }


def run(
    name: str, denoiser: Any, A: Tensor, y: Tensor, std: float, n: int, steps: int, own: bool = True
) -> tuple[Tensor, int]:
    """(x₀ (n, D), evaluations) of the sampler called ``name``; it knows its own schedules alone."""
    made = samplers()
    with _without_torchvision():
        from deepinv.physics import DecomposablePhysics, GaussianNoise

    oracle, dim = Oracle(denoiser), A.shape[1]

    class Wrapped(torch.nn.Module):
        def forward(self, z: Tensor, sigma: Any, *args: Any, **kwargs: Any) -> Tensor:
            level = torch.as_tensor(sigma, dtype=torch.float64).flatten()[0]
            if level == 0:
                return z
            mean = oracle(WIDTH * (z.double().flatten(1) - 0.5), 1.0, WIDTH * level)
            return (mean / WIDTH + 0.5).to(z).view_as(z)

    left, values, right = torch.linalg.svd(A.float(), full_matrices=True)
    singular = torch.zeros(1, 1, 1, dim)
    singular[..., : len(values)] = values

    def fit(c: Tensor, size: int) -> Tensor:  # deepinv's spectra are as long as the event
        return torch.nn.functional.pad(c, (0, size - c.shape[-1]))[..., :size]

    physics = DecomposablePhysics(
        U=lambda c: fit(c, len(values)) @ left.mT,
        U_adjoint=lambda v: fit(v @ left, dim),
        V=lambda c: c @ right,
        V_adjoint=lambda x: x @ right.mT,
        mask=singular,
        noise_model=GaussianNoise(std / WIDTH),
    )
    measured = (y.float() / WIDTH + 0.5 * A.float().sum(1)).expand(n, 1, 1, -1).contiguous()
    torch.manual_seed(0)  # deepinv draws from torch's global generator
    z = made[name](Wrapped(), std / WIDTH, steps)(measured, physics)
    return WIDTH * (z.double().flatten(1) - 0.5), oracle.nfe
