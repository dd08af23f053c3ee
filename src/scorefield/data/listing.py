"""Which files are examples, and what lies beside them says about them: classes, captions and conditions."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from scorefield.data.conditions import of_rows
from scorefield.data.dataset import Broken
from scorefield.data.files import Files, Folder
from scorefield.data.siblings import siblings, words_of
from scorefield.data.words import count, in_order
from scorefield.errors import UserError, suggest


@dataclass(frozen=True)
class Wanted:
    """What kind of example is looked for."""

    singular: str
    endings: tuple[str, ...]

    @property
    def plural(self) -> str:
        """``images``."""
        return f"{self.singular}s"


IMAGES = ("png", "jpg", "jpeg", "webp", "avif", "bmp", "tif", "tiff", "gif", "ppm", "pgm")
SOUNDS = ("wav", "flac", "ogg", "oga", "opus", "aif", "aiff")
PICTURES, RECORDINGS = Wanted("image", IMAGES), Wanted("sound", SOUNDS)
METADATA = ("metadata.csv", "metadata.jsonl")
FILE_COLUMNS = ("file_name", "file")
LABEL_COLUMNS = ("label", "class")
CAPTION_COLUMNS = ("caption", "text")
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
READABLE = (".npz", ".npy", ".csv", ".tsv")


@dataclass(frozen=True)
class Listing:
    """File names relative to the folder, sorted, and for each its class name (None: no class) and caption."""

    files: tuple[str, ...]
    labels: tuple[str | None, ...]
    captions: tuple[str, ...] | None = None
    missing: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    conditions: Tensor | None = None  # (N, V) float32
    condition_names: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order; one class for everything says nothing, so fewer than two count as none."""
        names = in_order(label for label in self.labels if label is not None)
        return names if len(names) > 1 else ()


def folder_files(folder: Path) -> Folder:
    """Every visible file below ``folder``, sorted."""
    return Folder(folder, tuple(sorted(_walk(folder))))


def list_files(files: Files, what: Wanted, label: str | None, condition: tuple[str, ...] | None = None) -> Listing:
    """Which files are examples, and their classes, captions and conditions: from ``metadata.csv`` or ``.jsonl``, else
    from files of the same name that end in ``.cls``, ``.json`` and ``.txt``, else classes from first-level folders.

    Raises ``UserError`` where there are no examples (saying what was found instead) and for unusable metadata.
    """
    examples = tuple(name for name in files.names if name.rpartition(".")[2].lower() in what.endings)
    if not examples:
        raise UserError(_nothing_in(files, what))
    for name in METADATA:
        if files.has(name):
            return _with_metadata(files, name, examples, what, label, condition or ())
    listing = _by_folder(examples, what)
    rows = siblings(files, examples)
    if rows is not None:
        return _described(files, listing, rows, label, condition or ())
    if label is not None:
        raise UserError(
            f"label={label} needs a {METADATA[0]} or {METADATA[1]} in '{files.path}', and there is none. "
            "Without one, classes are the names of the first-level folders: leave label= out."
        )
    if condition:
        raise UserError(
            f"condition={','.join(condition)} needs a {METADATA[0]} or {METADATA[1]} in '{files.path}' with these "
            "columns, and there is none."
        )
    return listing


def _walk(folder: Path) -> Iterator[str]:
    """Every visible file below, as a path with forward slashes; linked folders are followed once."""
    seen = set()
    for top, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in files:
            if not name.startswith("."):
                yield Path(top, name).relative_to(folder).as_posix()


def _nothing_in(files: Files, what: Wanted) -> str:
    below = len({name.rpartition("/")[0] for name in files.names if "/" in name})
    where = f" and {count(below, 'folder')} below" if below else ""
    kinds = Counter(Path(name).suffix.lower() or "nameless" for name in files.names)
    found = (
        ", ".join(f"{number:,} {kind} file{'s' * (number > 1)}" for kind, number in kinds.most_common(3)) or "nothing"
    )
    text = f"'{files.path}' has no {what.plural}. Looked for {', '.join(what.endings)} in it{where}; found {found}."
    readable = next((name for name in files.names if name.lower().endswith(READABLE)), None)
    if readable is None:
        return text
    return f"{text} To train on a file, name the file itself: '{files.path / readable}'."


def _by_folder(examples: tuple[str, ...], what: Wanted) -> Listing:
    labels = tuple(name.split("/")[0] if "/" in name else None for name in examples)
    names = {label for label in labels if label is not None}
    notes = []
    if len(names) == 1 and None not in labels:
        every = f"All {what.plural} lie in one folder"
        notes.append(f"{every}, '{next(iter(names))}', so they carry no class.")
    if len(names) > 1 and None in labels:
        notes.append(f"{count(labels.count(None), what.singular)} directly in the folder carry no class.")
    if len(names) > 1 and {name.lower() for name in names} <= SPLITS:
        notes.append(
            f"The classes {', '.join(sorted(names))} look like a split of the data. "
            "To train on one of them alone, give that folder."
        )
    return Listing(examples, labels, notes=tuple(notes))


def _with_metadata(
    files: Files, name: str, examples: tuple[str, ...], what: Wanted, label: str | None, condition: tuple[str, ...]
) -> Listing:
    path = files.path / name
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}[path.suffix](path, _text(files, name, path))
    if not rows:
        raise UserError(f"'{path}' has no rows. It needs a line for each {what.singular}, or can be deleted.")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    file_column = _first(FILE_COLUMNS, columns)
    if file_column is None:
        raise UserError(f"'{path}' has no column 'file_name' (or 'file'). Its columns: {', '.join(columns)}.")
    _check_label(label, columns, path)
    described = {Path(row.get(file_column, "")).as_posix(): row for row in rows}
    there = set(filter(files.has, described))
    if not there:
        raise UserError(
            f"'{path}' names {count(len(described), 'file')}, none of which exists; first: {min(described)!r}."
        )
    # In the order of the files; those that listing skips (hidden ones, other endings) come last.
    present = (*(n for n in files.names if n in there), *sorted(there.difference(files.names)))
    missing = tuple(Broken(file, f"is named in {name} but does not exist") for file in sorted(described.keys() - there))
    unnamed = len(set(examples) - there)
    notes = (f"{count(unnamed, what.singular)} not named in {name} left out.",) if unnamed else ()
    listing = Listing(present, _by_folder(present, what).labels, None, missing, notes)
    return _described(files, listing, [described[file] for file in present], label, condition, path)


def _described(
    files: Files,
    listing: Listing,
    rows: list[dict[str, str]],
    label: str | None,
    condition: tuple[str, ...],
    path: Path | None = None,
) -> Listing:
    """With what a row of words says about each of its files."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    where = path or files.path
    _check_label(label, columns, where)
    label_column = label or _first(LABEL_COLUMNS, columns)
    caption_column = _first(CAPTION_COLUMNS, columns)
    labels = tuple(row.get(label_column) or None for row in rows) if label_column else listing.labels
    captions = tuple(row.get(caption_column, "") for row in rows) if caption_column else None
    numbers = of_rows(rows, condition, where) if condition else None
    return replace(listing, labels=labels, captions=captions, conditions=numbers, condition_names=condition)


def _check_label(label: str | None, columns: list[str], where: Path) -> None:
    if label is not None and label not in columns:
        raise UserError(f"'{where}' has no column '{label}' for label=.{suggest(label, columns)}")


def _text(files: Files, name: str, path: Path) -> str:
    try:
        return files.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8 text ({error}).") from error


def _first(wanted: tuple[str, ...], columns: list[str]) -> str | None:
    return next((name for name in wanted if name in columns), None)


def _csv_rows(path: Path, text: str) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), restval="", restkey=""))
    except csv.Error as error:
        raise UserError(f"'{path}' cannot be read as a CSV file ({error}).") from error
    return [{key.strip(): str(value).strip() for key, value in row.items() if key} for row in rows]


def _json_rows(path: Path, text: str) -> list[dict[str, str]]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = dict(json.loads(line))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"'{path}', line {number} is not a JSON object. "
                'Write one per line, such as {"file_name": "cat.png", "label": "cat"}.'
            ) from error
        rows.append(words_of(row))
    return rows
