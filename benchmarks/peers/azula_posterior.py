"""azula's posterior samplers on a scorefield denoiser and measurement: Gaussian noise, a matrix as operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .common import Oracle

SCHEDULES = ("its own VP", "ours")


def samplers() -> dict[str, Callable[[Any, Tensor, Tensor, float, int], Any]]:
    """name ↦ (denoiser, A, y (1, M), std, steps) ↦ a sampler of azula's, with the settings of its documentation."""
    from azula.guidance import (
        DiffPIRDenoiser,
        DPSSampler,
        MMPSDenoiser,
        PGDMSampler,
        RePaintSampler,
        TDSSampler,
        TMPDenoiser,
    )
    from azula.linalg.covariance import IsotropicCovariance
    from azula.sample import DDPMSampler

    def guided(make: Callable[..., Any]) -> Callable[..., Any]:
        def build(denoiser: Any, A: Tensor, y: Tensor, std: float, steps: int) -> Any:
            return DDPMSampler(make(denoiser, y, lambda x: x @ A.mT, std), **plain(steps))

        return build

    def plain(steps: int) -> dict[str, Any]:
        return {"steps": steps, "silent": True, "dtype": torch.float64}

    def noise(std: float) -> Any:
        return IsotropicCovariance(torch.tensor(std**2, dtype=torch.float64))

    def inverse(A: Tensor) -> Callable[[Tensor], Tensor]:
        pinv = torch.linalg.pinv(A)
        return lambda y: y @ pinv.mT

    def twisted(denoiser: Any, A: Tensor, y: Tensor, std: float, steps: int) -> Any:
        left, values, _ = torch.linalg.svd(A, full_matrices=False)

        def twist(mean: Tensor, level: Tensor) -> Tensor:
            var = std**2 + level**2 / (1 + level**2) * values**2
            along = (y - mean @ A.mT) @ left
            return -0.5 * (along.square() / var + var.log())

        return TDSSampler(denoiser, twist, **plain(steps))

    def repaint(denoiser: Any, A: Tensor, y: Tensor, std: float, steps: int) -> Any:
        mask = A.sum(0) > 0.5
        return RePaintSampler(denoiser, y @ A, mask, eta=1.0, **plain(max(1, steps // 3)))

    return {
        "DPS, zeta 1": lambda d, A, y, std, n: DPSSampler(d, y, lambda x: x @ A.mT, zeta=1.0, **plain(n)),
        "DPS, zeta 0.3": lambda d, A, y, std, n: DPSSampler(d, y, lambda x: x @ A.mT, zeta=0.3, **plain(n)),
        "PGDM, eta 1": lambda d, A, y, std, n: PGDMSampler(d, y, lambda x: x @ A.mT, inverse(A), eta=1.0, **plain(n)),
        "MMPS": guided(lambda d, y, A, std: MMPSDenoiser(d, y, A, noise(std))),
        "MMPS, 5 iterations": guided(lambda d, y, A, std: MMPSDenoiser(d, y, A, noise(std), iterations=5)),
        "TMPD": guided(lambda d, y, A, std: TMPDenoiser(d, y, A, std**2)),
        "DiffPIR": guided(lambda d, y, A, std: DiffPIRDenoiser(d, y, A, std**2)),
        "TDS": twisted,
        "RePaint": repaint,
    }


def run(
    name: str, denoiser: Any, A: Tensor, y: Tensor, std: float, n: int, steps: int, own: bool
) -> tuple[Tensor, int]:
    """(x₀ (n, D), evaluations) of the sampler called ``name`` on its own VP schedule, or on that of the denoiser."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.noise import VPSchedule

    oracle = Oracle(denoiser)
    schedule = VPSchedule() if own else (lambda t: denoiser.process.schedule(t.double()))

    class Wrapped(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = schedule

        def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
            return DiracPosterior(oracle(x_t, *schedule(t)) if own else oracle.at(x_t, t.double()))

    torch.manual_seed(0)  # azula draws from torch's global generator
    sampler = samplers()[name](Wrapped(), A, y, std, steps)
    alpha, sigma = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64))
    x = sampler(sigma[0] * torch.randn(n, A.shape[1], dtype=torch.float64))
    return x / alpha[1], oracle.nfe
