"""Exact conditional denoisers of known classes, which count how often they are asked."""

from __future__ import annotations

import torch

from scorefield import GaussianMixture


class TwoClasses:
    """The exact conditional denoiser in ``dim`` dimensions: class 0 is N(1, ¼), no class is N(0, 1)."""

    def __init__(self, process, dim=1):
        self.process, self.calls = process, 0
        eye = torch.eye(dim).double()
        self.laws = {
            label: GaussianMixture(torch.ones(1).double(), m * torch.ones(1, dim).double(), v * eye[None]).denoiser(
                process
            )
            for label, m, v in ((0, 1.0, 0.25), (-1, 0.0, 1.0))
        }

    def __call__(self, x, t, label):
        self.calls += 1
        return self.laws[label[0].item()](x, t)


class Impulses:
    """Stands in for an ``Rng``: row k of the batch receives a unit impulse in the k-th normal draw and nothing else;
    row 0 receives nothing. ``draws`` counts."""

    def __init__(self) -> None:
        self.draws = 0

    def normal(self, like: torch.Tensor) -> torch.Tensor:
        """The next impulse, shaped like ``like`` (B, *D). Raises IndexError when B is too small for the draws."""
        self.draws += 1
        pulse = torch.zeros_like(like)
        pulse[self.draws] = 1
        return pulse
