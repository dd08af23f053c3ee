"""Labels of any spelling, numbers or names, become 0 … K − 1 with a tuple of class names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scorefield.data.words import in_order, shape_of
from scorefield.errors import UserError

MANY_CLASSES = 100


def as_classes(values: np.ndarray, count: int, where: str, names: Sequence[str] = ()) -> tuple[Tensor, tuple[str, ...]]:
    """(N,) whole numbers or words to labels (N,) int64 and class names; −1 stays "no class".

    ``names`` are used where numbers index them; ``where`` begins the sentence of an error. Raises ``UserError`` for
    another length than ``count``, for real numbers, and for a column in which nearly every value is a class of its own.
    """
    if values.shape != (count,):
        raise UserError(f"{where} has shape {shape_of(values.shape)}, but {count:,} examples need one class each.")
    words = _whole_numbers(values, where) if values.dtype.kind in "fiub" else _words(values, where)
    classes = in_order(word for word in words if word != "-1")
    if len(classes) > MANY_CLASSES and 2 * len(classes) > count:
        raise UserError(
            f"{where} has {len(classes):,} different values in {count:,} examples: too many to be classes. "
            "Name a column with few, or leave label= out."
        )
    if names and classes and all(word.isdecimal() and int(word) < len(names) for word in classes):
        return torch.tensor([int(word) for word in words]), tuple(names)
    number = {"-1": -1} | {name: i for i, name in enumerate(classes)}
    return torch.tensor([number[word] for word in words]), classes


def _whole_numbers(values: np.ndarray, where: str) -> list[str]:
    numbers = values.astype(np.float64)
    real = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.floor(numbers))))
    if len(real):
        raise UserError(
            f"{where} holds {values[real[0]]:g} at [{real[0]}]. Classes are whole numbers or words; "
            "leave label= out if this is a quantity."
        )
    return [str(int(value)) for value in values]


def _words(values: np.ndarray, where: str) -> list[str]:
    if values.dtype.kind not in "US":
        raise UserError(f"{where} holds {values.dtype} values. Classes are whole numbers or words.")
    return [value.decode("utf-8", "replace") if values.dtype.kind == "S" else str(value) for value in values]
