"""A folder of ``.npy`` files of equal shape is one array cut into pieces, with its classes in ``labels.npy``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from scorefield.data import cache
from scorefield.data.arrays import build, map_npy
from scorefield.data.dataset import Dataset
from scorefield.data.labels import as_classes
from scorefield.data.maps import open_maps
from scorefield.data.words import count, shape_of
from scorefield.errors import UserError

LABELS = "labels.npy"


def open_shards(folder: Path, files: tuple[str, ...], *, size: int | None, color: str) -> Dataset:
    """The arrays ``files`` (names relative to ``folder``) one after the other, sorted by name.

    Together above 256 MiB they are read from disk batch by batch. ``labels.npy`` (N,) beside them holds the classes.
    Raises ``UserError`` for files of different shape or type, damaged ones, and labels of another length.
    """
    names = tuple(sorted(name for name in files if name != LABELS))
    if not names:
        raise UserError(f"'{folder}' holds {LABELS} and no other .npy file. Put the arrays of examples beside it.")
    arrays = [map_npy(folder / name) for name in names]
    for name, array in zip(names, arrays, strict=True):
        if (array.shape[1:], array.dtype, array.ndim) != (arrays[0].shape[1:], arrays[0].dtype, arrays[0].ndim):
            raise UserError(
                f"The .npy files of '{folder}' are no parts of one array: '{names[0]}' has shape "
                f"{shape_of(arrays[0].shape)} {arrays[0].dtype}, '{name}' {shape_of(array.shape)} {array.dtype}. "
                "Give the one file to train on, or a folder of equal ones."
            )
    about = {"name": folder.resolve().name, "source": str(folder), "size": size, "color": color}
    where = f"'{folder}'"
    if sum(array.nbytes for array in arrays) > cache.IN_MEMORY:
        dataset = open_maps([folder / name for name in names], arrays, where, **about)
    else:
        dataset = build(np.concatenate(arrays), where, **about)
    notes = (f"{count(len(names), 'file')} of {arrays[0].dtype} make one array.", *dataset.notes)
    dataset = replace(dataset, notes=notes)
    if LABELS not in files:
        return dataset
    labels, classes = as_classes(np.array(map_npy(folder / LABELS)), len(dataset), f"'{folder / LABELS}'")
    return replace(dataset, labels=labels, classes=classes)
