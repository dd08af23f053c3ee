"""Laws of schedules, of Gaussian processes and of processes on categories."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..analytic import GaussianMixture
from ..belief import Logits, Moments
from ..core import Rng, as_time
from ..noise import Gaussian
from ..noise.keep import Keep
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


def check_keep(keep: Keep) -> None:
    """Clean at 0; α falls; ``lost`` is 1 − α; ``time`` inverts α; ``slope`` agrees with differences."""
    t = torch.linspace(0, 1, 257, dtype=torch.float64)
    alpha = keep(t)
    assert alpha.shape == t.shape and alpha.dtype == torch.float64, f"{keep}: shape or dtype"
    assert alpha[0] == 1 and keep.lost(t)[0] == 0, f"{keep}: x_0 must be the data, got α {alpha[0]}"
    assert (alpha.diff() < 0).all() and alpha[-1] >= 0, f"{keep}: α must fall and stay ≥ 0"
    assert (alpha + keep.lost(t) - 1).abs().max() < 1e-14, f"{keep}: lost is not 1 − α"
    # t → α → t loses an ulp of α times |dt/dα|: 2⁻⁵² · 1e5 on the flattest schedule here (geometric near 0)
    torch.testing.assert_close(keep.time(alpha), t, rtol=0, atol=1e-9, msg=lambda m: f"{keep}: time no inverse. {m}")
    inner, h = t[8:-8] + 1e-3, 1e-6
    numeric = (keep(inner + h) - keep(inner - h)) / (2 * h)  # error h² times a third derivative; rounding 1e-16 / h
    assert (keep.slope(inner) - numeric).abs().max() < 1e-7, f"{keep}: slope disagrees with differences"


def check_discrete(process: Any) -> None:
    """A process on few categories, exactly: laws are laws; the bridges undo a token as Bayes says and carry p_t to p_s
    with the exact belief; rates and ``kl_rate`` are the limits of bridges and ``kl``; the end terms of the bound fit;
    a time per example equals one time; ``prior``, ``corrupt`` and ``renoise`` draw what ``log_likelihood`` says."""
    t, s, h = as_time(0.70042), as_time(0.40042), 1e-6
    x = torch.arange(process.states)[:, None]
    data = torch.arange(1, process.classes + 1, dtype=torch.float64).square()
    data = data / data.sum()
    forward_t, forward_s = (process.log_likelihood(x, u)[:, 0].exp().mT for u in (t, s))  # (classes, states)
    _same(forward_t.sum(1), torch.ones_like(data), f"{process}: q(x_t | x₀) does not sum to 1")
    p_t, p_s = data @ forward_t, data @ forward_s
    exact = Logits((data[:, None] * forward_t / p_t).mT.log()[:, None])
    for form in ("mixture", "product"):
        total = process.bridge(x, exact, t, s, form).sum(-1)
        _same(total, torch.ones_like(total), f"{process}: the {form} bridge does not sum to 1")
    _same(p_t @ process.bridge(x, exact, t, s)[:, 0], p_s, f"{process}: the bridge does not carry p_t to p_s")
    for k in range(process.classes):
        known, x0, possible = _known(k, process), torch.full_like(x, k), forward_t[k] > 0
        truth = process.bridge(x, known, t, s)[:, 0]
        _same(
            forward_t[k] @ truth.nan_to_num(), forward_s[k], f"{process}: q(x_s | x_t, x₀ = {k}) is not that of Bayes"
        )
        assert (process.kl(x, x0, known, t, s)[possible].abs() < 1e-12).all(), f"{process}: KL of the truth is not 0"
        start = process.kl(x, x0, exact, t, as_time(0.0)) - process.reconstruction(x, x0, exact, t)
        assert (start[possible].abs() < 1e-9).all(), f"{process}: the reconstruction is not the last KL"
        # one-sided differences: the error is h times a second derivative of order 10
        rate, slope = process.kl_rate(x, x0, exact, t), process.kl(x, x0, exact, t, t - h) / h
        assert ((rate - slope)[possible].abs() < 1e-3).all(), f"{process}: kl_rate is not the limit of kl"
    jumps = process.bridge(x, exact, t, t - h) / h
    gap = (process.rates(x, exact, t) - jumps.scatter(-1, x[..., None], 0.0)).abs().max()
    assert gap < 1e-3, f"{process}: rates are not the limit of the bridge, {gap:.1e}"
    many = process.bridge(x, exact, t.expand(len(x)), s.expand(len(x)))
    _same(many, process.bridge(x, exact, t, s), f"{process}: a time per example differs from one time")
    _check_draws(process, t, s, forward_t[0])


def _check_draws(process: Any, t: Tensor, s: Tensor, forward: Tensor) -> None:
    """20,000 draws of each kind; a frequency more than 5.5 sd off has probability 4e-8 for each category."""
    n, rng = 20_000, Rng(0)
    x0 = torch.zeros(n, 1, dtype=torch.int64)
    drawn = {"corrupt": process.corrupt(x0, t, rng), "renoise": process.renoise(process.corrupt(x0, s, rng), s, t, rng)}
    wanted = {"corrupt": forward, "renoise": forward}
    if process.keep(as_time(1.0)) == 0:
        end = process.log_likelihood(torch.arange(process.states)[:, None], as_time(1.0))
        drawn["prior"], wanted["prior"] = process.prior(torch.empty(n, 1), rng), end[:, 0, 0].exp()
    for name, got in drawn.items():
        share, truth = got.flatten().bincount(minlength=process.states) / n, wanted[name]
        bound = 5.5 * (truth * (1 - truth) / n).clamp_min(0).sqrt() + 1e-12
        assert ((share - truth).abs() <= bound).all(), f"{process}: {name} draws {share.tolist()}, not {truth.tolist()}"


def _known(k: int, process: Any) -> Logits:
    """Certain of class k, whatever the state is."""
    logits = torch.full((process.states, 1, process.classes), -torch.inf, dtype=torch.float64)
    logits[..., k] = 0
    return Logits(logits)


def _same(got: Tensor, want: Tensor, what: str) -> None:
    assert (got - want).abs().max() < 1e-12, f"{what}: {(got - want).abs().max():.1e}"
