"""Examples that stay where they are: rows of a file or of a long series, read when a batch asks for them."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor


class Readable(Protocol):
    """Something that knows how many examples it has and reads those that are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *D)."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of what ``read`` gives."""
        ...

    def read(self, rows: np.ndarray) -> Tensor:
        """(B,) int64 → (B, *D) in memory of its own."""
        ...


class Lazy:
    """Stands where a tensor (N, *D) would, for data that do not fit into memory: ``len``, ``shape``, ``dtype`` and
    ``[…]`` with an index tensor, a slice or a number read just those rows.

    ``index`` (N,) int64 says which row of ``source`` each example is; None: all, in order. Sets are split and shuffled
    by their index, so the user's file is never written.
    """

    def __init__(self, source: Readable, index: np.ndarray | None = None) -> None:
        self.source, self.index = source, index

    def __len__(self) -> int:
        return self.source.shape[0] if self.index is None else len(self.index)

    @property
    def shape(self) -> torch.Size:
        """(N, *D)."""
        return torch.Size((len(self), *self.source.shape[1:]))

    @property
    def ndim(self) -> int:
        """Number of axes, that of the examples included."""
        return len(self.source.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Of the examples as they are read."""
        return self.source.dtype

    def __repr__(self) -> str:
        return f"Lazy({'×'.join(map(str, self.shape))}, {self.dtype})"

    def __getitem__(self, key: Tensor | np.ndarray | slice | int) -> Tensor:
        """The examples at ``key``: (B, *D), or (*D) for one number."""
        if isinstance(key, int):
            return self[np.array([key % len(self)])][0]
        if isinstance(key, slice):
            return self.source.read(self._rows(key))
        wanted = np.asarray(key)
        wanted = np.flatnonzero(wanted) if wanted.dtype == bool else wanted.astype(np.int64)
        return self.source.read(wanted if self.index is None else self.index[wanted])

    def part(self, rows: np.ndarray | slice) -> Lazy:
        """Some of the examples, still unread."""
        return Lazy(self.source, self._rows(rows))

    def _rows(self, rows: np.ndarray | slice) -> np.ndarray:
        if self.index is not None:
            return self.index[rows]
        return np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows.astype(np.int64)

    def as_tensor(self) -> Tensor:
        """Itself, under the type that ``Dataset.x`` has everywhere else."""
        return cast(Tensor, self)
