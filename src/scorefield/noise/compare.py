"""What a bound is made of: how far a bridge is from the true one, and how surprising the data are."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Rng


class Sight(NamedTuple):
    """A random look at the bound in continuous time: x_t (B, *D) at t (B,), and what ``kl_rate`` there is multiplied
    with (B,) so that its mean is the integral over t."""

    x: Tensor
    t: Tensor
    correction: Tensor


def warped(process: Any, x0: Tensor, u: Tensor, rng: Rng) -> Sight:
    """The look at t = u²: where the integrand is like 1/t with probability t, its square then has a mean."""
    return Sight(process.corrupt(x0, u.square(), rng), u.square(), 2 * u)


def divergence(p: Tensor, q: Tensor, x: Tensor) -> Tensor:
    """KL(p ‖ q) in nats over the event, p and q (B, *D, S), x int64 (B, *D) the state they leave → (B,).

    In a short step nearly everything stays at x. What stays is then 1 − what leaves, and log(1 − leaving) keeps in
    float32 what log p(x) would lose.
    """
    at = x[..., None]
    away_p, away_q = (law.scatter(-1, at, 0.0) for law in (p, q))
    leaves = torch.where(away_p > 0, away_p * (away_p.log() - away_q.log()), 0.0).sum(-1)
    out_p, out_q, stay_p, stay_q = (
        *(law.sum(-1) for law in (away_p, away_q)),
        *(law.gather(-1, at)[..., 0] for law in (p, q)),
    )
    stays = torch.where(stay_p > 0, stay_p * (_log_rest(out_p, stay_p) - _log_rest(out_q, stay_q)), 0.0)
    return (leaves + stays).flatten(1).sum(1)


def rate_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Σ p log(p/q) − p + q over jump rates (B, *D, S) and the event, (B,): the divergence of two Markov jump processes
    in nats per unit of time."""
    ratio = torch.where(p > 0, q / torch.where(p > 0, p, 1.0), 1.0)
    return torch.where(p > 0, p * (ratio - 1 - ratio.log()), q).flatten(1).sum(1)


def surprise(log_probs: Tensor, x: Tensor) -> Tensor:
    """−log p(x) of every site, log_probs (B, *D, K), x int64 (B, *D) → (B, *D)."""
    return -log_probs.gather(-1, x[..., None])[..., 0]


def _log_rest(out: Tensor, stay: Tensor) -> Tensor:
    """log of the staying probability, from whichever of it and its complement is the smaller."""
    small = out < 0.5
    return torch.where(small, torch.log1p(-out.clamp_max(0.5)), torch.where(small, 1.0, stay).log())
