"""The variational bound on −log p(x₀), for any process that can compare two bridges."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError


class Bound(NamedTuple):
    """An unbiased estimate of an upper bound on −log p(x₀), in nats, and its standard error from the random times and
    noise, both (B,)."""

    nats: Tensor
    error: Tensor


@torch.no_grad()
def elbo(
    denoiser: Denoiser,
    x0: Tensor,
    steps: int | None = None,
    rng: Rng | None = None,
    *,
    samples: int = 8,
    form: str = "mixture",
    **cond: Any,
) -> Bound:
    """−log p(x₀) ≤ nats for x0 int64 (B, *D), by ``samples`` evaluations of the denoiser; for real x0 the bound of
    ``gaussian_elbo``, which has more options and tells its parts.

    With ``steps`` T the bound of the model that samples ancestrally at t = i/T (Ho et al. 2020, eq. 5; Austin et al.
    2021, eq. 1), with the bridges of ``form``; without, its limit in continuous time, the lowest. A random term a
    sample, strata over the samples. Raises UserError for fewer than 2 samples (no standard error), or steps < 1, or a
    process without ``kl`` or ``kl_rate``.
    """
    process, rng = denoiser.process, rng or Rng(0)
    if x0.is_floating_point():
        from .gaussian import gaussian_elbo

        return gaussian_elbo(denoiser, x0, steps, rng, samples=samples, **cond).bound
    if samples < 2:
        raise UserError(f"a bound needs at least 2 samples to know its error, got {samples}.")
    if steps is not None and steps < 1:
        raise UserError(f"a bound needs at least 1 step, got {steps}; leave steps out for continuous time.")
    need(process, "A bound", *(("kl_rate", "sight") if steps is None else ("kl",)), "prior_kl")
    draws = []
    for k in range(samples):
        u = (k + rng.uniform(torch.empty(len(x0), dtype=torch.float64))) / samples
        if steps is None:
            x, t, correction = process.sight(x0, u, rng)
            nats = process.kl_rate(x, x0, denoiser(x, t, **cond), t).double()
            draws.append(nats * correction.to(nats))
        else:
            t = ((u * steps).floor().clamp_max(steps - 1) + 1) / steps
            x = process.corrupt(x0, t, rng)
            draws.append(steps * process.kl(x, x0, denoiser(x, t, **cond), t, t - 1 / steps, form).double())
    nats = torch.stack(draws)
    return Bound(nats.mean(0) + process.prior_kl(x0).to(nats), nats.std(0) / math.sqrt(samples))


def bits(bound: Bound, sites: int) -> tuple[float, float]:
    """Bits per site (a character, a dimension) of a sample of independent examples, and the standard error of it: the
    spread between the examples, which contains that of the random times. NaN for the error of one example."""
    per_site = bound.nats.double() / (sites * math.log(2))
    error = per_site.std() / math.sqrt(len(per_site)) if len(per_site) > 1 else per_site.new_tensor(math.nan)
    return per_site.mean().item(), error.item()
