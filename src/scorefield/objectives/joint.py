"""What to minimise on numbers and tokens at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..registry import register
from .denoising import Denoising, check_dropout, forgetful
from .discrete import Elbo


@register("joint", "objective")
@dataclass(frozen=True)
class Joint:
    """``numbers`` of an example that has both (a ``Product``), with probability ``share``, or else ``tokens``.
    ``share`` None is that of the numbers among the columns: in expectation the mean over columns of their losses.
    ``label_dropout`` as in ``Denoising``; that of the two is not looked at. Raises UserError for shares outside [0, 1].
    """

    numbers: Denoising = field(default_factory=Denoising)
    tokens: Elbo = field(default_factory=Elbo)
    share: float | None = None
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_dropout(self.label_dropout)
        if self.share is not None and not 0 <= self.share <= 1:
            raise UserError(f"share, how often the numbers are learned, must be between 0 and 1, got {self.share}.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, D) → (B,)."""
        process = denoiser.process
        need(process, self, "split", "clocks")
        numbers, tokens = process.split(x0)
        first, second = self.numbers.look(process.numbers, numbers, rng), self.tokens.look(process.tokens, tokens, rng)
        fate = rng.uniform(torch.empty(len(x0), dtype=torch.float64))
        share = process.columns / x0.shape[1] if self.share is None else self.share
        late = fate >= share  # the tokens' turn, with the numbers gone
        gone = process.numbers.prior(numbers, rng)
        cond = forgetful(cond, self.label_dropout, rng)
        here = late.to(x0.device)
        at = here[:, None]
        x = process.join(torch.where(at, gone, first.x), torch.where(at, second.x, tokens))
        t = torch.where(late, process.when_tokens(second.t), process.when_numbers(first.t))
        belief = denoiser(x, t, **cond)
        hidden = second._replace(x=process.split(x)[1])
        of_numbers = self.numbers.judged(process.numbers, first, numbers, belief.numbers)
        of_tokens = self.tokens.judged(process.tokens, hidden, tokens, belief.tokens)
        return torch.where(here, of_tokens.to(of_numbers), of_numbers)
