"""From the text of a column to its numbers: what it holds is read off its cells, and doubtful cells are named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scorefield.data.schema import AS_NEEDED, Column, instant
from scorefield.data.words import in_order
from scorefield.errors import UserError

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
MANY = 100  # different words of a column, beyond which they may be names
MOST = 5000  # different words of a column that are learned at all
DIGITS = 15  # that a float64 holds exactly
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CODE = re.compile(r"[+-]?0\d+")  # 007: leading zeros are part of a name
_GROUPED = re.compile(r"[+-]?\d{1,3}([,' ]\d{3})+(\.\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+")
_INFINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
_HOURS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%SZ", "%H:%M:%S.%fZ")
_PATTERNS = [(day, "date") for day in _DAYS]
_PATTERNS += [(f"{day}{gap}{hour}", "datetime") for day in _DAYS for gap in " T" for hour in _HOURS]


@dataclass(frozen=True)
class Cells:
    """The text of one column: ``known`` (N,) bool says which cells hold something, ``rows`` (N,) their row numbers as a
    spreadsheet counts; ``stored`` is the type in a Parquet file, "" for text."""

    path: Path
    name: str
    text: Sequence[str]
    known: np.ndarray
    rows: Sequence[int]
    stored: str = ""

    def first(self, wanted: Callable[[str], bool]) -> str:
        """``row 3, column 'a' holds 'x'`` for the first known cell that is ``wanted``."""
        i = next(i for i, cell in enumerate(self.text) if self.known[i] and wanted(cell))
        return f"'{self.path}': row {self.rows[i]}, column '{self.name}' holds '{self.text[i]}'"


def read_column(cells: Cells, category: bool = False) -> tuple[Column, np.ndarray]:
    """What a column is, and its numbers (N,) float64 with NaN where a value is missing.

    Numbers where all cells are; else dates where all are of one form; else categories. ``category`` asks for the last.
    Raises UserError for infinities, numbers among which some words stand, thousands separators, decimal commas, and for
    words that are nearly all different.
    """
    distinct = sorted({cell for cell, known in zip(cells.text, cells.known, strict=True) if known})
    if not distinct:
        return Column(cells.name, "number", "float", blank=_blank(cells), missing=1.0), np.full(len(cells.text), np.nan)
    if category:
        return _categories(cells, distinct)
    read = next(read for fits, read in _READERS if fits(distinct))
    return read(cells, distinct)


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _are_numbers(distinct: Sequence[str]) -> bool:
    return all(map(_is_number, distinct)) and not any(map(_CODE.fullmatch, distinct))


def _pattern(distinct: Sequence[str]) -> tuple[str, str] | None:
    """The first form of dates that reads every cell and writes it back as it was."""
    if not all(map(_DATE.fullmatch, distinct)):
        return None
    return next((pattern for pattern in _PATTERNS if _reads(pattern, distinct)), None)


def _reads(pattern: tuple[str, str], distinct: Sequence[str]) -> bool:
    form, dtype = pattern
    try:
        values = [instant(cell, form, dtype) for cell in distinct]
    except ValueError:
        return False
    return Column("", "date", dtype, format=form).cells(values) == list(distinct)


def _spread(cells: Cells, values: dict[str, float]) -> np.ndarray:
    return np.array(
        [values[cell] if known else np.nan for cell, known in zip(cells.text, cells.known, strict=True)], np.float64
    )


def _blank(cells: Cells) -> str:
    blanks = [cell for cell, known in zip(cells.text, cells.known, strict=True) if not known]
    return max(set(blanks), key=blanks.count) if blanks else ""


def _common(cells: Cells) -> dict[str, Any]:
    return {"blank": _blank(cells), "missing": float(1 - np.mean(cells.known)), "stored": cells.stored}


def _numbers(cells: Cells, distinct: Sequence[str]) -> tuple[Column, np.ndarray]:
    values = {cell: float(cell) for cell in distinct}
    low, high = min(values.values()), max(values.values())
    if not np.isfinite([low, high]).all():
        where = cells.first(lambda cell: not np.isfinite(values[cell]))
        raise UserError(f"{where}, which is too large for a number. Leave the column out with columns=a,b.")
    whole = not any(set(".eE") & set(cell) for cell in distinct)
    if whole and max(-low, high) >= 10**DIGITS:
        raise UserError(
            f"{cells.first(lambda cell: abs(values[cell]) >= 10**DIGITS)}, which has more than {DIGITS} digits: a "
            "name rather than a quantity. Leave the column out with columns=a,b, or take it as words: "
            f"categories={cells.name}."
        )
    fractions = [cell.partition(".")[2] for cell in distinct]
    decimals = max(len(digits.rstrip("0")) for digits in fractions)
    if any(set("eE") & set(cell) for cell in distinct) or decimals + len(f"{max(-low, high):.0f}") > DIGITS:
        decimals, padded = AS_NEEDED, 0
    else:
        padded = min(map(len, fractions))
    column = Column(cells.name, "number", "int" if whole else "float", low, high, decimals, padded, **_common(cells))
    return column, _spread(cells, values)


def _dates(cells: Cells, distinct: Sequence[str]) -> tuple[Column, np.ndarray]:
    form, dtype = _pattern(distinct) or _PATTERNS[0]
    values = {cell: instant(cell, form, dtype) for cell in distinct}
    decimals = 6 if "%f" in form else 0
    low, high = min(values.values()), max(values.values())
    column = Column(cells.name, "date", dtype, low, high, decimals, format=form, **_common(cells))
    return column, _spread(cells, values)


def _categories(cells: Cells, distinct: Sequence[str]) -> tuple[Column, np.ndarray]:
    count = int(cells.known.sum())
    if len(distinct) > MOST or (len(distinct) > MANY and 2 * len(distinct) > count):
        raise UserError(
            f"'{cells.path}': column '{cells.name}' has {len(distinct):,} different words in {count:,} rows, such as "
            f"'{distinct[0]}': names or ids, from which nothing can be learned. Choose the other columns: columns=a,b."
        )
    names = in_order(distinct)
    dtype = "bool" if {name.lower() for name in names} <= {"true", "false"} else "text"
    column = Column(
        cells.name, "category", dtype, categories=names, high=len(names) - 1.0, decimals=0, **_common(cells)
    )
    return column, _spread(cells, {name: float(code) for code, name in enumerate(names)})


def _words(cells: Cells, distinct: Sequence[str]) -> tuple[Column, np.ndarray]:
    """Categories, unless most cells are numbers: then the words among them are more likely mistakes."""
    infinite = {cell for cell in distinct if cell.lower() in _INFINITE}
    numbers = {cell for cell in distinct if _is_number(cell)} | infinite
    strange = set(distinct) - numbers
    if infinite and len(numbers) > len(strange):
        raise UserError(
            f"{cells.first(infinite.__contains__)}, which is not a finite number. Write an empty cell where no "
            "number is known, or leave the column out with columns=a,b."
        )
    for form, what, instead in _FORMS:
        if strange and all(map(form.fullmatch, strange)):
            raise UserError(f"{cells.first(strange.__contains__)}: a number with {what}. {instead}")
    held = sum(cell in numbers for cell, known in zip(cells.text, cells.known, strict=True) if known)
    if 2 * held >= cells.known.sum() and not any(map(_CODE.fullmatch, numbers)):
        raise UserError(
            f"{cells.first(strange.__contains__)}, which is not a number, as {_others(held)}. Write an "
            f"empty cell where no number is known, or take the column as words: categories={cells.name}."
        )
    return _categories(cells, distinct)


def _others(count: int) -> str:
    return "the other cell is" if count == 1 else f"{count:,} other cells are"


_FORMS = (
    (_GROUPED, "thousands separators", "Write it plainly, as 1234567.8."),
    (_COMMA, "a decimal comma", "Write it with a point, as 2.5."),
)
_READERS = (
    (_are_numbers, _numbers),
    (lambda distinct: _pattern(distinct) is not None, _dates),
    (lambda distinct: True, _words),
)
