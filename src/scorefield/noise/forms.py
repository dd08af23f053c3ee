"""How a belief about x₀ becomes a law of x_s: two ways, which differ unless everything destroyed is masked.

Both are functions (process, p, site, t, s) of a ``Discrete`` process, probabilities p (B, *D, K) and tokens ``site``
(B, *D, 1) at time t, and give the law (B, *D, K) of the tokens at s. No term is a difference of near numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core import as_time, like

Form = Callable[[Any, Tensor, Tensor, Tensor, Tensor], Tensor]


def chances(process: Any, p: Tensor, site: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """For the token at hand: q(x_t | x₀ = x_t), and the posterior chance that it was redrawn, both (B, *D, 1)."""
    same, own = p.gather(-1, site), process.token_law(p)[site]
    redrawn = like((1 - process.masked) * process.keep.lost(t), p) * own
    total = like(process.keep(t), p) + redrawn
    return total, (1 - same) + same * redrawn / total


def mixture(process: Any, p: Tensor, site: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Σ_{x₀} p(x₀) q(x_t | x_s) q(x_s | x₀)/q(x_t | x₀)."""
    stay, redrawn, _ = (like(part, p) for part in process.kernel(s, t))
    law, share, same = process.token_law(p), like(process.share(s), p), p.gather(-1, site)
    total, doubt = chances(process, p, site, t)
    kept_s, lost_s, lost_t = process.keep(s), process.keep.lost(s), process.keep.lost(t)
    other = like(process.drop(s, t) / (kept_s * lost_t), p) * (share * p + (1 - share) * law * doubt)
    here = (stay + redrawn * law[site]) * (like(kept_s, p) * same / total + like(lost_s / lost_t, p) * doubt)
    return other.scatter(-1, site, here)


def product(process: Any, p: Tensor, site: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """q(x_t | x_s) Σ_{x₀} q(x_s | x₀) p(x₀), divided by its sum q(x_t)."""
    stay, redrawn, _ = (like(part, p) for part in process.kernel(s, t))
    law = process.token_law(p)
    own, same, replaced = law[site], p.gather(-1, site), 1 - process.masked
    earlier = like(process.keep(s), p) * p + like(replaced * process.keep.lost(s), p) * law
    total = like(process.keep(t), p) * same + like(replaced * process.keep.lost(t), p) * own
    return (redrawn * own * earlier).scatter_add(-1, site, stay * earlier.gather(-1, site)) / total


def informed(process: Any, logits: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """logits (B, *D, K) + log q(x_t | x₀) up to a constant: what x_t (B, *D) itself says of x₀. It says nothing where
    it is masked, all where only masks replace tokens, and elsewhere log(1 + α/((1 − α) r)) for the token at hand."""
    site = x.clamp_max(process.classes - 1)[..., None]
    if process.masked == 1:
        shown = (x < process.classes)[..., None]
        own = torch.where(shown, 0.0, logits.gather(-1, site))
        return logits.masked_fill(shown, -torch.inf).scatter(-1, site, own)
    t = as_time(t)
    odds = process.keep(t) / ((1 - process.masked) * process.keep.lost(t).clamp_min(1e-12))
    bonus = torch.log1p(like(odds, logits) / process.token_law(logits)[site])
    return logits.scatter_add(-1, site, bonus.masked_fill((x >= process.classes)[..., None], 0.0))


FORMS: dict[str, Form] = {"mixture": mixture, "product": product}
