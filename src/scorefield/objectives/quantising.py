"""The objective of autoencoders whose middle is a table of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..core import Rng
from ..errors import UserError
from ..registry import register


@register("quantising", "objective")
@dataclass(frozen=True)
class Quantising:
    """‖x̂ − x‖² + β ‖z − sg e‖², means over the dimensions (van den Oord et al. 2017, eq. 3): the image is to come back,
    and the encoder to stay near its codes. The codes follow by themselves (``nets.quantised.Codebook``), so the middle
    term of that equation is left out (ibid., app. A.1).

    The model maps x₀ to (x̂, ‖z − sg e‖²). Raises UserError for a negative ``commitment`` β.
    """

    commitment: float = 0.25

    def __post_init__(self) -> None:
        if not self.commitment >= 0:
            raise UserError(f"commitment must be at least 0, got {self.commitment}. 0.25 is usual.")

    def __call__(self, model: nn.Module, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,). Draws nothing, and knows no classes."""
        back, away = model(x0)
        return (back - x0).square().flatten(1).mean(1) + self.commitment * away
