"""Numbers that examples are conditioned on: read from whatever holds them, described, and put on a common scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scorefield.data.words import shape_of
from scorefield.errors import UserError, suggest

UNKNOWN = {"", "na", "n/a", "nan", "null", "none", "?"}  # as in tables: no number is known for this example


def as_conditions(values: np.ndarray, count: int, where: str, name: str) -> tuple[Tensor, tuple[str, ...]]:
    """(N,) or (N, V) numbers → (N, V) float32 and V names; NaN stays "not known".

    ``where`` begins the sentence of an error. Raises UserError for another length than ``count``, infinite numbers and
    values that are no numbers."""
    values = values.reshape(-1, 1) if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != count or not values.shape[1]:
        raise UserError(
            f"{where} has shape {shape_of(values.shape)}, but {count:,} examples need a number or a row of them each."
        )
    if values.dtype.kind not in "fiub":
        raise UserError(f"{where} holds {values.dtype} values. Conditions are numbers; name words as classes: label=.")
    many = values.shape[1] > 1
    return _finite(values, where), tuple(f"{name}{i}" if many else name for i in range(values.shape[1]))


def of_cells(cells: Sequence[str], where: str) -> np.ndarray:
    """A column of text as float64 (N,), NaN where nothing is known. Raises UserError naming a cell that is none."""
    values = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if cell.strip().lower() in UNKNOWN:
            continue
        try:
            values[i] = float(cell)
        except ValueError:
            raise UserError(
                f"{where} holds '{cell}', which is not a number. Conditions are numbers; name words as classes: label=."
            ) from None
    return values


def of_rows(rows: Sequence[Mapping[str, str]], names: Sequence[str], path: Path) -> Tensor:
    """The columns ``names`` of a metadata file's rows, (N, V) float32. Raises UserError for an unknown column."""
    known = list(dict.fromkeys(key for row in rows for key in row))
    for name in names:
        if name not in known:
            raise UserError(f"'{path}' has no column '{name}' for condition=.{suggest(name, known)}")
    columns = [of_cells([row.get(name, "") for row in rows], f"'{path}', column '{name}',") for name in names]
    return _finite(np.stack(columns, 1), f"'{path}'")


def _finite(values: np.ndarray, where: str) -> Tensor:
    if np.isinf(values.astype(np.float32)).any():
        raise UserError(f"{where} holds infinite numbers. A condition is finite, or empty (NaN) where it is not known.")
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


@dataclass(frozen=True)
class Scale:
    """Names, moments and ranges of V conditions: what a run keeps of them. Networks are told (c − mean) / std."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, raw: Tensor) -> Tensor:
        """Raw numbers (N, V) → standardised ones, float32; NaN stays NaN."""
        mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (self.mean, self.std))
        return ((raw.double() - mean) / std).float()

    def to_json(self) -> dict[str, list]:
        """Plain data for a config."""
        return {name: list(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def of(cls, conditions: Tensor, names: Sequence[str]) -> Scale:
        """The scale of raw conditions (N, V), NaN left out. Raises UserError for one that is always unknown or that
        never varies, since nothing can be learned from it."""
        found = []
        for column, name in zip(conditions.double().unbind(1), names, strict=True):
            known = column[~column.isnan()]
            if not len(known) or float(known.std(correction=0)) == 0:
                what = f"is {known[0]:g} in every example" if len(known) else "is empty in every example"
                raise UserError(f"condition '{name}' {what}, so nothing can be learned from it. Leave it out.")
            found.append((known.mean(), known.std(correction=0), known.min(), known.max()))
        mean, std, low, high = (tuple(float(f"{number:.7g}") for number in part) for part in zip(*found, strict=True))
        return cls(tuple(names), mean, std, low, high)
