"""Bounds on −log p(x₀) of Gaussian diffusion: DDPM's in steps, VDM's in continuous time, those of plug-in SDEs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser, Rng, as_time, need
from ..errors import UserError, suggest
from ..noise.gaussian import STEP_VARIANCES
from .decoders import Decoder, Real
from .divergence import divergence_of
from .flow import ends_of, wide
from .terms import Terms

Spread = Callable[[Tensor, Moments, Any], tuple[Tensor, Any]]  # (x_t, belief, (α, σ)) ↦ mean and variance of a decoder
NEEDED = ("bridge", "corrupt", "log_ratio", "schedule", "step_kl", "time")


@torch.no_grad()
def gaussian_elbo(
    denoiser: Denoiser,
    x0: Tensor,
    steps: int | None = None,
    rng: Rng | None = None,
    *,
    samples: int | None = 16,
    decoder: Decoder | None = None,
    variance: str = "small",
    form: str = "denoising",
    eta: float = 1.0,
    centre: str = "belief",
    sigma_min: float = 0.002,
    **cond: Any,
) -> Terms:
    """−log p(x₀) ≤ prior + diffusion + reconstruction in nats, for real x0 (B, *D), by ``samples`` evaluations of the
    denoiser and an eighth as many (at least 2) for the reconstruction.

    With ``steps`` T the bound of the model that samples ancestrally at t = i/T (Ho et al. 2020, eq. 5), its steps of
    ``variance`` small (β̃), large (β), or belief (the law of total variance, optimal; needs beliefs that have one);
    ``samples`` None takes every step once. Without steps its limit in continuous time, ∫ ‖ε − ε̂‖² dλ from t = 1 to
    σ/α = ``sigma_min`` (Kingma et al. 2021, eq. 17), which is also the bound of the reverse SDE of noise ``eta`` g with
    the score plugged in: (1 + η²)²/4η² times it, tightest at η = 1 (Huang et al. 2021, eq. 21; Song et al. 2021b,
    theorem 3). ``form`` sliced estimates the same integral by the score's divergence, with one Rademacher probe
    (exactly in few dimensions), instead of by ε.

    ``decoder`` is p(x₀ | x) at the last time: ``Real()`` (default) for densities, ``Levels(256)`` or ``Softmax(256)``
    for bytes scaled to [−1, 1]. Its ``centre`` is the belief, or (continuous time) the state x/α, as VDM has it.
    Raises UserError for samples < 2, steps < 2, unknown words, eta ≤ 0, a process that is not Gaussian.
    """
    need(denoiser.process, "A bound for real data", *NEEDED)
    _check(steps, samples, variance, form, eta, centre)
    walk = _Walk(denoiser, x0, rng or Rng(0), cond)
    decoder = decoder or Real()
    if steps is None:
        low, high = ends_of(denoiser.process, sigma_min)
        factor = (1 + eta**2) ** 2 / (4 * eta**2)
        draws = [walk.rate(u, low, high, FORMS[form], factor) for u in walk.strata(samples or 16)]
        last = denoiser.process.time(as_time(-low))
        decoded = [walk.decoded(last, decoder, CENTRES[centre]) for _ in range(max(2, (samples or 16) // 8))]
    else:
        first = 1 if torch.isposinf(denoiser.process.log_ratio(as_time(0.0))) else 0
        count = steps - first
        u = [as_time((i + 0.5) / count).expand(len(x0)) for i in range(count)] if samples is None else None
        draws = [walk.step(v, steps, first, variance) for v in (u or walk.strata(samples or 16))]
        last, ddpm = as_time(first / steps), _first_step(denoiser.process, steps, variance)
        spread = ddpm if first else CENTRES[centre]
        decoded = [walk.decoded(last, decoder, spread) for _ in range(2 if samples is None else max(2, samples // 8))]
    levels, nats = (torch.stack(part) for part in zip(*draws, strict=True))
    noise = -denoiser.process.log_ratio(as_time(1.0)).item() if steps else ends_of(denoiser.process, sigma_min).high
    prior = 0.5 * math.exp(-2 * noise) * wide(x0.flatten(1)).square().sum(1).cpu()
    return Terms(prior, nats, torch.stack(decoded), levels, exact=samples is None)


class _Walk:
    """What every term of a bound on these data needs."""

    def __init__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, cond: dict[str, Any]) -> None:
        self.denoiser, self.process, self.x0, self.rng, self.cond = denoiser, denoiser.process, x0, rng, cond

    def strata(self, samples: int) -> list[Tensor]:
        """Times in [0, 1] for every example, one in each of ``samples`` equal parts."""
        empty = torch.empty(len(self.x0), dtype=torch.float64)
        return [(k + self.rng.uniform(empty)) / samples for k in range(samples)]

    def rate(self, u: Tensor, low: float, high: float, form: Any, factor: float) -> tuple[Tensor, Tensor]:
        """(log σ/α, the integral as this draw estimates it)."""
        level = low + (high - low) * u
        t = self.process.time(-level)
        x = self.process.corrupt(self.x0, t, self.rng)
        return level, (high - low) * factor * form(self, x, t, level)

    def step(self, u: Tensor, steps: int, first: int, variance: str) -> tuple[Tensor, Tensor]:
        """(log σ/α, the sum as this draw estimates it) with a step i/T → (i − 1)/T, i > ``first``."""
        count = steps - first
        i = (u * count).floor().clamp_max(count - 1) + 1 + first
        t, s = i / steps, (i - 1) / steps
        x = self.process.corrupt(self.x0, t, self.rng)
        nats = self.process.step_kl(x, self.x0, self.denoiser(x, t, **self.cond), t, s, variance)
        return -self.process.log_ratio(t), count * nats.cpu().double()

    def decoded(self, t: Tensor, decoder: Decoder, spread: Spread) -> Tensor:
        """−log p(x₀ | x_t), by the decoder and what ``spread`` says of its mean and variance."""
        x = self.process.corrupt(self.x0, t, self.rng)
        mean, var = spread(x, self.denoiser(x, t, **self.cond), self.process.schedule(t))
        var = torch.as_tensor(var).to(x.device, x.dtype)
        return decoder(self.x0, mean, var).cpu().double()


def _denoising(walk: _Walk, x: Tensor, t: Tensor, level: Tensor) -> Tensor:
    """‖ε − ε̂‖² = SNR ‖x₀ − x̂₀‖²."""
    error = walk.denoiser(x, t, **walk.cond).error(walk.x0).cpu().double()
    return (-2 * level).exp() * error


def _sliced(walk: _Walk, x: Tensor, t: Tensor, level: Tensor) -> Tensor:
    """The same in expectation over ε (Stein): D + σ² ‖∇ log p‖² + 2σ² ∇·∇ log p, σ in units of data."""
    size, divergence = x[0].numel(), divergence_of("auto", 1, x, walk.rng)
    alpha = walk.process.scales(t, x).alpha
    mean, traces = divergence(lambda x: walk.denoiser(x, t, **walk.cond).mean, x, torch.arange(len(x)))
    off = wide((mean - x / alpha).flatten(1)).square().sum(1).cpu()
    trace = traces.mean(1).cpu().double() * walk.process.schedule(t).alpha
    return size + (-2 * level).exp() * off + 2 * (trace - size)


def _first_step(process: Any, steps: int, variance: str) -> Spread:
    """Of a bound in steps, the belief; its own variance, or β̃ of the second step, which DDPM takes in place of the 0 of
    the first (as learned variances say, whose first step draws nothing)."""
    fresh = process.bridge(as_time(2 / steps), as_time(1 / steps)).fresh
    square = fresh.square()

    def own(x: Tensor, belief: Any, scales: Any) -> tuple[Tensor, Tensor]:
        return belief.mean, torch.where(belief.var > 0, belief.var, square.item())

    return own if variance == "belief" else lambda x, belief, scales: (belief.mean, square)


FORMS = {"denoising": _denoising, "sliced": _sliced}
CENTRES: dict[str, Spread] = {
    "belief": lambda x, belief, scales: (belief.mean, (scales.sigma / scales.alpha).square()),
    "state": lambda x, belief, scales: (x / scales.alpha.item(), (scales.sigma / scales.alpha).square()),
}


def _check(steps: int | None, samples: int | None, variance: str, form: str, eta: float, centre: str) -> None:
    for name, word, known in (
        ("variance", variance, STEP_VARIANCES),
        ("form", form, FORMS),
        ("centre", centre, CENTRES),
    ):
        if word not in known:
            raise UserError(f"no {name} of a bound is called {word!r}.{suggest(word, known)}")
    if samples is None and steps is None:
        raise UserError("samples=None takes every step once, and continuous time has none. Give samples, or steps.")
    if samples is not None and samples < 2:
        raise UserError(f"a bound needs at least 2 samples to know its error, got {samples}.")
    if steps is not None and steps < 2:
        raise UserError(f"a bound in steps needs at least 2 of them, got {steps}; leave steps out for continuous time.")
    if not 0 < eta < math.inf:
        raise UserError(f"eta, the noise of the reverse SDE, must be above 0, got {eta}. The flow (0) has no bound.")
