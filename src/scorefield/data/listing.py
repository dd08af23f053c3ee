"""Which files of a folder are examples, and what the folder says about them: classes and captions."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scorefield.data.dataset import Broken
from scorefield.data.words import count, in_order
from scorefield.errors import UserError, suggest

IMAGES = ("png", "jpg", "jpeg", "webp", "avif", "bmp", "tif", "tiff", "gif", "ppm", "pgm")
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

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order; one class for everything says nothing, so fewer than two count as none."""
        names = in_order(label for label in self.labels if label is not None)
        return names if len(names) > 1 else ()


def list_folder(folder: Path, label: str | None) -> Listing:
    """What a folder of images holds; classes come from ``metadata.csv`` or ``.jsonl``, else from first-level folders.

    Raises ``UserError`` for a folder without images (saying what was found instead) and for unusable metadata.
    """
    files = tuple(sorted(_walk(folder)))
    images = tuple(name for name in files if name.rpartition(".")[2].lower() in IMAGES)
    if not images:
        raise UserError(_nothing_in(folder, files))
    for name in METADATA:
        if (folder / name).is_file():
            return _with_metadata(folder, name, images, label)
    if label is not None:
        raise UserError(
            f"label={label} needs a {METADATA[0]} or {METADATA[1]} in '{folder}', and there is none. "
            "Without one, classes are the names of the first-level folders: leave label= out."
        )
    return _by_folder(images)


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


def _nothing_in(folder: Path, files: tuple[str, ...]) -> str:
    below = len({name.rpartition("/")[0] for name in files if "/" in name})
    where = f" and {count(below, 'folder')} below" if below else ""
    kinds = Counter(Path(name).suffix.lower() or "nameless" for name in files)
    found = (
        ", ".join(f"{number:,} {kind} file{'s' * (number > 1)}" for kind, number in kinds.most_common(3)) or "nothing"
    )
    text = f"'{folder}' has no images. Looked for {', '.join(IMAGES)} in it{where}; found {found}."
    readable = next((name for name in files if name.lower().endswith(READABLE)), None)
    return text if readable is None else f"{text} To train on a file, name the file itself: '{folder / readable}'."


def _by_folder(images: tuple[str, ...]) -> Listing:
    labels = tuple(name.split("/")[0] if "/" in name else None for name in images)
    names = {label for label in labels if label is not None}
    notes = []
    if len(names) == 1 and None not in labels:
        notes.append(f"All images lie in one folder, '{next(iter(names))}', so they carry no class.")
    if len(names) > 1 and None in labels:
        notes.append(f"{count(labels.count(None), 'image')} directly in the folder carry no class.")
    if len(names) > 1 and {name.lower() for name in names} <= SPLITS:
        notes.append(
            f"The classes {', '.join(sorted(names))} look like a split of the data. "
            "To train on one of them alone, give that folder."
        )
    return Listing(images, labels, notes=tuple(notes))


def _with_metadata(folder: Path, name: str, images: tuple[str, ...], label: str | None) -> Listing:
    path = folder / name
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}[path.suffix](path)
    if not rows:
        raise UserError(f"'{path}' has no rows. It needs a line for each image, or can be deleted.")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    file_column = _first(FILE_COLUMNS, columns)
    if file_column is None:
        raise UserError(f"'{path}' has no column 'file_name' (or 'file'). Its columns: {', '.join(columns)}.")
    if label is not None and label not in columns:
        raise UserError(f"'{path}' has no column '{label}' for label=.{suggest(label, columns)}")
    label_column = label or _first(LABEL_COLUMNS, columns)
    caption_column = _first(CAPTION_COLUMNS, columns)
    described = {Path(row.get(file_column, "")).as_posix(): row for row in rows}
    present = tuple(sorted(file for file in described if (folder / file).is_file()))
    if not present:
        raise UserError(
            f"'{path}' names {count(len(described), 'file')}, none of which exists; first: {min(described)!r}."
        )
    missing = tuple(
        Broken(file, f"is named in {name} but does not exist") for file in sorted(described.keys() - set(present))
    )
    unnamed = len(set(images) - set(present))
    notes = (f"{count(unnamed, 'image')} not named in {name} left out.",) if unnamed else ()
    labels = tuple(described[file].get(label_column) or None for file in present) if label_column else None
    captions = tuple(described[file].get(caption_column, "") for file in present) if caption_column else None
    return Listing(present, labels or _by_folder(present).labels, captions, missing, notes)


def _first(wanted: tuple[str, ...], columns: list[str]) -> str | None:
    return next((name for name in wanted if name in columns), None)


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval="", restkey=""))
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' cannot be read as a CSV file in UTF-8 ({error}).") from error
    return [{key.strip(): str(value).strip() for key, value in row.items() if key} for row in rows]


def _json_rows(path: Path) -> list[dict[str, str]]:
    rows = []
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8 text ({error}).") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = dict(json.loads(line))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"'{path}', line {number} is not a JSON object. "
                'Write one per line, such as {"file_name": "cat.png", "label": "cat"}.'
            ) from error
        rows.append({key: "" if value is None else str(value) for key, value in row.items()})
    return rows
