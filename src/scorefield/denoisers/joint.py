"""A network on numbers and tokens at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..belief import Logits, Moments, Pair
from ..errors import UserError
from ..noise.product import Product
from ..registry import register
from .preconditioned import Preconditioned


@register("joint", "denoiser")
class Joint(nn.Module):
    """Turns ``net(x, level, **cond)`` into a denoiser on a ``Product``: x (B, D) has the numbers first, scaled as
    ``Preconditioned`` does and 0 while they are pure noise, and then the tokens as they are; ``level`` (B,) is the
    log σ/α of the numbers. The net answers (B, columns + Σ sizes): for each number what ``predict`` says, and for each
    token as many logits as ``sizes`` has for it.

    Of the tokens the masks tell how many are destroyed: no level is needed for them. Raises UserError as
    ``Preconditioned`` does, for sizes of which the largest is not the number of classes, and for answers of another
    width.
    """

    def __init__(
        self, net: nn.Module, process: Product, sizes: Sequence[int], predict: str = "edm", sigma_data: float = 1.0
    ) -> None:
        super().__init__()
        if not sizes or min(sizes) < 1 or max(sizes) != process.tokens.classes:
            raise UserError(
                f"sizes are how many values each token has, {process.tokens.classes} the most of them, got {sizes}."
            )
        self.net, self.process, self.sizes = net, process, tuple(sizes)
        self.predict, self.sigma_data = predict, sigma_data
        self.scaling = Preconditioned(nn.Identity(), process.numbers, predict, sigma_data)

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Pair:
        """x_t (B, D), t () or (B,) → the belief about both parts of x₀."""
        (numbers, tokens), own = self.process.split(x), self.process.clocks(t)
        c, level = self.scaling.coefficients(own.numbers, numbers), self.scaling.level(own.numbers)
        dtype = next((p.dtype for p in self.net.parameters()), x.dtype)
        shown = self.process.join(self.process.seen(c.inp * numbers, t), tokens).to(dtype)
        answer = self.net(shown, level.to(x.device, dtype).expand(len(x)), **cond).to(x.dtype)
        wanted = numbers.shape[1] + sum(self.sizes)
        if answer.shape != (len(x), wanted):
            raise UserError(f"the network answers {tuple(answer.shape)} where {(len(x), wanted)} is needed.")
        own_numbers, own_logits = answer[:, : numbers.shape[1]], answer[:, numbers.shape[1] :]
        mean = c.skip * numbers + c.out * own_numbers
        if own.tokens.ndim == 0 and own.tokens == 0:  # the numbers' turn: nothing is left to say of the tokens
            return Pair(Moments(mean), Logits(self._known(tokens, mean)))
        return Pair(Moments(mean), Logits(self.process.tokens.informed(self._spread(own_logits), tokens, own.tokens)))

    def under(self, process: Product) -> Joint:
        """The same network on another process: train under one schedule, sample under another."""
        return Joint(self.net, process, self.sizes, self.predict, self.sigma_data)

    def _spread(self, logits: Tensor) -> Tensor:
        """Σ sizes logits side by side → (B, tokens, classes), −∞ where a token has no such value."""
        wide, most = logits.to(torch.promote_types(logits.dtype, torch.float32)), self.process.tokens.classes
        each = zip(wide.split(self.sizes, 1), self.sizes, strict=True)
        return torch.stack([F.pad(own, (0, most - size), value=-torch.inf) for own, size in each], 1)

    def _known(self, tokens: Tensor, like: Tensor) -> Tensor:
        never = like.new_full((*tokens.shape, self.process.tokens.classes), -torch.inf)
        return never.scatter_(-1, tokens.clamp_max(self.process.tokens.classes - 1)[..., None], 0.0)

    def extra_repr(self) -> str:
        return f"{self.process}, predict={self.predict!r}, sigma_data={self.sigma_data:.4g}"
