"""Laws of tokens and numbers together, with the exact belief about both under any ``Product`` process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Logits, Moments, Pair
from ..core import Rng, like
from ..errors import UserError
from ..noise.product import Product
from .tables import Law


@dataclass(frozen=True, eq=False)
class MixedLaw:
    """``tokens`` from a law on N sequences and, given the n-th of them, ``columns`` numbers from N(means_n, std² I):
    examples are (B, columns + L), the numbers first, in the dtype of ``means`` (N, columns).

    Raises UserError when there is not one row of means for each possible sequence.
    """

    tokens: Law
    means: Tensor
    std: float

    def __post_init__(self) -> None:
        rows = len(self.tokens.support[0])
        if self.means.ndim != 2 or len(self.means) != rows:
            raise UserError(
                f"{rows} possible sequences need means of shape ({rows}, C), got {tuple(self.means.shape)}."
            )

    def sample(self, n: int, rng: Rng) -> Tensor:
        """n examples, (n, columns + L). Needs an ``Rng`` with one seed, or n of them."""
        points, probs = self.tokens.support
        row = rng.categorical(probs.log().expand(n, -1))
        means = self.means[row]
        return torch.cat([means + self.std * rng.normal(means), points[row].to(means.dtype)], 1)

    def denoiser(self, process: Product) -> Any:
        """The exact belief as a denoiser on ``process``: means, variances and probabilities of x₀ given all of x_t."""
        return _Exact(self, process)


@dataclass(frozen=True, eq=False)
class _Exact:
    law: MixedLaw
    process: Product

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Pair:
        points, probs = self.law.tokens.support
        (numbers, tokens), own = self.process.split(x), self.process.clocks(t)
        alpha, sigma = (like(c, numbers) for c in self.process.numbers.schedule(own.numbers))
        seen = self.process.tokens.log_likelihood(tokens, own.tokens)  # (B, L, K)
        total = probs.log() + seen.gather(2, points.T.expand(len(x), -1, -1)).sum(1)  # (B, N)
        square = alpha**2 * self.law.std**2 + sigma**2
        off = numbers[:, None] - (alpha[:, None] if alpha.ndim else alpha) * self.law.means  # (B, N, C)
        wide = square.unsqueeze(-1) if square.ndim else square
        total = total - (off**2 / (2 * wide)).sum(2)  # the norm of the Gaussian is the same for all rows
        weight = total.softmax(1)  # (B, N)
        gain = alpha * self.law.std**2 / square
        each = self.law.means + (gain.unsqueeze(-1) if gain.ndim else gain) * off  # E[x₀ | x_t, n]
        mean = torch.einsum("bn,bnc->bc", weight, each)
        inner = self.law.std**2 * sigma**2 / square
        var = inner + torch.einsum("bn,bnc->bc", weight, (each - mean[:, None]) ** 2)
        one_hot = torch.nn.functional.one_hot(points, seen.shape[2]).to(weight)
        return Pair(Moments(mean, var), Logits(torch.einsum("bn,nlk->blk", weight, one_hot).log()))
