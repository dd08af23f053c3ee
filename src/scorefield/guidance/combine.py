"""Ways to combine a strong belief and a weak one at a scale: what classifier-free guidance and autoguidance share.

At scale 1 each is the strong belief; the guidance then never asks for the weak one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ..belief import Moments
from ..core import need
from ..errors import UserError


class Combine(Protocol):
    """(strong, weak, scale) ↦ the guided belief about x₀ at x_t."""

    def __call__(self, process: Any, x: Tensor, t: Tensor, strong: Any, weak: Any, scale: float | Tensor) -> Any:
        """x (B, *D); t () or (B,); ``scale`` a number, or a tensor that multiplies x."""
        ...


def inner(a: Tensor, b: Tensor) -> Tensor:
    """⟨a, b⟩ of each example, (B, *D) → (B, 1, …, 1)."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))


def straight(process: Any, x: Tensor, t: Tensor, strong: Any, weak: Any, scale: float | Tensor) -> Any:
    """weak + scale · (strong − weak) (Ho and Salimans 2022, eq. 6), for any belief that can lerp."""
    return weak.lerp(strong, scale)


@dataclass(frozen=True)
class Rescaled:
    """``straight`` guidance, brought part of the way back to the contrast of the strong belief, so that large scales do
    not overexpose: φ · g · std(strong)/std(g) + (1 − φ) · g with std over one example (Lin et al. 2024, eq. 14–16).

    On x̂₀, where the paper's argument is; diffusers rescales whatever the network predicts. ``phi`` in [0, 1], 0 does
    nothing, the paper uses 0.7. Raises UserError outside.
    """

    phi: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.phi <= 1:
            raise UserError(f"rescaling needs phi between 0 (none) and 1 (all), got {self.phi}.")

    def __call__(
        self, process: Any, x: Tensor, t: Tensor, strong: Moments, weak: Moments, scale: float | Tensor
    ) -> Moments:
        guided = weak.lerp(strong, scale)
        if self.phi == 0:
            return guided
        want, have = (m - m.flatten(1).mean(1).reshape(-1, *[1] * (x.ndim - 1)) for m in (strong.mean, guided.mean))
        ratio = (inner(want, want) / inner(have, have).clamp_min(1e-12)).sqrt()
        return guided.with_mean(guided.mean * (self.phi * ratio + (1 - self.phi)))


@dataclass(frozen=True)
class Projected:
    """Adaptive projected guidance (Sadat et al. 2025, algorithm 1) without its momentum, so that it has no memory:
    strong + (scale − 1) · (Δ⊥ + η Δ∥), Δ = strong − weak split along the strong belief, first shortened to length
    ``norm`` where it is longer.

    The parallel part is what saturates colours: ``eta`` 0 leaves it out, 1 (and no norm) is ``straight``. ``norm`` is
    a Euclidean length over one example in the units of x₀; the paper has 2.5 to 15 for latents. Raises UserError for
    norm ≤ 0.
    """

    eta: float = 0.0
    norm: float | None = None

    def __post_init__(self) -> None:
        if self.norm is not None and not self.norm > 0:
            raise UserError(f"projected guidance needs norm > 0, or None for no threshold, got {self.norm}.")

    def __call__(
        self, process: Any, x: Tensor, t: Tensor, strong: Moments, weak: Moments, scale: float | Tensor
    ) -> Moments:
        change = strong.mean - weak.mean
        if self.norm is not None:
            change = change * (self.norm / inner(change, change).sqrt().clamp_min(1e-12)).clamp_max(1)
        share = inner(change, strong.mean) / inner(strong.mean, strong.mean).clamp_min(1e-12)
        return strong.with_mean(strong.mean + (scale - 1) * (change + (self.eta - 1) * share * strong.mean))


@dataclass(frozen=True)
class OptimisedScale:
    """CFG-Zero⋆ (Fan et al. 2025, eq. 7–9): the weak velocity is first multiplied by the s⋆ that brings it nearest to
    the strong one, s⋆ = ⟨u_strong, u_weak⟩/‖u_weak‖², then u = s⋆ u_weak + scale · (u_strong − s⋆ u_weak).

    u = ε̂ − x̂₀, the velocity of rectified flow, to which every Gaussian process is a change of clock and size; so on
    ``Flow`` it is the paper's, and it is defined on all schedules. Their zeroed first steps are not part of it.
    """

    def __call__(
        self, process: Any, x: Tensor, t: Tensor, strong: Moments, weak: Moments, scale: float | Tensor
    ) -> Moments:
        need(process, self, "scales")
        alpha, sigma = process.scales(t, x)
        u_strong, u_weak = ((x - (alpha + sigma) * belief.mean) / sigma for belief in (strong, weak))
        u_weak = inner(u_strong, u_weak) / inner(u_weak, u_weak).clamp_min(1e-12) * u_weak
        return strong.with_mean((x - sigma * (u_weak + scale * (u_strong - u_weak))) / (alpha + sigma))
