"""A numeric CSV file becomes vectors with column names; whatever is not a number is named by row and column."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from scorefield.data.dataset import Broken, Dataset
from scorefield.data.labels import as_classes
from scorefield.data.words import count
from scorefield.errors import UserError, suggest

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """The cells of a file as text; ``first`` is the row number, as a spreadsheet counts, of ``rows[0]``."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    first: int
    named: bool

    def column(self, name: str, option: str) -> int:
        """The index of a column. Raises ``UserError`` with a suggestion for an unknown one."""
        if name not in self.header:
            raise UserError(f"'{self.path}' has no column '{name}' ({option}=).{suggest(name, self.header)}")
        return self.header.index(name)


def open_table(path: Path, *, label: str | None, columns: Sequence[str] | None, strict: bool) -> Dataset:
    """Numbers in rows as float32 (N, D); ``columns`` chooses, ``label`` names the column of classes.

    Comma, semicolon, tab and bar are told apart by the first line, which is a header if its cells are words above
    numbers. Rows with an empty cell are skipped with a note, or an error if ``strict``. Raises ``UserError`` for
    unknown columns and for a cell that is not a number.
    """
    table = read_table(path)
    classes_in = None if label is None else table.column(label, "label")
    chosen = [table.column(name, "columns") for name in columns or table.header]
    chosen = [index for index in chosen if index != classes_in]
    if not chosen:
        raise UserError(f"'{path}' has no column left to train on besides the class '{label}'.")
    kept, broken = _complete_rows(table, chosen + ([] if classes_in is None else [classes_in]))
    if broken and strict:
        raise UserError(
            f"strict=yes, and '{path}' {broken[0].reason}. Fill it in, or leave strict=yes out to skip such rows."
        )
    if not kept:
        what = (
            f"every row has an empty cell; the first {broken[0].reason}"
            if broken
            else "there is nothing below its header"
        )
        raise UserError(f"'{path}' has no rows to train on: {what}.")
    values = np.column_stack([_numbers(table, index, kept) for index in chosen])
    notes = () if table.named else (f"'{path.name}' has no header; its columns are called column1, column2 and so on.",)
    if broken:
        notes += (f"{count(len(broken), 'row')} with an empty cell skipped; the first {broken[0].reason}.",)
    dataset = Dataset(
        name=path.name.split(".")[0],
        kind="vectors",
        x=torch.from_numpy(np.ascontiguousarray(values)),
        columns=tuple(table.header[index] for index in chosen),
        broken=broken,
        notes=notes,
        source=str(path),
    )
    if classes_in is None:
        return dataset
    labels, classes = as_classes(_labels(table, classes_in, kept), len(kept), f"Column '{label}' of '{path}'")
    return replace(dataset, labels=labels, classes=classes)


def read_table(path: Path) -> Table:
    """The cells of a ``.csv`` or ``.tsv``, gzipped or not, in UTF-8. Raises ``UserError`` for any other file."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(
            path, "rt", encoding="utf-8-sig", newline=""
        ) as file:
            text = file.readline()
            delimiter = max(DELIMITERS, key=text.count)
            file.seek(0)
            numbered = [line for line in enumerate(csv.reader(file, delimiter=delimiter), 1) if any(line[1])]
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' cannot be read as a table of text in UTF-8 ({error}).") from error
    if not numbered:
        raise UserError(f"'{path}' is empty. It needs a row of numbers for each example.")
    width = len(numbered[0][1])
    for number, row in numbered:
        if len(row) != width:
            raise UserError(
                f"'{path}': row {number} has {count(len(row), 'cell')}, but row {numbered[0][0]} has {width}. "
                "Every row needs the same columns."
            )
    rows = [[cell.strip() for cell in row] for _, row in numbered]
    named = _is_header(rows)
    header = tuple(rows[0]) if named else tuple(f"column{i}" for i in range(1, width + 1))
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise UserError(f"'{path}' has two columns named '{twice}'. Rename one.")
    return Table(path, header, rows[named:], numbered[0][0] + named, named)


def _is_header(rows: list[list[str]]) -> bool:
    """Words above numbers, or words throughout; a class column without a header has words in both rows."""
    words = [_is_word(cell) for cell in rows[0]]
    above = [_is_word(cell) for cell in rows[1]] if len(rows) > 1 else [False] * len(words)
    return all(words) or any(word and not below for word, below in zip(words, above, strict=True))


def _is_word(cell: str) -> bool:
    return cell.lower() not in MISSING and _number(cell) is None


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _complete_rows(table: Table, used: list[int]) -> tuple[list[int], tuple[Broken, ...]]:
    kept, broken = [], []
    for i, row in enumerate(table.rows):
        empty = next((index for index in used if row[index].lower() in MISSING), None)
        if empty is None:
            kept.append(i)
        else:
            place = f"row {table.first + i}"
            broken.append(Broken(place, f"has nothing in {place}, column '{table.header[empty]}'"))
    return kept, tuple(broken)


def _numbers(table: Table, index: int, kept: list[int]) -> np.ndarray:
    """One column as float32; the quick path is NumPy's parser, the slow one finds the cell to name."""
    cells = [table.rows[i][index] for i in kept]
    try:
        values = np.array(cells).astype(np.float64)
    except ValueError:
        values = np.array([_number(cell) if _number(cell) is not None else math.nan for cell in cells])
    bad = np.flatnonzero(~(np.abs(values) <= np.finfo(np.float32).max))
    if not len(bad):
        return values.astype(np.float32)
    name, row = table.header[index], table.first + kept[bad[0]]
    raise UserError(
        f"'{table.path}': row {row}, column '{name}' holds '{cells[bad[0]]}', which is not a finite number. "
        f"Choose other columns with columns=a,b or, if it is the class, write label={name}."
    )


def _labels(table: Table, index: int, kept: list[int]) -> np.ndarray:
    cells = [table.rows[i][index] for i in kept]
    numbers = [_number(cell) for cell in cells]
    return np.array(cells) if None in numbers else np.array(numbers, np.float64)
