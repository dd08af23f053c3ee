"""Time series whose truth is known: stationary Gaussian chains, and the Kalman smoother that finds them again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .mixture import GaussianMixture


def ar1(a: float, length: int) -> GaussianMixture:
    """x_{i+1} = a x_i + √(1 − a²) ε, stationary with variance 1: a Gaussian on ℝᴸ with covariance a^|i−j|. Raises
    UserError unless −1 < a < 1 and length ≥ 1."""
    if not -1 < a < 1 or length < 1:
        raise UserError(f"a stationary chain needs −1 < a < 1 and a length ≥ 1, got a={a:g} and {length}.")
    i = torch.arange(length)
    cov = torch.as_tensor(a, dtype=torch.float64) ** (i[:, None] - i).abs()
    return GaussianMixture(torch.ones(1).double(), torch.zeros(1, length).double(), cov[None])


def kalman_smoother(a: float, y: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """Mean and variance, (L,) each, of the x_i of ``ar1`` given y_i = x_i + std ε, y (L,) with NaN where nothing was
    measured (Kalman 1960; Rauch, Tung and Striebel 1965): two passes, no matrix, the check on every other way."""
    mean, var = torch.zeros(()).double(), torch.ones(()).double()
    filtered, predicted = [], []
    for i, seen in enumerate(y.double()):
        if i:
            mean, var = a * mean, a**2 * var + 1 - a**2
        predicted.append((mean, var))
        if not seen.isnan():
            gain = var / (var + std**2)
            mean, var = mean + gain * (seen - mean), (1 - gain) * var
        filtered.append((mean, var))
    smooth = [filtered[-1]]
    for (m, v), (later_m, later_v) in zip(filtered[-2::-1], predicted[:0:-1], strict=True):
        back = a * v / later_v
        smooth.append((m + back * (smooth[-1][0] - later_m), v + back**2 * (smooth[-1][1] - later_v)))
    means, variances = zip(*smooth[::-1], strict=True)
    return torch.stack(means), torch.stack(variances)


def lorenz63(x: Tensor, dt: float = 0.025) -> Tensor:
    """One step of Lorenz' system (1963; σ = 10, ρ = 28, β = 8/3) by the classical Runge-Kutta rule, x (…, 3)."""

    def slope(x: Tensor) -> Tensor:
        a, b, c = x.unbind(-1)
        return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)

    k1 = slope(x)
    k2 = slope(x + dt / 2 * k1)
    k3 = slope(x + dt / 2 * k2)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + dt * k3))


def noisy_lorenz63(x: Tensor, rng: Rng, dt: float = 0.025) -> Tensor:
    """x_{i+1} = ``lorenz63`` (x_i) + √dt ε: a Markov chain whose transitions are known (Rozet and Louppe 2023, 4.1)."""
    return lorenz63(x, dt) + dt**0.5 * rng.normal(x)


LORENZ_MEAN, LORENZ_STD = (0.0, 0.0, 25.0), (8.0, 9.0, 8.6)  # of its stationary law, rounded as in their code


def lorenz_paths(n: int, length: int, rng: Rng, burn: int = 400, dt: float = 0.025) -> Tensor:
    """n stationary paths of ``noisy_lorenz63``, standardised: float64 (n, 3, length). ``burn`` steps from a Gaussian of
    the stationary moments come before and are thrown away."""
    mean, std = (torch.tensor(part, dtype=torch.float64) for part in (LORENZ_MEAN, LORENZ_STD))
    x = mean + std * rng.normal(torch.empty(n, 3, dtype=torch.float64))
    path = []
    for i in range(burn + length):
        x = noisy_lorenz63(x, rng, dt)
        if i >= burn:
            path.append((x - mean) / std)
    return torch.stack(path, 2)


def particle_smoother(
    start: Tensor,
    move: Callable[[Tensor], Tensor],
    log_likelihood: Callable[[Tensor, int], Tensor],
    length: int,
    rng: Rng,
) -> tuple[Tensor, float]:
    """The bootstrap particle filter (Gordon et al. 1993): paths (K, D, length) drawn from p(x_1 … x_L | y) by their
    ancestry, and the log of an unbiased estimate of p(y).

    ``start`` (K, D) draws of x_1, ``move`` draws the next, ``log_likelihood`` (x (K, D), i) is (K,) nats of what was
    seen at i. Systematic resampling where the effective size falls below K/2. Early places share few ancestors, so K
    is to be large against the length: exact as K grows.
    """
    x, k = start, len(start)
    paths = start.new_empty(k, start.shape[1], length)
    log_w, log_evidence = start.new_zeros(k), 0.0
    for i in range(length):
        x = move(x) if i else x
        paths[:, :, i] = x
        before = log_w.logsumexp(0)
        log_w = log_w + log_likelihood(x, i)
        log_evidence += (log_w.logsumexp(0) - before).item()
        w = log_w.softmax(0)
        if 1 / w.square().sum() < k / 2 or i == length - 1:
            u = (torch.arange(k, dtype=torch.float64) + rng.uniform(torch.empty(1).double())) / k
            chosen = torch.searchsorted(w.double().cumsum(0), u.to(w.device)).clamp_max(k - 1)
            paths, x, log_w = paths[chosen], x[chosen], torch.zeros_like(log_w)
    return paths, log_evidence
