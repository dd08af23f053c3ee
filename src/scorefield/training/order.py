"""Which example comes when. The order is a function of numbers, so a run's place in it is a number too."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..core import Rng


class Order:
    """An endless sequence of example numbers: epoch after epoch, each one a permutation f(seed, epoch).

    Position ``p`` lies in epoch ``p // size``. A batch that reaches over the end of an epoch goes on with the next
    one, so every batch is full and no example is left out. Processes and micro-batches take slices of one batch,
    hence how many there are never changes what a step sees.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self._epoch, self._permutation = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, start: int, count: int) -> Tensor:
        """The examples at positions start … start + count − 1, (count,) int64."""
        parts: list[Tensor] = []
        while count > 0:
            epoch, offset = divmod(start, self.size)
            part = self._shuffled(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, Rng(Rng.fold(self.seed, epoch)).permutation(self.size)
        return self._permutation


def coins(seed: int, start: int, count: int) -> Tensor:
    """A fair coin for each of the positions start … start + count − 1, (count,) bool: whether to flip that example.

    A hash of (seed, position) (SplitMix64, Steele et al. 2014), so it depends neither on the batch size nor on who
    computes it, and an example is flipped anew each time it comes.
    """
    state = np.arange(start, start + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy((state >> np.uint64(63)).astype(bool))


def mirrored(x: Tensor, flip: Tensor) -> Tensor:
    """Images (B, C, H, W) with those marked in ``flip`` (B,) bool mirrored left to right."""
    return torch.where(flip.to(x.device).reshape(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
