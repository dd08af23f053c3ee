"""What samplers are compared on: exact denoisers of mixtures in 2, 16 and 256 dimensions and a network trained on the
embedded digits; four schedules; and the endpoint that the probability-flow ODE really has."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

import scorefield as sf
from scorefield.data import codec_for
from scorefield.noise import EDM, VP, Cosine, Flow
from scorefield.objectives import EDMWeight, LogNormal, Stratified
from scorefield.training import Settings

from .peers import Oracle

SCHEDULES = {"vp": VP(), "cosine": Cosine(), "edm": EDM(), "flow": Flow()}
STEPS = 3000  # of training
Law = tuple[Tensor, Tensor, Tensor]  # weights (K,), means and variances (K, D)


@dataclass(frozen=True)
class Diagonal:
    """The exact denoiser of a mixture with diagonal covariances: in 256 dimensions a hundred times cheaper than the
    general form, with which tests/parity compares it."""

    law: Law
    process: Any

    def __call__(self, x: Tensor, t: Tensor) -> sf.Moments:
        """x (B, D) → E[x₀ | x]. Matrix products alone: Σ_d (x − α m)²/v, expanded."""
        weights, means, variances = self.law
        alpha, sigma = self.process.schedule(t)
        var = alpha**2 * variances + sigma**2
        square = x.square() @ (1 / var).T - 2 * alpha * x @ (means / var).T + alpha**2 * (means**2 / var).sum(1)
        share = (weights.log() - 0.5 * (square + var.log().sum(1))).softmax(1)
        gain = alpha * variances / var
        return sf.Moments(share @ (means - alpha * gain * means) + (share @ gain) * x)


class Flat(nn.Module):
    """An MLP on pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = sf.MLP(64, width=192, depth=3)

    def forward(self, x: Tensor, level: Tensor, **cond: Any) -> Tensor:
        return self.mlp(x.flatten(1), level).view_as(x)


def ring() -> Law:
    """Eight round components of deviation 0.1 on the unit circle."""
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    means = torch.stack([angle.cos(), angle.sin()], 1)
    return torch.full((8,), 1 / 8, dtype=torch.float64), means, torch.full_like(means, 0.01)


def sheets(dim: int = 16, parts: int = 10) -> sf.GaussianMixture:
    """Ten components in 16 dimensions, each nearly flat: deviations from 0.5 down to 0.02 along random axes."""
    generator = torch.Generator().manual_seed(16)
    means = 0.7 * torch.randn(parts, dim, generator=generator, dtype=torch.float64)
    axes = torch.linalg.qr(torch.randn(parts, dim, dim, generator=generator, dtype=torch.float64))[0]
    stds = torch.logspace(math.log10(0.5), math.log10(0.02), dim, dtype=torch.float64)
    weights = torch.arange(1, parts + 1, dtype=torch.float64)
    return sf.GaussianMixture(weights / weights.sum(), means, (axes * stds**2) @ axes.mT)


def textures(dim: int = 256, parts: int = 10) -> Law:
    """Ten components in 256 dimensions, with variances that fall like the spectrum of pictures."""
    generator = torch.Generator().manual_seed(256)
    spectrum = 1 / torch.arange(1, dim + 1, dtype=torch.float64)
    scale = (dim * spectrum / spectrum.sum()).sqrt()
    means = 0.7 * scale * torch.randn(parts, dim, generator=generator, dtype=torch.float64)
    spread = 0.3 + 0.6 * torch.rand(parts, 1, generator=generator, dtype=torch.float64)
    return torch.full((parts,), 1 / parts, dtype=torch.float64), means, (spread * scale) ** 2


def trained() -> dict[str, Tensor]:
    """The weights of the digits network: about a minute on one core, the same every time on a machine."""
    torch.manual_seed(0)  # weights are drawn by torch's global generator
    data = sf.open_data("digits")
    denoiser = sf.Preconditioned(Flat(), sf.Gaussian(EDM()), "edm", digits_rms())
    objective = sf.Denoising(Stratified(LogNormal(-0.5, 1.5)), EDMWeight(digits_rms()))
    settings = Settings(steps=STEPS, batch=256, lr=2e-3, ema=(0.10,), log_every=1000, compile=False)
    fitted = sf.fit(denoiser, data, codec_for(data), objective, settings, device="cpu").denoiser
    return fitted.net.state_dict()


def digits_rms() -> float:
    """Root mean square of the encoded digits."""
    data = sf.open_data("digits")
    return codec_for(data).encode(torch.as_tensor(np.asarray(data.x))).double().square().mean().sqrt().item()


def digits(weights: dict[str, Tensor]) -> Callable[[Any], Any]:
    """process ↦ the trained network on it, in float64."""
    net = Flat()
    net.load_state_dict(weights)
    rms = digits_rms()
    return lambda process: sf.Preconditioned(net.double().eval(), process, "edm", rms)


PROBLEMS: dict[str, tuple[tuple[int, ...], str]] = {  # shape of the noise, what it is
    "mixture-2": ((512, 2), "eight round Gaussians on a circle, exact denoiser"),
    "mixture-16": ((256, 16), "ten nearly flat Gaussians in 16 dimensions, exact denoiser"),
    "mixture-256": ((192, 256), "ten Gaussians with the spectrum of pictures in 256 dimensions, exact denoiser"),
    "digits": ((96, 1, 8, 8), "a residual MLP trained on the embedded 8 × 8 digits"),
}


def denoiser(problem: str, schedule: str, weights: dict[str, Tensor]) -> Any:
    """The denoiser of a problem under a schedule; ``weights`` are those of ``trained``, where they are needed."""
    process = sf.Gaussian(SCHEDULES[schedule])
    if problem == "digits":
        return digits(weights)(process)
    if problem == "mixture-16":
        return sheets().denoiser(process)
    return Diagonal({"mixture-2": ring, "mixture-256": textures}[problem](), process)


def noise(problem: str) -> Tensor:
    """The one start of every sampler, standard normal."""
    return sf.Rng(0).normal(torch.empty(PROBLEMS[problem][0], dtype=torch.float64))


@torch.no_grad()
def endpoint(asked: Any, start: Tensor, tolerance: float = 1e-9) -> Tensor:
    """x₀ of the probability-flow ODE from σ₁ · start at t = 1, by Dormand–Prince of order 8 on two regular legs.

    While noise dominates, y = x/σ moves with r = α/σ as dy/dr = E[x₀ | x], also at r = 0; below σ = α, w = x/α moves
    with u = log σ/α as dw/du = w − E[x₀ | x], down to σ/α = 1e-5, from where the clean image is taken.
    """
    oracle, process = Oracle(asked), asked.process
    first = process.log_ratio(torch.tensor(1.0, dtype=torch.float64)).exp().item()

    def leg(slope: Callable[[float, Tensor], Tensor], ends: tuple[float, float], x: Tensor) -> Tensor:
        field = lambda u, y: slope(u, torch.from_numpy(y).view_as(x)).flatten().numpy()  # noqa: E731
        walk = solve_ivp(field, ends, x.flatten().numpy(), "DOP853", rtol=tolerance, atol=tolerance)
        if not walk.success:
            raise RuntimeError(walk.message)
        return torch.from_numpy(walk.y[:, -1]).view_as(x)

    y = leg(lambda r, y: oracle(y, r, 1.0), (first, 1.0), start)
    low = math.log(1e-5)
    w = leg(lambda u, w: w - oracle(w, 1.0, math.exp(u)), (0.0, low), y)
    return oracle(w, 1.0, math.exp(low))
