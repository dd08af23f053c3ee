"""Noisy Lorenz-63 from sparse measurements: a network that only ever saw windows, against a particle filter.

python benchmarks/trajectories.py            prints the tables
python benchmarks/trajectories.py --steps N  trains N steps instead

Also the error of composing windows on AR(1), in closed form.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import scorefield as sf
from scorefield.analytic.series import LORENZ_MEAN, LORENZ_STD, ar1, lorenz63, lorenz_paths, particle_smoother
from scorefield.guidance import Windowed
from scorefield.metrics import sliced_wasserstein
from scorefield.noise import EDM, VE
from scorefield.objectives import EDMWeight, LogNormal, Stratified
from scorefield.operators import GaussianNoise, Mask, Measurement
from scorefield.posterior import DPS, SDA
from scorefield.solvers import Exponential
from scorefield.training import Settings

LENGTH, DRAWS, PARTICLES = 33, 128, 16_384
WINDOWS = (5, 17)
SCENES = {"every 8th step, std 0.05": (8, 0.05), "every step, std 0.25": (1, 0.25)}  # of the first coordinate
METHODS = {  # SDA's gamma is 0.03 in the paper
    "SDA, gamma 0.03": lambda windows, y: SDA(windows, y, 0.03),
    "SDA, gamma 0.003": lambda windows, y: SDA(windows, y, 0.003),
    "DPS": lambda windows, y: DPS(windows, y),
}
SAMPLER, SAMPLER_STEPS = Exponential(2, eta=1.0), 64


class Flat(nn.Module):
    """An MLP that sees a window (B, 3, W) as one row."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.net = sf.MLP(3 * window, width=256, depth=3, told=32)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.net(x.flatten(1), level).view_as(x)


@dataclass(frozen=True)
class Windows:
    """Windows of paths as training data; they need no codec."""

    x: Tensor
    fingerprint: str = "lorenz"

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        return {"x": self.x[index]}

    def encode(self, raw: Tensor) -> Tensor:
        return raw

    def decode(self, z: Tensor) -> Tensor:
        return z


def trained(window: int, steps: int) -> sf.Preconditioned:
    """A denoiser of windows of so many steps, from 1,024 paths of 256."""
    torch.manual_seed(0)  # weights are drawn by torch's global generator
    paths = lorenz_paths(1024, 256, sf.Rng(1)).float()
    data = Windows(paths.unfold(2, window, 1).movedim(2, 1).flatten(0, 1).contiguous())
    denoiser = sf.Preconditioned(Flat(window), sf.Gaussian(EDM()), "edm", 1.0)
    objective = sf.Denoising(Stratified(LogNormal(-1.2, 1.5)), EDMWeight(1.0))
    settings = Settings(steps=steps, batch=256, lr=2e-3, ema=(0.10,), log_every=1000)
    return sf.fit(denoiser, data, data, objective, settings).denoiser


def filtered(y: Tensor, every: int, deviation: float, seed: int) -> Tensor:
    """Paths (DRAWS, 3, LENGTH) of the particle smoother with the true dynamics."""
    rng = sf.Rng(seed)
    mean, std = (torch.tensor(part, dtype=torch.float64) for part in (LORENZ_MEAN, LORENZ_STD))
    start = lorenz_paths(PARTICLES, 1, rng, burn=200)[:, :, 0]

    def move(x: Tensor) -> Tensor:
        x = lorenz63(mean + std * x) + 0.025**0.5 * rng.normal(x)
        return (x - mean) / std

    def log_likelihood(x: Tensor, i: int) -> Tensor:
        if i % every:
            return torch.zeros_like(x[:, 0])
        return -0.5 * ((y[i // every] - x[:, 0]) / deviation).square()

    paths, _ = particle_smoother(start, move, log_likelihood, LENGTH, rng)
    return paths[rng.permutation(PARTICLES)[:DRAWS]]


def log_dynamics(x: Tensor) -> float:
    """Mean of log p(x_{i+1} | x_i) a step in nats under the true dynamics, 3 numbers of deviation √dt; far below that
    of the particles where paths do not move as Lorenz' system."""
    mean, std = (torch.tensor(part, dtype=torch.float64)[:, None] for part in (LORENZ_MEAN, LORENZ_STD))
    z = (mean + std * x.double()).mT
    wrong = (z[:, 1:] - lorenz63(z[:, :-1])).square().sum(-1) / 0.025
    return (-0.5 * wrong - 1.5 * math.log(2 * math.pi * 0.025)).mean().item()


def composition() -> None:
    """Relative root-mean-square error of the composed score of AR(1), 33 places."""
    print("| a | σ/α | k=1 | k=2 | k=3 | k=4 | k=8 |\n| --- | --- | --- | --- | --- | --- | --- |")
    process, eye = sf.Gaussian(VE(0.001, 100.0)), torch.eye(33, dtype=torch.float64)
    for a, sigma in ((0.9, 0.5), (0.9, 1.0), (0.99, 1.0)):
        t, law, row = process.time(torch.tensor(-math.log(sigma))), ar1(a, 33), []
        exact = process.score(eye, law.denoiser(process)(eye, t), t).mT
        for k in (1, 2, 3, 4, 8):
            windows = Windowed(ar1(a, 2 * k + 1).denoiser(process), 2 * k + 1)
            wrong, cov = process.score(eye, windows(eye, t), t).mT - exact, law.cov + sigma**2 * eye
            row.append(((wrong @ cov @ wrong.mT).trace() / (exact @ cov @ exact.mT).trace()).sqrt().item())
        print(f"| {a} | {sigma} | " + " | ".join(f"{error:.4f}" for error in row) + " |")


def assimilation(steps: int) -> None:
    """Draws round the trained windows, beside the particle smoother and its floor (two runs of it)."""
    truth = lorenz_paths(1, LENGTH, sf.Rng(11))
    scenes = [scene(truth, i, *where) for i, where in enumerate(SCENES.values())]
    print("| windows of | guided by | measured | W2 apart | floor | log p a step | of particles | chi2 | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for window in WINDOWS:
        windows = Windowed(trained(window, steps), window)
        for method, guided in {"nothing": None, **METHODS}.items():
            for i, (name, (measurement, particles, floor)) in enumerate(zip(SCENES, scenes, strict=True)):
                if guided is None and i:
                    continue
                start = time.process_time()
                told = windows if guided is None else guided(windows, measurement)
                x = sf.sample(told, (DRAWS, 3, LENGTH), steps=SAMPLER_STEPS, solver=SAMPLER, seed=i).double()
                seconds = time.process_time() - start
                row = f"| {window} | {method} | "
                if guided is None:
                    print(
                        row + f"nothing | | | {log_dynamics(x):.1f} | {log_dynamics(particles):.1f} | | {seconds:.0f} |"
                    )
                    continue
                distance = sliced_wasserstein(x.flatten(1), particles.flatten(1)).value
                chi2 = (measurement.residual(x) / measurement.noise.std).square().mean().item()
                row += f"{name} | {distance:.3f} | {floor:.3f} | {log_dynamics(x):.1f} | {log_dynamics(particles):.1f}"
                print(row + f" | {chi2:.2f} | {seconds:.0f} |", flush=True)


def scene(truth: Tensor, i: int, every: int, std: float) -> tuple[Measurement, Tensor, float]:
    """(what was measured, paths of the particle smoother, how far those of two runs of it are apart)."""
    seen = torch.zeros(3, LENGTH, dtype=torch.bool)
    seen[0, ::every] = True
    measurement = Measurement.of(truth, Mask(seen), GaussianNoise(std), sf.Rng(12))
    particles, others = (filtered(measurement.y[0], every, std, seed) for seed in (20 + i, 30 + i))
    return measurement, particles, sliced_wasserstein(others.flatten(1), particles.flatten(1)).value


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20000)
    composition()
    print()
    assimilation(parser.parse_args().steps)


if __name__ == "__main__":
    main()
