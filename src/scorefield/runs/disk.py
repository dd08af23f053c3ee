"""Reading and writing the files of a run: what a kill at any instant, or a full disk, leaves can be read."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scorefield.errors import UserError
from scorefield.show.files import write_aside

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a full or closed disk into a sentence; other errors pass unchanged.

    Raises UserError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(
                f"The disk is full: {path} could not be written. Everything saved before stands; "
                "free some space and give the same command again."
            ) from error
        if error.errno in _CLOSED:
            raise UserError(f"{path} may not be written ({error.strerror}). Choose a folder that is yours.") from error
        raise


def writer_of(path: Path, writers: dict[str, Any]) -> Any:
    """What writes ``path``, by its ending. Raises UserError where the path exists or the ending is not known."""
    if path.exists():
        raise UserError(f"{path} exists and is not overwritten. Choose another name, or remove it first.")
    if path.suffix.lower() not in writers:
        known = ", ".join(ending for ending in writers if ending)
        raise UserError(f"{path} ends in {path.suffix!r}, which says nothing about the format. Known: {known}.")
    return writers[path.suffix.lower()]


def append(path: Path, line: str) -> None:
    """Add one line; a torn last line is what a kill leaves at worst, and ``read_lines`` skips it."""
    with explained(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def write_json(path: Path, value: Any) -> Path:
    """JSON indented for people, replaced as a whole."""
    return write_aside(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, default: Any = None) -> Any:
    """The value in ``path``, or ``default`` where there is no file or it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return default


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file in order; a torn or foreign line is skipped, no file is an empty list."""
    records = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        records += [record] if isinstance(record, dict) else []
    return records
