"""A wide table read as a series in time: a row an instant, a column a channel; words and dates are left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scorefield.data.columns import MISSING
from scorefield.data.table import read_table
from scorefield.data.words import count
from scorefield.errors import UserError


def series_of_table(path: Path, columns: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """(C, T) float32 with NaN for empty cells, the names of the C columns, and what was left out.

    Without ``columns`` all in which every cell is a number or empty. Raises ``UserError`` for an unknown column, and
    for one that was asked for and holds a word."""
    table = read_table(path)
    wanted = [table.column(name, "columns") for name in columns] if columns else range(len(table.header))
    kept, left_out = [], []
    for index in wanted:
        values, word = _numbers([row[index] for row in table.rows])
        if word is None and not np.isnan(values).all():
            kept.append((table.header[index], values))
        elif columns:
            what = "nothing" if word is None else f"'{word}', which is not a finite number"
            raise UserError(f"'{path}': column '{table.header[index]}' holds {what}. Choose other columns.")
        else:
            left_out.append(table.header[index])
    if not kept:
        raise UserError(f"'{path}' has no column of numbers, which window= cuts into windows.")
    notes = (f"Left out, as not numeric: {', '.join(left_out)}.",) if left_out else ()
    if not table.named:
        notes += (
            f"'{path.name}' has no header; its {count(len(table.header), 'column')} are called column1 and so on.",
        )
    names, values = zip(*kept, strict=True)
    return np.stack(values), names, notes


def _numbers(cells: list[str]) -> tuple[np.ndarray, str | None]:
    """A column as float32, NaN where empty, and the first cell that is no finite number, if there is one."""
    empty = np.array([cell.lower() in MISSING for cell in cells])
    try:
        values = np.array(["nan" if none else cell for cell, none in zip(cells, empty, strict=True)]).astype(np.float64)
    except ValueError:
        return np.empty(0), next(
            cell for cell, none in zip(cells, empty, strict=True) if not none and not _is_number(cell)
        )
    bad = np.flatnonzero(~empty & ~(np.abs(values) <= np.finfo(np.float32).max))
    return values.astype(np.float32), cells[bad[0]] if len(bad) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
