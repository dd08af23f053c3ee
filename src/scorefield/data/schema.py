"""What each column of a table holds, and how its numbers are written: enough to give a sampled table the same form."""

from __future__ import annotations

import csv
import datetime
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

EPOCH = datetime.datetime(1970, 1, 1)
DAY = datetime.timedelta(days=1)
AS_NEEDED = -1  # decimals: as many as tell a number from all others


@dataclass(frozen=True)
class Column:
    """One column: its numbers in ``Dataset.x`` are values, codes of ``categories``, or days or seconds since 1970.

    Values are multiples of 10^−``decimals`` (−1: any), written with at least ``padded`` digits behind the point;
    ``format`` is the ``strftime`` pattern of dates, ``blank`` the cell of a missing value and ``missing`` the share of
    those. ``stored`` is the type in a Parquet file, "" for text. ``label`` marks the column of classes, which is not
    in x; ``shares`` are how often each class comes.
    """

    name: str
    kind: str  # number, category or date
    dtype: str  # int, float, text, bool, date or datetime
    low: float = 0.0
    high: float = 0.0
    decimals: int = AS_NEEDED
    padded: int = 0
    categories: tuple[str, ...] = ()
    format: str = ""
    blank: str = ""
    missing: float = 0.0
    stored: str = ""
    label: bool = False
    shares: tuple[float, ...] = ()

    def cells(self, values: Iterable[float]) -> list[str]:
        """Numbers of ``Dataset.x`` (N,) as the text that stands in the file; NaN is a missing value."""
        write = _WRITE[self.kind]
        return [self.blank if math.isnan(value) else write(self, value) for value in values]

    def settled(self, values: np.ndarray) -> np.ndarray:
        """Real numbers (N,) as values that the column can hold: its decimals, its range, whole codes; NaN stays."""
        rounded = values if self.decimals == AS_NEEDED else np.round(values, self.decimals)
        return np.clip(rounded, self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """As a config holds it; what is at its default is left out."""
        defaults = {f.name: f.default for f in fields(self)}
        return {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in asdict(self).items()
            if v != defaults[k] or k == "name"
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Column:
        """The inverse of ``to_dict``."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return cls(**values)


Schema = tuple[Column, ...]


def learned(schema: Sequence[Column]) -> Schema:
    """The columns of ``Dataset.x``, in its order: all but that of the classes."""
    return tuple(column for column in schema if not column.label)


def rows_of(schema: Sequence[Column], x: np.ndarray, labels: Sequence[str] = ()) -> list[list[str]]:
    """The cells of a table, (N, C) → N rows of text in the order of the file; ``labels`` fill the column of classes."""
    numbers = iter(np.asarray(x, np.float64).T)
    columns = [list(labels) if column.label else column.cells(next(numbers).tolist()) for column in schema]
    return [list(row) for row in zip(*columns, strict=True)]


def csv_text(schema: Sequence[Column], x: np.ndarray, labels: Sequence[str] = ()) -> str:
    """A table (N, C) as the text of a .csv file, in the form of the file that ``schema`` was read from."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in schema])
    writer.writerows(rows_of(schema, x, labels))
    return buffer.getvalue()


def _number(column: Column, value: float) -> str:
    if column.decimals == AS_NEEDED:
        return f"{int(value)}" if column.dtype == "int" else repr(float(value))
    text = f"{value + 0.0:.{max(column.decimals, column.padded)}f}"  # + 0.0: no minus before zero
    while len(text.partition(".")[2]) > column.padded and text[-1] == "0":
        text = text[:-1]
    return text.removesuffix(".")


def _category(column: Column, value: float) -> str:
    return column.categories[int(value)]


def _date(column: Column, value: float) -> str:
    unit = DAY if column.dtype == "date" else datetime.timedelta(seconds=1)
    moment = EPOCH + value * unit
    return moment.strftime(column.format) if moment.year >= 1000 else moment.isoformat()


def instant(text: str, pattern: str, dtype: str) -> float:
    """Days (date) or seconds (datetime) since 1970. Raises ValueError for text of another form."""
    past = datetime.datetime.strptime(text, pattern) - EPOCH
    return past / DAY if dtype == "date" else past.total_seconds()


_WRITE = {"number": _number, "category": _category, "date": _date}
