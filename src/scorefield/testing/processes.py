"""Laws of schedules and Gaussian processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..analytic import GaussianMixture
from ..belief import Moments
from ..core import as_time
from ..noise import Gaussian
from ..noise.schedules import Schedule


def check_schedule(schedule: Schedule) -> None:
    """Clean at 0; λ = log α/σ falls; ``time`` inverts it; derivatives exist inside and agree with differences."""
    t = torch.linspace(0, 1, 513, dtype=torch.float64)
    alpha, sigma = schedule(t)
    assert alpha.shape == sigma.shape == t.shape and alpha.dtype == torch.float64, f"{schedule}: shape or dtype"
    assert alpha[0] == 1 and sigma[0] == 0, f"{schedule}: x_0 must be the data, got α {alpha[0]}, σ {sigma[0]}"
    assert (alpha >= 0).all() and (sigma[1:] > 0).all(), f"{schedule}: negative α or σ"
    lam = alpha.log() - sigma.log()
    assert (lam.diff() < 0).all(), f"{schedule}: log α/σ must fall"
    back = schedule.time(lam)
    # t → λ → t loses at most a few ulps of λ (|λ| < 40) times |dt/dλ| ≤ ~1 on every schedule here
    torch.testing.assert_close(back, t, rtol=1e-9, atol=1e-12, msg=lambda m: f"{schedule}: time is no inverse. {m}")
    process, inner = Gaussian(schedule), t[8:-8] + 1e-4  # off the nodes of tables, where one-sided slopes differ
    rates = process.rates(inner, inner[:, None])
    h = 1e-6
    for rate, high, low in zip(rates, schedule(inner + h), schedule(inner - h), strict=True):
        numeric = (high - low) / (2 * h)  # error h² f''' / 6 and rounding 1e-16 |f| / h: below 1e-6 relative to max |f|
        bound = 1e-6 * (1 + numeric.abs().max())
        assert (rate.flatten() - numeric).abs().max() < bound, f"{schedule}: rates disagree with differences"


def check_process(process: Gaussian) -> None:
    """Corruption composes (Chapman–Kolmogorov), and with the exact belief about Gaussian data the reverse step carries
    p_t to p_s exactly: for η = 1 with the belief's variance, in the limit of small steps for η = 0."""
    law = GaussianMixture(*(torch.tensor(v, dtype=torch.float64) for v in ([1.0], [[0.3]], [[[0.25]]])))
    t, s = as_time(0.70042), as_time(0.40042)  # off the nodes of tables, where one-sided slopes differ
    (a_t, s_t), (a_s, s_s) = process.schedule(t), process.schedule(s)
    unit = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    zero: Any = _Constant(0.0)
    one: Any = _Constant(1.0)

    up = process.renoise(unit, s, t, zero)  # affine in x_s: slope and noise read off
    slope = (up[1] - up[0]).item()
    noise = (process.renoise(unit, s, t, one)[0] - up[0]).item()
    assert abs(slope * a_s - a_t) < 1e-12 * (1 + a_t), f"{process}: renoise does not compose with corrupt (mean)"
    total = (slope * s_s) ** 2 + noise**2
    assert abs(total - s_t**2) < 1e-12 * (1 + s_t**2), f"{process}: renoise does not compose with corrupt (variance)"

    exact = law.denoiser(process, variance=True)
    down = process.reverse(unit, exact(unit, t), t, s, zero)
    slope = (down[1] - down[0]).item()
    noise = (process.reverse(unit, exact(unit, t), t, s, one)[0] - down[0]).item()
    mean = down[0].item() + slope * a_t * 0.3
    var = slope**2 * (a_t**2 * 0.25 + s_t**2) + noise**2
    assert abs(mean - a_s * 0.3) < 1e-10, f"{process}: reverse step misses the mean of p_s by {mean - a_s * 0.3:.1e}"
    truth = a_s**2 * 0.25 + s_s**2
    assert abs(var / truth - 1) < 1e-9, f"{process}: reverse step misses the variance of p_s, {var} for {truth}"

    velocity = process.velocity(unit, exact(unit, t), t)
    h = 1e-5
    ode = (process.reverse(unit, Moments(exact(unit, t).mean), t, t - h, zero, eta=0.0) - unit) / -h
    # one-sided difference: error h |x''| / 2, and |x''| is bounded by the squares of the schedule's rates
    bound = 10 * h * (1 + velocity.abs().max()) ** 2
    assert (ode - velocity).abs().max() < bound, f"{process}: velocity is not the limit of the η = 0 step"


class _Constant:
    """Stands in for an ``Rng`` whose every normal number is ``value``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def normal(self, like: Tensor) -> Tensor:
        return torch.full_like(like, self.value)
