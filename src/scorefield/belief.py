"""What a model can believe about clean data. On ℝᵈ: by its moments."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """x₀ | x_t on ℝᵈ by its mean, and its variance where a model knows it.

    A Gaussian bridge is affine in x₀, so the mean suffices for a reverse step; the variance enters by the law of
    total variance (Bao et al. 2022, Analytic-DPM, eq. 11).
    """

    mean: Tensor  # (B, *D)
    var: Tensor | None = None  # broadcastable to (B, *D), ≥ 0

    def lerp(self, other: Moments, weight: float | Tensor) -> Moments:
        """Mean self + weight · (other − self); the variance stays that of ``other``, the belief aimed at."""
        return Moments(self.mean + weight * (other.mean - self.mean), other.var)

    def error(self, x0: Tensor) -> Tensor:
        """‖mean − x₀‖² summed over the event, (B, *D) → (B,)."""
        return (self.mean - x0).square().flatten(1).sum(1)

    def with_mean(self, mean: Tensor) -> Moments:
        """The same belief around another mean (clipping, thresholding)."""
        return replace(self, mean=mean)
