"""How many values the bytes of images really take: what a probability of them is a probability of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scorefield.data.dataset import Dataset
from scorefield.errors import UserError

MOST = 128  # levels, beyond which bytes are simply bytes
LOOKED_AT = 2**23  # bytes at most: coarse levels show in far fewer


class ValueLevels(NamedTuple):
    """``count`` evenly spaced values round(first + step · i), i = 0 … count − 1, each a byte.

    ``step`` need not be whole: the 17 levels of the embedded digits are round(255 i/16).
    """

    count: int = 256
    first: int = 0
    step: float = 1.0

    def index(self, bytes: Tensor) -> Tensor:  # pyrefly: ignore[bad-override]
        """Bytes (uint8, any shape) → the number of their level, int64. Raises UserError for a byte between levels."""
        index = ((bytes.double() - self.first) / self.step).round().long().clamp(0, self.count - 1)
        wrong = self.bytes(index) != bytes
        if wrong.any():
            raise UserError(
                f"a pixel has the value {int(bytes[wrong][0])}, which is none of the {self.count} levels "
                f"{self.words} of the data that were trained on. Give data of those levels."
            )
        return index

    def bytes(self, index: Tensor) -> Tensor:
        """Numbers of levels (any shape, 0 … count − 1) → uint8."""
        return (self.first + self.step * index.double()).round().to(torch.uint8)

    @property
    def words(self) -> str:
        """0, 16, 32 … 255."""
        shown = self.bytes(torch.tensor([0, 1, 2, self.count - 1])[: max(2, min(4, self.count))]).unique().tolist()
        return f"{', '.join(map(str, shown[:-1]))} {'and' if self.count <= 4 else '…'} {shown[-1]}"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, for a config."""
        return self._asdict()

    @classmethod
    def from_json(cls, numbers: Mapping[str, Any]) -> ValueLevels:
        """The inverse of ``to_json``."""
        return cls(int(numbers["count"]), int(numbers["first"]), float(numbers["step"]))


def levels_of(dataset: Dataset) -> ValueLevels:
    """The levels of images (uint8), looked for in the examples and in what was held out of them; all 256 where the
    values are many or not even.

    Fewer levels mean fewer bits, and figures are comparable only where they count the same levels. The fewest evenly
    spaced levels that hold every value found are taken where at least half of them occur. Raises UserError for data
    that are not bytes.
    """
    parts = [dataset.x] + ([dataset.held_out.x] if dataset.held_out else [])
    if parts[0].dtype != torch.uint8:
        raise UserError(f"levels are of images of bytes, but {dataset.name} holds {dataset.kind}.")
    found = np.unique(np.concatenate([_values(part) for part in parts])).astype(np.int64)
    first, last = int(found[0]), int(found[-1])
    for count in range(max(2, len(found)), min(2 * len(found), MOST) + 1):
        levels = ValueLevels(count, first, (last - first) / (count - 1))
        if levels.step < 2:
            break
        if np.isin(found, levels.bytes(torch.arange(count)).numpy()).all():
            return levels
    return ValueLevels()


def _values(x: Any) -> np.ndarray:
    """The values in x (N, *D) uint8, of examples spread evenly where there is very much of it."""
    size = max(1, int(np.prod(x.shape[1:])))
    chosen = torch.linspace(0, len(x) - 1, min(len(x), max(1, LOOKED_AT // size))).round().long()
    parts = (x[rows] for rows in chosen.split(max(1, 2**22 // size)))
    counts = sum(torch.bincount(part.reshape(-1).long(), minlength=256) for part in parts)
    return torch.as_tensor(counts).nonzero()[:, 0].numpy()
