"""Exact likelihood by the probability-flow ODE; encoding, decoding and interpolation by the same walk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, need
from ..errors import UserError
from .adams import Adams
from .divergence import Divergence, divergence_of
from .flow import Flow, ends_of, log_normal

USUAL = Adams()
NEEDED = ("log_ratio", "time", "schedule", "scales")


class LogProb(NamedTuple):
    """log p(x₀) in nats and its standard error from the probes, both (B,) float64; the latent x₁ that x₀ comes from
    (B, *D); and how often the denoiser was asked about each example (B,)."""

    nats: Tensor
    error: Tensor
    latent: Tensor
    evaluations: Tensor


@torch.no_grad()
def log_prob(
    denoiser: Denoiser,
    x0: Tensor,
    *,
    divergence: str = "auto",
    probes: int = 1,
    rng: Rng | None = None,
    solver: Adams = USUAL,
    scale: float | None = None,
    log_prior: Callable[[Tensor], Tensor] | None = None,
    **cond: Any,
) -> LogProb:
    """log p(x₀) of the model that draws x₁ from the prior and follows the probability-flow ODE, x0 (B, *D):
    log p₁(x₁) + ∫ div over the way (Song et al. 2021, eq. 39; Chen et al. 2018).

    ``divergence``: "exact" (a pass backward for every dimension, error 0), "rademacher" or "gaussian" (Hutchinson 1990,
    unbiased, with ``probes`` fixed vectors v an example and vᵀJv for the trace; the error needs 2), "auto": exact up to
    16 dimensions. Example i of a batch has the probes of seed i, or those of ``rng``.

    The walk is in u = x/√(α² c² + σ²) over log σ/α, c = ``scale`` the deviation of the data (default: the denoiser's
    own ``sigma_data``, or 1): there the flow of N(0, c²) stands still and its divergence is 0, so that steps are spent
    on what is not Gaussian. ``solver`` has the tolerance and ``sigma_min``, the noise σ/α of the clean end; from there
    to 0 one midpoint step. Every example has its own steps, and those that arrive leave the batch.

    ``log_prior`` replaces log p₁, (B, *D) → (B,). Raises UserError for an unknown divergence, probes < 1, a scale that
    is not above 0, a process without a noise-to-signal ratio, and as ``Adams`` does.
    """
    flow = _flow(denoiser, x0, cond, divergence_of(divergence, probes, x0, rng), scale, solver)
    state, calls = flow.walk(flow.start(x0), solver)
    size, (x1, ratio) = flow.size, flow.end(state)
    prior = process_prior(denoiser) if log_prior is None else log_prior
    volume = flow.log_scale(flow.at.high) - flow.log_scale(flow.at.low, clean=True) + ratio
    traces = state[:, size:] * size + volume * size + prior(x1).to(state)[:, None]
    return LogProb(traces.mean(1), flow.divergence.error(traces), x1.to(x0.dtype), calls)


@torch.no_grad()
def encode(denoiser: Denoiser, x0: Tensor, *, solver: Adams = USUAL, scale: float | None = None, **cond: Any) -> Tensor:
    """The latent x₁ (B, *D) that the probability-flow ODE carries to x0 (B, *D); ``decode`` is the way back. Options
    and errors as in ``log_prob``."""
    flow = _flow(denoiser, x0, cond, divergence_of("none", 1, x0, None), scale, solver)
    return flow.end(flow.walk(flow.start(x0), solver)[0])[0].to(x0.dtype)


@torch.no_grad()
def decode(denoiser: Denoiser, x1: Tensor, *, solver: Adams = USUAL, scale: float | None = None, **cond: Any) -> Tensor:
    """The x₀ (B, *D) that the probability-flow ODE makes of the latent x1 (B, *D). Options and errors as in
    ``log_prob``."""
    flow = _flow(denoiser, x1, cond, divergence_of("none", 1, x1, None), scale, solver)
    state, _ = flow.walk(flow.start_noise(x1), solver, down=True)
    return flow.end_clean(state).to(x1.dtype)


def interpolate(
    denoiser: Denoiser,
    a: Tensor,
    b: Tensor,
    weights: Sequence[float] | Tensor,
    *,
    solver: Adams = USUAL,
    scale: float | None = None,
    **cond: Any,
) -> Tensor:
    """Data between a and b, both (*D), at ``weights`` (N,) in [0, 1], 0 is a: (N, *D), decoded from the great circle
    between their latents, on which the prior is as probable as at its ends (Song et al. 2021, appendix D.1).

    Raises UserError for no weights or shapes that differ, and as ``log_prob`` does."""
    if a.shape != b.shape:
        raise UserError(f"interpolate needs two examples of one shape, got {tuple(a.shape)} and {tuple(b.shape)}.")
    w = torch.as_tensor(weights, dtype=a.dtype, device=a.device).reshape(-1)
    if not len(w):
        raise UserError("interpolate needs at least one weight, such as 0.5.")
    both = {name: _each(value, 2) for name, value in cond.items()}
    ends = encode(denoiser, torch.stack([a, b]), solver=solver, scale=scale, **both)
    many = {name: _each(value, len(w)) for name, value in cond.items()}
    return decode(denoiser, slerp(ends[0], ends[1], w), solver=solver, scale=scale, **many)


def slerp(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Spherical interpolation of a and b (*D) at weights (N,): sin((1 − w)θ)/sin θ a + sin(wθ)/sin θ b (N, *D), θ the
    angle between them (Shoemake 1985); along a line where they are parallel."""
    cos = (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-30)
    angle, w = cos.clamp(-1, 1).arccos(), weights.reshape(-1, *[1] * a.ndim)
    if angle.sin() < 1e-6:
        return (1 - w) * a + w * b
    return (((1 - w) * angle).sin() * a + (w * angle).sin() * b) / angle.sin()


def process_prior(denoiser: Denoiser) -> Callable[[Tensor], Tensor]:
    """log N(x; 0, σ₁²) of the denoiser's process, (B, *D) → (B,)."""
    return lambda x: log_normal(x, denoiser.process.schedule(as_time(1.0)).sigma)


def _each(value: Any, n: int) -> Any:
    """What one example is told, for n of them."""
    return value.expand(n, *value.shape[1:]) if torch.is_tensor(value) and value.ndim else value


def _flow(
    denoiser: Denoiser, x: Tensor, cond: dict[str, Any], divergence: Divergence, scale: float | None, solver: Adams
) -> Flow:
    need(denoiser.process, "A likelihood by the flow", *NEEDED)
    c = getattr(denoiser, "sigma_data", 1.0) if scale is None else scale
    if not 0 < c < math.inf:
        raise UserError(f"scale, the deviation of the data, must be above 0, got {c}.")
    if not x.is_floating_point() or x.ndim < 2 or not len(x):
        raise UserError(
            f"a likelihood needs real examples (B, *D), got {x.dtype} of {tuple(x.shape)}. Encode the data first."
        )
    at = ends_of(denoiser.process, solver.sigma_min)
    return Flow(denoiser, x.shape[1:], x.dtype, cond, divergence, float(c), at)


__all__ = ["LogProb", "decode", "encode", "interpolate", "log_prob", "slerp"]
