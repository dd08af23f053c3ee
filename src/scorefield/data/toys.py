"""Two-dimensional laws whose samples the eye can judge: 20,000 points each, a function of the seed.

All lie roughly within [−2, 2]². Moons, pinwheel, rings and gaussians carry classes. The shapes are folklore of the
flow literature (Grathwohl et al., FFJORD, 2019, figure 2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from scorefield.data.dataset import Dataset

POINTS = 20_000

Drawn = tuple[np.ndarray, np.ndarray | None]


def toy(name: str, seed: int = 0, n: int = POINTS) -> Dataset:
    """The named law as float32 (n, 2), with labels (n,) where it has classes. ``name`` is a key of ``TOYS``."""
    rng = np.random.default_rng([seed, *name.encode()])
    points, labels = TOYS[name](n, rng)
    return Dataset(
        name=name,
        kind="vectors",
        x=torch.from_numpy(points.astype(np.float32)),
        labels=None if labels is None else torch.from_numpy(labels.astype(np.int64)),
        classes=() if labels is None else tuple(str(k) for k in range(int(labels.max()) + 1)),
        columns=("x", "y"),
        source=name,
    )


def moons(n: int, rng: np.random.Generator) -> Drawn:
    """Two interleaved half circles of radius 1 with noise 0.06."""
    k, angle = rng.integers(2, size=n), rng.uniform(0, np.pi, n)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(k, -1, 1)[:, None]
    centre = np.where(k[:, None], [0.5, 0.25], [-0.5, -0.25])
    return points + centre + rng.normal(0, 0.06, (n, 2)), k


def swissroll(n: int, rng: np.random.Generator) -> Drawn:
    """A spiral r ∝ angle of one and a half turns, uniform in angle's measure, noise 0.04."""
    angle = 1.5 * np.pi * (1 + 2 * rng.uniform(size=n))
    points = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points / 7.5 + rng.normal(0, 0.04, (n, 2)), None


def checkerboard(n: int, rng: np.random.Generator) -> Drawn:
    """Uniform on the 8 dark squares of a 4 × 4 board over [−2, 2]²."""
    column, row = rng.integers(4, size=n), rng.integers(2, size=n)
    corner = np.stack([column - 2.0, 2.0 * row - 2 + column % 2], 1)
    return corner + rng.uniform(size=(n, 2)), None


def pinwheel(n: int, rng: np.random.Generator) -> Drawn:
    """Five Gaussian arms, bent by an angle that grows with their radius."""
    k = rng.integers(5, size=n)
    arm = rng.normal(size=(n, 2)) * [0.3, 0.1] + [1.0, 0.0]
    angle = 2 * np.pi * k / 5 + 0.25 * np.exp(arm[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * arm[:, 0] - sin * arm[:, 1], sin * arm[:, 0] + cos * arm[:, 1]], 1), k


def rings(n: int, rng: np.random.Generator) -> Drawn:
    """Three circles of radius 0.6, 1.2 and 1.8 with noise 0.05, equally likely."""
    k, angle = rng.integers(3, size=n), rng.uniform(0, 2 * np.pi, n)
    radius = 0.6 * (k + 1) + rng.normal(0, 0.05, n)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), k


def gaussians(n: int, rng: np.random.Generator) -> Drawn:
    """Eight Gaussians of standard deviation 0.12 on a circle of radius 1.6."""
    k = rng.integers(8, size=n)
    angle = np.pi * k / 4
    return 1.6 * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.12, (n, 2)), k


TOYS: dict[str, Callable[[int, np.random.Generator], Drawn]] = {
    "moons": moons,
    "swissroll": swissroll,
    "checkerboard": checkerboard,
    "pinwheel": pinwheel,
    "rings": rings,
    "gaussians": gaussians,
}
