"""Arrays larger than memory: one ``.npy``, or many of equal shape in a folder, read row by row where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scorefield.data.cache import cache_key, stamps
from scorefield.data.dataset import Dataset
from scorefield.data.layouts import Layout, adjust, read_layout
from scorefield.data.rows import Lazy
from scorefield.data.words import count
from scorefield.errors import UserError

PROBED = 2048  # rows, spread evenly, that decide what the axes mean and how values are scaled
MOST_PROBED = 2**25  # numbers of them


class Maps:
    """Rows of several arrays, one after the other, in the canonical form that ``layout`` decided on."""

    def __init__(self, arrays: Sequence[np.ndarray], layout: Layout, where: str) -> None:
        self.arrays, self.layout, self.where = arrays, layout, where
        self.ends = np.cumsum([len(array) for array in arrays])

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *D)."""
        return int(self.ends[-1]), *self.layout.x.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        """uint8 for images, else float32."""
        return torch.from_numpy(self.layout.x[:0]).dtype

    def read(self, rows: np.ndarray) -> Tensor:
        """(B,) row numbers → (B, *D). Raises ``UserError`` naming the first row that float32 cannot hold."""
        stored = self.stored(rows)
        if stored.dtype.kind == "f":
            with np.errstate(over="ignore"):
                good = np.isfinite(stored.astype(np.float32, copy=False)).reshape(len(rows), -1).all(1)
            if not good.all():
                raise UserError(
                    f"{self.where} holds nan or infinity in row {int(rows[~good][0]):,}. "
                    "Only finite numbers can be learned: repair or remove such rows."
                )
        return torch.from_numpy(np.ascontiguousarray(self.layout.again(stored)))

    def stored(self, rows: np.ndarray) -> np.ndarray:
        """The rows as they lie in the files, copied; read in ascending order, which disks prefer."""
        first = self.arrays[0]
        out = np.empty((len(rows), *first.shape[1:]), first.dtype)
        if not len(rows):
            return out
        order = np.argsort(rows, kind="stable")
        which = np.searchsorted(self.ends, rows[order], side="right")
        for number in np.unique(which):
            mine = order[which == number]
            start = self.ends[number] - len(self.arrays[number])
            out[mine] = self.arrays[number][rows[mine] - start]
        return out


def open_maps(
    paths: Sequence[Path],
    arrays: Sequence[np.ndarray],
    where: str,
    *,
    name: str,
    source: str,
    size: int | None,
    color: str,
) -> Dataset:
    """Arrays (Nᵢ, ...) on maps to one data set that is read when a batch asks for it.

    Layout, scaling and colour are decided on at most 2,048 rows spread evenly; rows that do not fit are an error when
    they are met. The fingerprint is that of names, sizes and times of the files. Raises ``UserError`` as ``build``.
    """
    if not arrays[0].ndim or not sum(len(array) for array in arrays):
        read_layout(arrays[0], where)  # says what is wrong
    total = sum(len(array) for array in arrays)
    width = max(1, arrays[0][:1].size)
    probe = np.unique(np.linspace(0, total - 1, max(1, min(PROBED, total, MOST_PROBED // width))).round().astype(int))
    layout = read_layout(Maps(arrays, Layout("", np.empty((0,), np.uint8)), where).stored(probe), where)
    if layout.kind == "images":
        layout = adjust(layout, size, color)
    elif size is not None:
        raise UserError(f"size={size} is for images, but {where} holds {layout.kind}. Leave size= out.")
    maps = Maps(arrays, replace(layout, x=layout.x[:1].copy()), where)
    gigabytes = sum(array.nbytes for array in arrays) / 1e9
    decided = f" Scaling and colours were decided on {count(len(probe), 'row')}." if len(probe) < total else ""
    note = f"{where} ({gigabytes:.1f} GB) stays on disk, and each batch reads its own rows.{decided}"
    return Dataset(
        name=name,
        kind=layout.kind,
        x=Lazy(maps).as_tensor(),
        columns=tuple(f"x{i}" for i in range(layout.x.shape[1])) if layout.kind == "vectors" else (),
        notes=(*layout.notes, note),
        source=source,
        flip_ok=layout.kind == "images" and layout.x.shape[1] == 3,
        key=cache_key([stamps(path.parent, [path.name]) for path in paths], size, color),
    )
