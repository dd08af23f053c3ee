"""Images by the numbers of their levels, for models that give each level a probability."""

from __future__ import annotations

from torch import Tensor

from scorefield.data.levels import ValueLevels
from scorefield.registry import register

GREY = 128  # of a pixel that is not known yet


@register("levels", "codec")
class Indexed:
    """Bytes as 0 … count − 1, the numbers of ``count`` evenly spaced values round(first + step · i).

    Probabilities of the numbers are probabilities of the bytes. Raises ``UserError`` at ``encode`` for a byte between
    levels.
    """

    def __init__(self, count: int = 256, first: int = 0, step: float = 1.0) -> None:
        self.levels = ValueLevels(count, first, step)

    def __repr__(self) -> str:
        return f"Indexed({self.levels.count} levels)"

    def encode(self, raw: Tensor) -> Tensor:
        """(B, C, H, W) uint8 → int64 in 0 … count − 1."""
        return self.levels.index(raw)

    def decode(self, z: Tensor) -> Tensor:
        """(B, C, H, W) int64 → uint8; what is not known yet, number ``count``, is grey."""
        shown = self.levels.bytes(z.clamp_max(self.levels.count - 1))
        return shown.masked_fill(z >= self.levels.count, GREY)
