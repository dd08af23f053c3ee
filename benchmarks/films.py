"""Films of stirred two-dimensional flow from coarse, noisy, rare measurements: a network that only ever saw windows of
a few frames, after Rozet and Louppe (2023), section 4.2.

python benchmarks/films.py                 trains and prints the table
python benchmarks/films.py --steps N       trains N steps instead
python benchmarks/films.py --keep FOLDER   keeps checkpoints there; begun again, it goes on from the last
python benchmarks/films.py --picture FILE  also draws frames as a PNG

There is no exact posterior here. What can be checked: the measurement is explained, the mean is nearer to the truth
than what interpolation makes of y, the spread of the draws is as large as their error, and each frame goes over into
the next by the equations of motion.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from PIL import Image
from torch import Tensor, nn

import scorefield as sf
from benchmarks.trajectories import Windows
from scorefield.analytic.fluid import Kolmogorov
from scorefield.guidance import Windowed
from scorefield.noise import EDM
from scorefield.objectives import EDMWeight, LogNormal, Stratified
from scorefield.operators import Downsample, GaussianNoise, Mask, Measurement
from scorefield.posterior import DPS, MMPS, SDA
from scorefield.solvers import Exponential
from scorefield.training import Settings

FLOW = Kolmogorov(12, viscosity=0.05, wave=2, force=2.0)  # its waves are |k| ≤ 3
FRAME, MOVES = 0.5, 13  # time between frames, and the steps of the equations in it
SCALE = 3.34  # root mean square of the vorticity
WINDOWS, STEPS = (5, 9), 9000
LENGTH, DRAWS, SOLVER = 17, 16, Exponential(2, eta=1.0)
EVERY, SMALLER, STD = 4, 3, 0.1  # each 4th frame, averages of 3 × 3 points, noise
WIDEST, KEPT = 3, [0, 1, 2, 3, -3, -2, -1]


def films(n: int, frames: int, seed: int) -> Tensor:
    """Vorticity of unit root mean square, float32 (n, frames, N, N), of flows that have run for 30 units of time."""
    film = [FLOW.advance(FLOW.start(n, sf.Rng(seed)), 30.0, 750)]
    for _ in range(frames - 1):
        film.append(FLOW.advance(film[-1], FRAME, MOVES))
    return (torch.stack(film, 1) / SCALE).float()


class Waves(nn.Module):
    """A residual layer that mixes channels for each wave |k| ≤ 3 by itself and everywhere at once, as Fourier neural
    operators do (Li et al. 2021): what the flow does from one frame to the next depends on no place, only on the wave
    that stirs it, and goes round the torus."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(KEPT), WIDEST + 1, channels, channels, 2) / channels)
        self.norm, self.told = nn.GroupNorm(4, channels), nn.Linear(told, 2 * channels)
        self.local, self.out = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        gain, bias = self.told(told)[:, :, None, None].chunk(2, 1)
        h = self.norm(x) * (1 + gain) + bias
        waves = torch.fft.rfft2(h, norm="ortho")
        mixed = torch.zeros_like(waves)
        kept = waves[:, :, KEPT, : WIDEST + 1].permute(2, 3, 0, 1) @ torch.view_as_complex(self.weight)
        mixed[:, :, KEPT, : WIDEST + 1] = kept.permute(2, 3, 0, 1)
        spread = torch.fft.irfft2(mixed, s=x.shape[2:], norm="ortho")
        return x + self.out(torch.nn.functional.silu(spread + self.local(h)))


class Frames(nn.Module):
    """Frames (B, W, N, N) as channels, with the phase of the wave that stirs."""

    def __init__(self, window: int, channels: int = 64, layers: int = 4) -> None:
        super().__init__()
        phase = torch.arange(FLOW.size) * (2 * math.pi * FLOW.wave / FLOW.size)
        stirred = torch.stack([phase.cos(), phase.sin()])[:, :, None].expand(2, FLOW.size, FLOW.size)
        self.register_buffer("stirred", stirred.contiguous())
        self.register_buffer("pitch", 2 * math.pi * torch.randn(16))
        self.told = nn.Sequential(nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.first = nn.Conv2d(window + 2, channels, 1)
        self.layers = nn.ModuleList(Waves(channels, 64) for _ in range(layers))
        self.last = nn.Conv2d(channels, window, 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        angle = level[:, None] * self.pitch
        told = self.told(torch.cat([angle.cos(), angle.sin()], 1))
        h = self.first(torch.cat([x, self.stirred.expand(len(x), -1, -1, -1)], 1))
        for layer in self.layers:
            h = layer(h, told)
        return self.last(h)


def trained(window: int, steps: int, keep: Path | None) -> sf.Preconditioned:
    """A denoiser of so many frames from 768 films of 32."""
    torch.manual_seed(0)  # weights are drawn by torch's global generator
    cuts = films(768, 32, 1).unfold(1, window, 1)  # (n, places, N, N, window)
    data = Windows(cuts.movedim(-1, 2).flatten(0, 1).contiguous(), "kolmogorov")
    denoiser = sf.Preconditioned(Frames(window), sf.Gaussian(EDM()), "edm", 1.0)
    objective = sf.Denoising(Stratified(LogNormal(-1.2, 1.8)), EDMWeight(1.0))
    settings = Settings(steps=steps, batch=64, lr=2e-3, ema=(0.10,), log_every=200, channels_last=False)
    return sf.fit(denoiser, data, data, objective, settings, keep and keep / f"window-{window}").denoiser


def leap(x: Tensor) -> float:
    """Root mean square of frame i + 1 minus what the equations make of frame i, over that of what a frame changes."""
    w = x.double() * SCALE
    after = FLOW.advance(w[:, :-1].flatten(0, 1), FRAME, MOVES).view_as(w[:, 1:])
    wrong, change = (part.square().mean().sqrt().item() for part in (w[:, 1:] - after, w[:, 1:] - w[:, :-1]))
    return wrong / change


def interpolated(y: Tensor) -> Tensor:
    """y (1, frames, n, n) made large by cubic interpolation on the torus, and linear in time."""
    around = torch.nn.functional.pad(y, (2, 2, 2, 2), mode="circular")
    large = torch.nn.functional.interpolate(around, scale_factor=SMALLER, mode="bicubic", align_corners=False)
    large = large[..., 2 * SMALLER : -2 * SMALLER, 2 * SMALLER : -2 * SMALLER]
    at = torch.arange(LENGTH) / EVERY
    before = at.long().clamp_max(y.shape[1] - 2)
    share = (at - before)[:, None, None]
    return (1 - share) * large[:, before] + share * large[:, before + 1]


def scene() -> tuple[Tensor, Measurement]:
    """A film that no network saw (1, LENGTH, N, N), and what was measured of it."""
    truth = films(1, LENGTH, 2)
    small = Downsample((LENGTH, FLOW.size, FLOW.size), SMALLER)
    seen = torch.zeros(small.measured, dtype=torch.bool)
    seen[::EVERY] = True
    return truth, Measurement.of(truth, Mask(seen) @ small, GaussianNoise(STD), sf.Rng(12))


METHODS: dict[str, Callable[[Windowed, Measurement], Any]] = {
    "nothing": lambda windows, y: windows,
    "DPS": DPS,
    "SDA, gamma 0.01": lambda windows, y: SDA(windows, y, 0.01),
    "SDA, gamma 0.1": lambda windows, y: SDA(windows, y, 0.1),
    "MMPS, 5 iterations": lambda windows, y: MMPS(windows, y, 5),
}


def picture(frames: dict[str, Tensor], path: Path) -> None:
    """Every second frame of films (LENGTH, N, N) as a PNG, a film a row: vorticity −2.5 is black, 2.5 white."""
    edged = torch.nn.functional.pad(torch.stack(list(frames.values()))[:, ::2], (1, 1, 1, 1), value=-2.5)
    grey = ((edged.transpose(1, 2).flatten(2).flatten(0, 1) + 2.5) / 5 * 255).clamp(0, 255).to(torch.uint8)
    image = Image.fromarray(grey.numpy())
    image.resize((6 * image.width, 6 * image.height), Image.Resampling.NEAREST).save(path)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--keep", type=Path, help="folder for checkpoints")
    parser.add_argument("--picture", type=Path, help="PNG of frames")
    asked = parser.parse_args()
    truth, measurement = scene()
    coarse = FLOW.size // SMALLER
    guess = interpolated(measurement.y.view(1, -1, coarse, coarse))
    shown = {"truth": truth[0], "interpolated": guess[0]}
    print("| windows of | guided by | error of the mean | spread / error | chi2 | leap | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(f"| | y interpolated | {(guess - truth).square().mean().sqrt():.3f} | | | {leap(guess):.3f} | |")
    for window in WINDOWS:
        windows = Windowed(trained(window, asked.steps, asked.keep), window, axis=1)
        for name, guided in METHODS.items():
            start = time.process_time()
            x = sf.sample(guided(windows, measurement), (DRAWS, *truth.shape[1:]), steps=64, solver=SOLVER, seed=1)
            seconds = time.process_time() - start
            row = f"| {window} | {name} | "
            if guided is METHODS["nothing"]:
                print(f"{row}| | | {leap(x):.3f} | {seconds:.0f} |", flush=True)
                continue
            error = (x.mean(0) - truth[0]).square().mean().sqrt().item()
            spread = x.var(0).mean().sqrt().item() * (1 + 1 / DRAWS) ** 0.5
            chi2 = (measurement.residual(x) / STD).square().mean().item()
            print(f"{row}{error:.3f} | {spread / error:.2f} | {chi2:.2f} | {leap(x):.3f} | {seconds:.0f} |", flush=True)
            shown |= {f"{window} {name} {i}": x[i] for i in range(2)}
    if asked.picture:
        picture(shown, asked.picture)


if __name__ == "__main__":
    main()
