"""A CSV or Parquet file becomes rows of mixed columns; whatever cannot be learned is named by row and column."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scorefield.data.columns import MISSING, Cells, read_column
from scorefield.data.conditions import of_rows
from scorefield.data.dataset import Broken, Dataset
from scorefield.data.labels import as_classes
from scorefield.data.schema import Column
from scorefield.data.words import count
from scorefield.errors import UserError, suggest

DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """The cells of a file as text; ``first`` is the row number, as a spreadsheet counts, of ``rows[0]``. ``stored`` are
    the types of a Parquet file's columns, and the ``wordy`` ones hold words, whatever these look like."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    first: int
    named: bool
    stored: tuple[str, ...] = ()
    wordy: frozenset[int] = frozenset()

    def column(self, name: str, option: str) -> int:
        """The index of a column. Raises ``UserError`` with a suggestion for an unknown one."""
        if name not in self.header:
            raise UserError(f"'{self.path}' has no column '{name}' ({option}=).{suggest(name, self.header)}")
        return self.header.index(name)

    def cells(self, index: int, kept: Sequence[int]) -> Cells:
        """One column, for the rows that are ``kept``."""
        text = [self.rows[i][index] for i in kept]
        known = np.array([cell.lower() not in MISSING for cell in text])
        stored = self.stored[index] if self.stored else ""
        return Cells(self.path, self.header[index], text, known, [self.first + i for i in kept], stored)


def open_table(
    path: Path,
    *,
    label: str | None,
    columns: Sequence[str] | None,
    strict: bool,
    condition: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
) -> Dataset:
    """Rows of numbers, categories and dates as float64 (N, C) with a schema that says what each column holds.

    ``columns`` chooses, ``label`` names the column of classes, ``condition`` those of numbers to condition on, which
    may be empty, and ``categories`` those of words though they look like numbers. In a text file comma, semicolon, tab
    and bar are told apart by the first line, which is a header if its cells are words above numbers. Empty cells are
    values that are missing, and are learned as such; rows without a class are skipped with a note, or an error if
    ``strict``. Raises ``UserError`` for unknown columns and for cells that do not fit their column.
    """
    table = read_table(path)
    classes_in = None if label is None else table.column(label, "label")
    told = [table.column(name, "condition") for name in condition or ()]
    chosen = [table.column(name, "columns") for name in columns or table.header]
    worded = {table.column(name, "categories") for name in categories or ()} | table.wordy
    chosen = [index for index in dict.fromkeys(chosen) if index != classes_in and index not in told]
    if not chosen:
        raise UserError(f"'{path}' has no column left to train on besides the class '{label}'.")
    kept, broken = _labelled_rows(table, classes_in)
    if broken and strict:
        raise UserError(
            f"strict=yes, and '{path}' {broken[0].reason}. Fill it in, or leave strict=yes out to skip such rows."
        )
    if not kept:
        what = f"no row has a class; the first {broken[0].reason}" if broken else "there is nothing below its header"
        raise UserError(f"'{path}' has no rows to train on: {what}.")
    read = {index: read_column(table.cells(index, kept), index in worded) for index in chosen}
    schema = tuple(read[index][0] for index in chosen)
    dataset = Dataset(
        name=path.name.split(".")[0],
        kind="table",
        x=torch.from_numpy(np.column_stack([read[index][1] for index in chosen])),
        columns=tuple(column.name for column in schema),
        schema=schema,
        broken=broken,
        notes=_notes(table, schema, broken),
        source=str(path),
    )
    if told:
        dataset = replace(dataset, **_conditions(table, told, kept))
    if classes_in is None:
        return dataset
    labels, classes = as_classes(_labels(table, classes_in, kept), len(kept), f"Column '{label}' of '{path}'")
    stored = table.stored[classes_in] if table.stored else ""
    shares = tuple((torch.bincount(labels[labels >= 0], minlength=len(classes)) / len(labels)).tolist())
    own = Column(
        table.header[classes_in], "category", "text", categories=classes, stored=stored, label=True, shares=shares
    )
    before = len(chosen) if columns else sum(index < classes_in for index in chosen)
    return replace(dataset, labels=labels, classes=classes, schema=(*schema[:before], own, *schema[before:]))


def _conditions(table: Table, told: list[int], kept: list[int]) -> dict[str, Any]:
    names = tuple(table.header[index] for index in told)
    rows = [dict(zip(names, (table.rows[i][index] for index in told), strict=True)) for i in kept]
    return {"conditions": of_rows(rows, names, table.path), "condition_names": names}


def _notes(table: Table, schema: Sequence[Column], broken: tuple[Broken, ...]) -> tuple[str, ...]:
    """What a user should know about how the file was read."""
    notes = []
    if not table.named:
        notes.append(f"'{table.path.name}' has no header; its columns are called column1, column2 and so on.")
    if broken:
        notes.append(f"{count(len(broken), 'row')} without a class skipped; the first {broken[0].reason}.")
    empty = [column.name for column in schema if column.missing == 1]
    same = [column.name for column in schema if column.missing < 1 and column.low == column.high]
    gaps = [f"{column.name} {_percent(column.missing)}" for column in schema if 0 < column.missing < 1]
    days = [column.name for column in schema if column.format.startswith("%d/%m")]
    if empty:
        notes.append(f"Without a value in any row: {', '.join(empty)}; samples leave it empty too.")
    if same:
        notes.append(f"The same in every row that has it: {', '.join(same)}; samples repeat it.")
    if gaps:
        notes.append(f"Missing values are learned as such: {', '.join(gaps)}.")
    if days:
        notes.append(f"Dates are read as day/month/year: {', '.join(days)}.")
    return tuple(notes)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 else "under 0.1%"


def read_table(path: Path) -> Table:
    """The cells of a ``.csv`` or ``.tsv``, gzipped or not, in UTF-8, or of a ``.parquet`` file (needs pyarrow).

    Raises ``UserError`` for a file that is none, ragged rows and two columns of one name."""
    return _READERS.get(path.suffix.lower(), _read_text)(path)


def _read_parquet(path: Path) -> Table:
    from scorefield.data.parquet import read

    header, rows, stored, wordy = read(path)
    return Table(path, _distinct(path, header), rows, 1, True, stored, wordy)


_READERS = {".parquet": _read_parquet}


def _read_text(path: Path) -> Table:
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(
            path, "rt", encoding="utf-8-sig", newline=""
        ) as file:
            text = file.readline()
            delimiter = max(DELIMITERS, key=text.count)
            file.seek(0)
            numbered = [line for line in enumerate(csv.reader(file, delimiter=delimiter), 1) if any(line[1])]
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"'{path}' cannot be read as a table of text in UTF-8 ({error}). Export it again as CSV in UTF-8."
        ) from error
    if not numbered:
        raise UserError(f"'{path}' is empty. It needs a row for each example.")
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
    return Table(path, _distinct(path, header), rows[named:], numbered[0][0] + named, named)


def _distinct(path: Path, header: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise UserError(f"'{path}' has two columns named '{twice}'. Rename one.")
    return header


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


def _labelled_rows(table: Table, classes_in: int | None) -> tuple[list[int], tuple[Broken, ...]]:
    if classes_in is None:
        return list(range(len(table.rows))), ()
    without = [i for i, row in enumerate(table.rows) if row[classes_in].lower() in MISSING]
    places = [f"row {table.first + i}" for i in without]
    broken = tuple(Broken(p, f"has nothing in {p}, column '{table.header[classes_in]}'") for p in places)
    skipped = set(without)
    return [i for i in range(len(table.rows)) if i not in skipped], broken


def _labels(table: Table, index: int, kept: list[int]) -> np.ndarray:
    cells = [table.rows[i][index] for i in kept]
    numbers = [_number(cell) for cell in cells]
    return np.array(cells) if None in numbers else np.array(numbers, np.float64)
