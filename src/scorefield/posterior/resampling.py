"""Which particles live on: n positions on [0, 1) against the distribution function of the weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError, suggest


def _systematic(like: Tensor, rng: Rng) -> Tensor:
    return (torch.arange(like.shape[-1]).to(like) + rng.uniform(like[..., :1])) / like.shape[-1]


def _stratified(like: Tensor, rng: Rng) -> Tensor:
    return (torch.arange(like.shape[-1]).to(like) + rng.uniform(like)) / like.shape[-1]


def _multinomial(like: Tensor, rng: Rng) -> Tensor:
    return rng.uniform(like).sort(-1).values


RULES: dict[str, Callable[[Tensor, Rng], Tensor]] = {
    "systematic": _systematic,
    "stratified": _stratified,
    "multinomial": _multinomial,
}


def check_rule(name: str) -> None:
    """Raises UserError for a rule of resampling that is not known."""
    if name not in RULES:
        raise UserError(f"no way of resampling is called {name!r}.{suggest(name, RULES)}")


def ancestors(log_weights: Tensor, rng: Rng, rule: str = "systematic", n: int | None = None) -> Tensor:
    """Indices (R, n) into K particles, particle k about n w_k times: log_weights (R, K), normalised or not; n = K by
    default. Rows are replicates, which is what a per-example ``Rng`` counts.

    "systematic" takes one uniform number a replicate (Kitagawa 1996): the number of children differs from n w_k by less
    than 1. "stratified" takes one a child, "multinomial" draws them independently. All are unbiased. Sums are float64.
    """
    upper = log_weights.double().softmax(-1).cumsum(-1)
    like = upper.new_empty(len(upper), n or upper.shape[-1])
    places = RULES[rule](like, rng) * upper[:, -1:]
    return torch.searchsorted(upper, places.contiguous(), right=True).clamp_max(upper.shape[-1] - 1)


def effective(log_weights: Tensor) -> Tensor:
    """The effective sample size 1/Σ w², (R, K) → (R,), between 1 and K (Kong 1992)."""
    return log_weights.double().softmax(-1).square().sum(-1).reciprocal()
