"""Numbers and tokens in one example: Gaussian noise on the ones, masks or other tokens on the others, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..belief import Pair
from ..core import Rng, as_time, like
from ..errors import UserError
from ..registry import register
from .discrete import Discrete
from .gaussian import Gaussian


class Clocks(NamedTuple):
    """The own times of the two parts, each in the shape of t."""

    numbers: Tensor
    tokens: Tensor


@register("product", "process")
@dataclass(frozen=True)
class Product:
    """q(x_t | x₀) = q(numbers at 2t | numbers) · q(tokens at 2t − 1 | tokens), both times kept within [0, 1]: noise
    takes the numbers first and the tokens after them.

    The way back draws the tokens while the numbers are pure noise, and then the numbers given the tokens: p(tokens)
    p(numbers | tokens), each by a process that is known well (TabDDPM destroys both at once: Kotelnikov et al. 2023,
    section 4). States are real (B, D): the first ``columns`` are numbers, the others whole numbers, 0 … classes − 1 or
    the mask, which a float32 holds exactly.
    Raises UserError for columns < 0.
    """

    numbers: Gaussian
    tokens: Discrete
    columns: int

    def __post_init__(self) -> None:
        if self.columns < 0:
            raise UserError(f"columns, how many of x are numbers, must be at least 0, got {self.columns}.")

    def clocks(self, t: Tensor) -> Clocks:
        """The own time of each part."""
        t = as_time(t)
        return Clocks((2 * t).clamp(0, 1), (2 * t - 1).clamp(0, 1))

    def when_numbers(self, own: Tensor) -> Tensor:
        """The t at which the numbers are at their own time: the inverse of ``clocks`` for them."""
        return as_time(own) / 2

    def when_tokens(self, own: Tensor) -> Tensor:
        """The same for the tokens."""
        return (as_time(own) + 1) / 2

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, D) ↦ numbers (B, columns) and tokens, int64 (B, D − columns)."""
        return x[:, : self.columns], x[:, self.columns :].long()

    def join(self, numbers: Tensor, tokens: Tensor) -> Tensor:
        """The inverse of ``split``, in the dtype of the numbers."""
        return torch.cat([numbers, tokens.to(numbers.dtype)], 1)

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        """x₁, shaped like ``like`` (B, D)."""
        numbers, tokens = self.split(torch.zeros_like(like))
        return self.join(self.numbers.prior(numbers, rng), self.tokens.prior(tokens, rng))

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x₀)."""
        (numbers, tokens), own = self.split(x0), self.clocks(t)
        return self.join(self.numbers.corrupt(numbers, own.numbers, rng), self.tokens.corrupt(tokens, own.tokens, rng))

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x_s): back up from s to t > s."""
        (numbers, tokens), low, high = self.split(x), self.clocks(s), self.clocks(t)
        if (low.numbers < high.numbers).any():
            numbers = self.numbers.renoise(numbers, low.numbers, high.numbers, rng)
        if (low.tokens < high.tokens).any():
            tokens = self.tokens.renoise(tokens, low.tokens, high.tokens, rng)
        return self.join(numbers, tokens)

    def reverse(self, x: Tensor, belief: Pair, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s ~ ∫ q(x_s | x_t, x₀) belief(dx₀): of the part whose time it is. A step across t = ½, where the turn
        changes, moves both by one belief, as if they were independent."""
        (numbers, tokens), high, low = self.split(x), self.clocks(t), self.clocks(s)
        if (low.tokens < high.tokens).any():
            tokens = self.tokens.reverse(tokens, belief.tokens, high.tokens, low.tokens, rng)
        if (low.numbers < high.numbers).any():
            numbers = self.numbers.reverse(numbers, belief.numbers, high.numbers, low.numbers, rng)
        return self.join(numbers, tokens)

    def weight(self, t: Tensor) -> Tensor:
        """That of the part whose time it is."""
        own = self.clocks(t)
        return torch.where(own.tokens > 0, self.tokens.weight(own.tokens), self.numbers.weight(own.numbers))

    def seen(self, numbers: Tensor, t: Tensor) -> Tensor:
        """The numbers (B, columns) where anything of them is left at t, 0 where they are pure noise: what a network
        should look at that draws tokens."""
        return numbers * like((self.clocks(t).numbers < 1).double(), numbers)
