"""What a model can believe about clean data. On ℝᵈ: by its moments. On categories: by their logits. On both: a pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
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


@dataclass(frozen=True, eq=False)
class Logits:
    """x₀ | x_t on {0 … K−1}ᴰ by one categorical law a site.

    A categorical bridge is affine in the one-hot x₀, so these probabilities suffice for a reverse step (Austin et al.
    2021, eq. 4). Logits need not be normalised; −∞ is "never".
    """

    logits: Tensor  # (B, *D, K)

    @cached_property
    def log_probs(self) -> Tensor:
        """Normalised log-probabilities, (B, *D, K)."""
        return self.logits.log_softmax(-1)

    @cached_property
    def probs(self) -> Tensor:
        """Probabilities, (B, *D, K)."""
        return self.logits.softmax(-1)

    def lerp(self, other: Logits, weight: float | Tensor) -> Logits:
        """log p + weight · (log p′ − log p), p′ that of ``other``: guidance in logit space, p ∝ p′ʷ p¹⁻ʷ.

        What ``other`` rules out stays ruled out at every weight but 0; what ``self`` alone rules out is ruled out below
        weight 1, and keeps the probability of ``other`` from there on (the formula would make it infinite).
        """
        a, b = self.log_probs, other.log_probs
        weight = torch.as_tensor(weight, dtype=a.dtype, device=a.device)
        weight = weight.reshape(*weight.shape, *[1] * (a.ndim - weight.ndim))  # one an example, or that multiplies x
        mixed = a + weight * (b - a)
        off = torch.full_like(a, -torch.inf)
        mixed = torch.where(a.isneginf(), torch.where(weight < 1, off, b), mixed)
        return Logits(torch.where(b.isneginf(), torch.where(weight == 0, a, off), mixed))

    def error(self, x0: Tensor) -> Tensor:
        """−Σ log p(x₀) over the event in nats, x0 int64 (B, *D) → (B,)."""
        return -self.log_probs.gather(-1, x0[..., None]).flatten(1).sum(1)


@dataclass(frozen=True, eq=False)
class Pair:
    """x₀ | x_t of an example that has numbers and tokens, (B, D) with the numbers first: each by its own belief."""

    numbers: Moments  # (B, columns)
    tokens: Logits  # (B, D − columns, K)

    def lerp(self, other: Pair, weight: float | Tensor) -> Pair:
        """Each towards its own."""
        return Pair(self.numbers.lerp(other.numbers, weight), self.tokens.lerp(other.tokens, weight))

    def error(self, x0: Tensor) -> Tensor:
        """‖mean − numbers‖² − Σ log p(tokens), (B, D) → (B,)."""
        columns = self.numbers.mean.shape[1]
        return self.numbers.error(x0[:, :columns]) + self.tokens.error(x0[:, columns:].long())
