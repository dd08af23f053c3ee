"""What the tests of guided denoisers share: every method on one measurement, and a small network on images."""

from __future__ import annotations

import torch
from torch import nn

from scorefield import Gaussian, GaussianMixture, Preconditioned
from scorefield.analytic.inverse import b_gauss
from scorefield.noise import VP
from scorefield.operators import GaussianNoise, Mask, Matrix, Measurement
from scorefield.posterior import (
    DPS,
    MCG,
    MMPS,
    SDA,
    TMPD,
    Convolved,
    CoPaint,
    GradPaint,
    OptimalCovariance,
    PiGDM,
    Published,
    PublishedPiGDM,
    ScoreALD,
    Song22,
    Spread,
    Steered,
)
from scorefield.solvers import named

PROCESS = Gaussian(VP())
SPREAD = Spread((0.01, 0.1, 1.0, 10.0), (1e-4, 1e-2, 0.4, 0.9))

# What each makes of (denoiser, measurement): (denoiser, solver).
DENOISERS = {
    "dps": lambda d, m: DPS(d, m),
    "sda": lambda d, m: SDA(d, m),
    "sda, detached": lambda d, m: SDA(d, m, detach=True),
    "pigdm": lambda d, m: PiGDM(d, m),
    "mmps": lambda d, m: MMPS(d, m),
    "mmps, 3 iterations": lambda d, m: MMPS(d, m, 3),
    "tmpd": lambda d, m: TMPD(d, m),
    "optimal covariance": lambda d, m: OptimalCovariance(d, m, SPREAD),
    "convolved": lambda d, m: Convolved(d, m),
    "score-ald": lambda d, m: ScoreALD(d, m),
    "steered": lambda d, m: Steered(d, m),
    "steered, by gradient": lambda d, m: Steered(d, m, scale=1.0),
}
SOLVERS = {
    "dps published": lambda m: Published(m),
    "pigdm published": lambda m: PublishedPiGDM(m),
    "mcg": lambda m: MCG(m),
    "song22": lambda m: Song22(m),
    "gradpaint": lambda m: GradPaint(m),
    "copaint": lambda m: CoPaint(m, tries=2),
}


def masked(event: tuple[int, ...], rows: int = 1, std: float = 0.1) -> Measurement:
    """The first half of an event is known, in ``rows`` ways."""
    where = torch.zeros(event, dtype=torch.bool)
    where[..., : event[-1] // 2] = True
    operator = Mask(where)
    y = torch.randn(rows, *operator.measured, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Measurement(operator, 0.5 * y, GaussianNoise(std))


def normal(cov: torch.Tensor) -> GaussianMixture:
    """N(μ, cov) with a mean that is not 0."""
    mean = torch.linspace(-1, 1, len(cov), dtype=torch.float64)[None]
    return GaussianMixture(torch.ones(1).double(), mean, cov[None])


def random_measurement(std: float, seed: int = 0) -> Measurement:
    """Three random linear numbers of eight, of singular values that differ."""
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(3, 8, generator=g, dtype=torch.float64)
    return Measurement(Matrix(A), torch.randn(1, 3, generator=g, dtype=torch.float64), GaussianNoise(std))


def correlated() -> torch.Tensor:
    """The covariance of B-gauss."""
    return b_gauss(0).prior.covs[0]


class TinyNet(nn.Module):
    """A convolution or two on (B, 1, 4, 4), smooth so that gradients exist everywhere."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)  # weights are drawn by torch's global generator
        self.one, self.two = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x, level, **cond):
        return self.two(torch.tanh(self.one(x) + level.view(-1, 1, 1, 1)))


def network() -> Preconditioned:
    """A float32 network on images, untrained."""
    return Preconditioned(TinyNet(), PROCESS, "edm", 0.5)


def walked(name: str, denoiser, measurement):
    """(denoiser, solver) of a method of either table."""
    if name in DENOISERS:
        return DENOISERS[name](denoiser, measurement), named("ddpm")
    return denoiser, SOLVERS[name](measurement)


METHODS = [*DENOISERS, *SOLVERS]
