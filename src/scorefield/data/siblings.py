"""WebDataset's layout: files that differ in their ending only belong together, ``0001.jpg`` with ``0001.cls``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from scorefield.data.files import Files
from scorefield.errors import UserError

# ending → the column that its text is; a .json holds columns of its own
COLUMNS = {".cls": "label", ".txt": "caption", ".caption": "caption"}


def siblings(files: Files, examples: Sequence[str]) -> list[dict[str, str]] | None:
    """For each example what its siblings say, as words by column; None where no example has any.

    Raises ``UserError`` for a ``.json`` that holds no object and for text that is not UTF-8."""
    known = {name for name in files.names if name.endswith((*COLUMNS, ".json"))}
    found = [_row(files, name, known) for name in examples] if known else []
    return found if any(found) else None


def _row(files: Files, name: str, known: set[str]) -> dict[str, str]:
    row: dict[str, str] = {}
    for key in dict.fromkeys((_key(name), name.rpartition(".")[0])):
        if f"{key}.json" in known:
            row |= words_of(_object(files, f"{key}.json"))
        row |= {column: _text(files, key + end).strip() for end, column in COLUMNS.items() if key + end in known}
    return row


def _key(name: str) -> str:
    """WebDataset's key: up to the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _text(files: Files, name: str) -> str:
    try:
        return files.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"'{files.path / name}' is not UTF-8 text ({error}).") from error


def _object(files: Files, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(_text(files, name)))
    except (TypeError, ValueError) as error:
        raise UserError(
            f'\'{files.path / name}\' is not a JSON object. Write one, such as {{"label": 3, "caption": "a cat"}}.'
        ) from error


def words_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The values of a JSON object as the cells of a table: text, '' for null."""
    return {str(key): "" if value is None else str(value) for key, value in row.items()}
