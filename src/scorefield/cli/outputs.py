"""Files a command was asked to write: never over something that is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scorefield.errors import UserError


def new_file(out: str | None, endings: Sequence[str]) -> Path | None:
    """The path ``out``, checked before any work: it does not exist, its folder does, its ending is one of these.

    None stays None. Raises UserError with a name that is free."""
    if out is None:
        return None
    path = Path(out).expanduser()
    if path.suffix.lower() not in endings:
        known = ", ".join(filter(None, endings))
        example = path.with_suffix(endings[0])
        raise UserError(f"out={out} should end in {known}: the ending says what to write. For example out={example}")
    if path.exists():
        raise UserError(f"{path} exists and is not overwritten. Write out={free_file(path)}, or remove it first.")
    if not path.parent.is_dir():
        raise UserError(f"The folder {path.parent} of out={out} does not exist. Make it first: mkdir -p {path.parent}")
    return path


def free_file(path: Path, endings: Sequence[str] = ()) -> Path:
    """``path``, or the first of name-2, name-3 … beside it that is free, with each of ``endings``."""
    number = 2
    candidate = path
    while any(candidate.with_suffix(ending).exists() for ending in endings or (path.suffix,)):
        candidate = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return candidate
