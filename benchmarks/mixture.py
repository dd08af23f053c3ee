"""A network against a law known in closed form: eight Gaussians on a ring, an MLP, and the sliced Wasserstein distance.

python benchmarks/mixture.py            prints the table of benchmarks/results/mixture.md
"""

from __future__ import annotations

import math
import time

import torch

import scorefield as sf
from scorefield.data import codec_for
from scorefield.metrics import sliced_wasserstein
from scorefield.noise import EDM
from scorefield.objectives import EDMWeight, LogNormal, Stratified
from scorefield.training import Settings

SAMPLES = 5000
STEPS = 2500


def ring() -> sf.GaussianMixture:
    """Eight round components of deviation 0.15 on the circle of radius 2."""
    angle = torch.arange(8) * math.pi / 4
    return sf.GaussianMixture.isotropic(2 * torch.stack([angle.cos(), angle.sin()], 1), 0.15)


def trained(law: sf.GaussianMixture) -> tuple[object, object]:
    """(denoiser, codec) after ``STEPS`` steps on 20,000 points of the law."""
    torch.manual_seed(0)  # weights are drawn by torch's global generator
    data = sf.open_data(law.sample(20_000, sf.Rng(1)), holdout=0)
    codec = codec_for(data)
    denoiser = sf.Preconditioned(sf.MLP(2, width=128, depth=3), sf.Gaussian(EDM()), "edm", 1.0)
    objective = sf.Denoising(Stratified(LogNormal(-1.2, 1.5)), EDMWeight(1.0))
    settings = Settings(steps=STEPS, batch=256, lr=2e-3, ema=(0.10,), log_every=500)
    return sf.fit(denoiser, data, codec, objective, settings).denoiser, codec


def measure() -> dict[str, float]:
    """Distance of 5,000 samples to 5,000 fresh points of the law; its floor, two fresh sets; CPU seconds."""
    law, start = ring(), time.process_time()
    denoiser, codec = trained(law)
    x = codec.decode(sf.sample(denoiser, (SAMPLES, 2), steps=18, solver=sf.solver("heun")))
    seconds = time.process_time() - start
    fresh, other = (law.sample(SAMPLES, sf.Rng(seed)) for seed in (2, 3))
    distance, floor = sliced_wasserstein(x, fresh), sliced_wasserstein(other, fresh)
    return {
        "sliced_wasserstein": distance.value,
        "standard_error": distance.se,
        "floor": floor.value,
        "floor_standard_error": floor.se,
        "log_prob_of_samples": law.log_prob(x).mean().item(),
        "log_prob_of_data": law.log_prob(fresh).mean().item(),
        "cpu_seconds": seconds,
    }


def main() -> None:
    """Print the table."""
    result = measure()
    print("| figure | value |\n| --- | --- |")
    for name, value in result.items():
        print(f"| {name.replace('_', ' ')} | {value:.4f} |")
    print(f"| distance / floor | {result['sliced_wasserstein'] / result['floor']:.2f} |")


if __name__ == "__main__":
    main()
