"""What a network predicts, as three coefficients: x̂₀ = skip · x_t + out · F(inp · x_t, log σ/α).

Every prediction depends on (α, σ) only through the noise-to-signal ratio once x_t is scaled, so a network trained
under one schedule samples under any other. ``sigma_data`` is the root mean square of the clean data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Coefficients(NamedTuple):
    """x̂₀ = skip · x_t + out · F(inp · x_t)."""

    skip: Tensor
    out: Tensor
    inp: Tensor


def _scale(alpha: Tensor, sigma: Tensor, data: float) -> Tensor:
    """c_in: divides x_t by its own root mean square."""
    return (alpha**2 * data**2 + sigma**2).rsqrt()


def eps(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """F = ε, the noise (Ho et al. 2020, eq. 11). Undefined where α = 0."""
    return Coefficients(1 / alpha, -sigma / alpha, _scale(alpha, sigma, data))


def x0(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """F = x₀, the data."""
    return Coefficients(0 * alpha, 1 + 0 * alpha, _scale(alpha, sigma, data))


def v(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """F = (α ε − σ x₀)/√(α² + σ²), Salimans and Ho's v for any schedule (2022, appendix D)."""
    norm2 = alpha**2 + sigma**2
    return Coefficients(alpha / norm2, -sigma * norm2.rsqrt(), _scale(alpha, sigma, data))


def score(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """F = σ ∇ log p_t(x), the score in units of the noise (Song et al. 2021). Undefined where α = 0."""
    return Coefficients(1 / alpha, sigma / alpha, _scale(alpha, sigma, data))


def ncsn(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """F(x_t/α) = σ ∇ log p_t with a network that is not told the noise and sees x_t unscaled, as its size is what tells
    it: s = F(x)/σ (technique 3 of NCSNv2: Song and Ermon 2020, section 3.3). Undefined where α = 0."""
    return Coefficients(1 / alpha, sigma / alpha, 1 / alpha)


def flow(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """F = ε − x₀, the velocity of the straight path (Lipman et al. 2023), carried to any schedule by scaling."""
    total = alpha + sigma
    return Coefficients(1 / total, -sigma / total, _scale(alpha, sigma, data))


def edm(alpha: Tensor, sigma: Tensor, data: float) -> Coefficients:
    """The mixture of x₀ and ε whose target always has unit variance (Karras et al. 2022, table 1)."""
    inp = _scale(alpha, sigma, data)
    return Coefficients(alpha * data**2 * inp**2, sigma * data * inp, inp)


PREDICTIONS: dict[str, Callable[[Tensor, Tensor, float], Coefficients]] = {
    "eps": eps,
    "x0": x0,
    "v": v,
    "score": score,
    "ncsn": ncsn,
    "flow": flow,
    "edm": edm,
}
NEEDS_SIGNAL = frozenset({"eps", "score", "ncsn"})  # divide by α
UNTOLD = frozenset({"ncsn"})  # the network hears nothing of the noise
