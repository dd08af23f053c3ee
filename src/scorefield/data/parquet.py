"""Tables in Parquet, in and out, with their types. pyarrow is imported here alone, and only when a file needs it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scorefield.data.schema import Column
from scorefield.errors import UserError

# Types that are written back under their own name; columns of others are written as what they hold.
_ALIASES = frozenset(
    {"bool", "string", "large_string", "float", "double", "date32[day]", "date64[ms]"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    | {f"timestamp[{unit}]" for unit in ("s", "ms", "us", "ns")}
)
_NATURAL = {"int": "int64", "float": "double", "text": "string", "bool": "bool", "date": "date32[day]"}


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError('.parquet files need pyarrow, which is not installed: pip install "scorefield[data]"') from None
    return pyarrow


def read(path: Path) -> tuple[tuple[str, ...], list[list[str]], tuple[str, ...], frozenset[int]]:
    """(names, rows of text with "" for null, types, indices of columns of words). Raises UserError for a file that is
    damaged or empty, columns of nested types, and where pyarrow is missing."""
    pa = _pyarrow()
    try:
        table = pa.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"'{path}' cannot be read as Parquet ({error}). Write or copy it again.") from error
    if not table.num_columns:
        raise UserError(f"'{path}' is empty. It needs a row for each example.")
    columns, types, wordy = [], [], set()
    for index, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        write = next((write for fits, write in _texts(pa) if fits(kind)), None)
        if write is None:
            others = ",".join(other for other in table.column_names if other != name)
            raise UserError(
                f"'{path}': column '{name}' is of type {kind}, which is no cell. Leave it out: columns={others}."
            )
        columns.append(["" if value is None else write(value) for value in column.to_pylist()])
        types.append(str(column.type) if str(column.type) in _ALIASES else "other")
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
            wordy.add(index)
    rows = [list(row) for row in zip(*columns, strict=True)]
    return tuple(table.column_names), rows, tuple(types), frozenset(wordy)


def _texts(pa: Any) -> tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...]:
    """(whether a type is of this kind, how its values become text)."""
    return (
        (pa.types.is_float32, lambda value: str(np.float32(value))),
        (pa.types.is_timestamp, lambda value: value.strftime("%Y-%m-%d %H:%M:%S.%f")),
        (lambda t: pa.types.is_date(t) or pa.types.is_integer(t) or pa.types.is_floating(t), str),
        (lambda t: pa.types.is_decimal(t) or pa.types.is_boolean(t) or pa.types.is_null(t), str),
        (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), str),
    )


def parquet_bytes(schema: Sequence[Column], x: np.ndarray, labels: Sequence[str] = ()) -> bytes:
    """Rows (N, C) as a Parquet file with the names and types of ``schema``; ``labels`` fill the column of classes.

    Raises UserError where pyarrow is missing."""
    pa = _pyarrow()
    numbers = iter(np.asarray(x, np.float64).T)
    arrays = [
        _array(pa, column, list(labels))
        if column.label
        else _array(pa, column, _values(column, next(numbers).tolist()))
        for column in schema
    ]
    buffer = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table(arrays, names=[column.name for column in schema]), buffer)
    return buffer.getvalue().to_pybytes()


def _values(column: Column, numbers: list[float]) -> list[Any]:
    make = _MAKE[column.dtype]
    return [None if number != number else make(column, number) for number in numbers]


_EPOCH = datetime.datetime(1970, 1, 1)
_MAKE: dict[str, Callable[[Column, float], Any]] = {
    "int": lambda column, number: int(number),
    "float": lambda column, number: number,
    "text": lambda column, number: column.categories[int(number)],
    "bool": lambda column, number: column.categories[int(number)].lower() == "true",
    "date": lambda column, number: (_EPOCH + datetime.timedelta(days=number)).date(),
    "datetime": lambda column, number: _EPOCH + datetime.timedelta(seconds=number),
}


def _array(pa: Any, column: Column, values: list[Any]) -> Any:
    natural = _NATURAL.get(column.dtype, "timestamp[us]")
    wanted = column.stored if column.stored in _ALIASES else natural
    made = pa.array(values, pa.type_for_alias(natural))
    return made if wanted == natural else made.cast(pa.type_for_alias(wanted))
