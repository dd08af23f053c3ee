"""The rows of a Hugging Face data set become examples: pictures, sounds or numbers, by the types of its columns."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from scorefield.data.archives import open_archives
from scorefield.data.asking import More
from scorefield.data.cache import cache_folder, cache_key
from scorefield.data.conditions import of_rows
from scorefield.data.dataset import Dataset
from scorefield.data.files import Files, Opener
from scorefield.data.folder import open_folder
from scorefield.data.listing import CAPTION_COLUMNS, LABEL_COLUMNS, Listing
from scorefield.data.sounds import check, open_sounds
from scorefield.data.table import open_table
from scorefield.data.words import count
from scorefield.errors import UserError, suggest

ENDINGS = {"Image": "png", "Audio": "wav"}  # names for what has none; the bytes themselves say what they are
CLASSES = "ClassLabel"
PLAIN = "Value"


@dataclass(frozen=True)
class Encoded:
    """Files that lie as bytes in the rows of a table."""

    path: Path
    names: tuple[str, ...]
    identity: str
    table: Any = field(repr=False)
    column: str = ""

    def has(self, name: str) -> bool:
        return False

    def read(self, name: str) -> bytes:
        raise KeyError(name)

    def stamps(self, names: Sequence[str]) -> list[list[str | int]]:
        return [[self.table._fingerprint, len(self.table)]]

    def each(self, names: Sequence[str]) -> Iterator[Opener]:
        for row in self.table.select_columns([self.column]):
            yield partial(_opened, row[self.column])


def _opened(cell: Mapping[str, Any] | None) -> BinaryIO:
    if cell is None:
        raise FileNotFoundError("an empty cell")
    return io.BytesIO(cell["bytes"]) if cell.get("bytes") is not None else open(cell["path"], "rb")


def dataset_of(table: Any, where: str, more: More, **how: Any) -> Dataset:
    """Rows in memory or on a map (``datasets.Dataset``) as pictures, sounds, or else a table of numbers and words.

    ``how``: size, color, label, condition, strict, cache, progress. Raises ``UserError`` for columns that are not there
    and for options that do not apply."""
    if not len(table):
        raise UserError(f"{where} has no rows.")
    kinds = {name: type(feature).__name__ for name, feature in table.features.items()}
    _check_columns(where, kinds, how)
    name = Path(where.removeprefix("hf:")).name
    for kind, reader in READERS.items():
        column = next((c for c in more.columns or kinds if kinds.get(c) == kind), None)
        if column is not None:
            files, listing = _listed(table, where, column, kinds, how)
            return reader(files, listing, more, name=name, **how)
    return _numbers(table, where, name, kinds, more, **how)


def _check_columns(where: str, kinds: Mapping[str, str], how: Mapping[str, Any]) -> None:
    for option in ("label", "condition"):
        for column in [how[option]] if isinstance(how[option], str) else how[option] or ():
            if column not in kinds:
                raise UserError(f"{where} has no column '{column}' for {option}=.{suggest(column, list(kinds))}")


def _listed(
    table: Any, where: str, column: str, kinds: Mapping[str, str], how: Mapping[str, Any]
) -> tuple[Files, Listing]:
    """The files of a column, and what the other columns say about each."""
    kind = type(table.features[column])
    names = tuple(f"row {i}" for i in range(len(table)))
    encoded = table.cast_column(column, kind(decode=False))
    files = Encoded(Path(where), names, where, encoded, column)
    label, caption = label_column(table.features, how["label"]), caption_column(table.features)
    said = partial(_words, table)
    labels = tuple(word or None for word in said(label)) if label else tuple(None for _ in names)
    captions = tuple(said(caption)) if caption else None
    condition = tuple(how["condition"] or ())
    columns = {c: said(c) for c in condition}
    rows = [{c: columns[c][i] for c in condition} for i in range(len(names))] if condition else []
    numbers = of_rows(rows, condition, Path(where)) if condition else None
    return files, Listing(names, labels, captions, (), (), numbers, condition)


def label_column(features: Mapping[str, Any], asked: str | None) -> str | None:
    """The column of classes: what was asked for, one that is called so, or the first that the data set says is one."""
    typed = [name for name, feature in features.items() if type(feature).__name__ == CLASSES]
    called = [name for name in (*LABEL_COLUMNS, "labels") if type(features.get(name)).__name__ in (CLASSES, PLAIN)]
    return asked or next(iter([*(name for name in called if name in typed), *typed, *called]), None)


def caption_column(features: Mapping[str, Any]) -> str | None:
    """The column of captions: words, one text or a list of them for each example."""
    return next((name for name in (*CAPTION_COLUMNS, "captions") if name in features), None)


def _words(table: Any, column: str) -> list[str]:
    """A column as text: classes by name, of several texts the first, '' for nothing."""
    names = getattr(table.features[column], "names", None)
    return [_word(cell, names) for cell in table[column]]


def _word(cell: Any, names: Sequence[str] | None) -> str:
    cell = (cell[0] if cell else None) if isinstance(cell, list) else cell
    if cell is None or (names and cell == -1):
        return ""
    return names[cell] if names and isinstance(cell, int) else str(cell)


def _pictures(files: Files, listing: Listing, more: More, **how: Any) -> Dataset:
    replace(more, columns=None).refuse("images", "split", "config", "streaming", "examples")
    return open_folder(files, listing=listing, **how)


def _sounds(files: Files, listing: Listing, more: More, *, size: int | None, color: str, **how: Any) -> Dataset:
    if size is not None or color != "auto":
        raise UserError("size= and color= do not apply to sounds. Leave them out.")
    check(more.rate, more.seconds)
    return open_sounds(files, listing=listing, rate=more.rate, seconds=more.seconds, **how)


READERS: dict[str, Callable[..., Dataset]] = {"Image": _pictures, "Audio": _sounds}


def _numbers(
    table: Any,
    where: str,
    name: str,
    kinds: Mapping[str, str],
    more: More,
    *,
    size: int | None,
    color: str,
    label: str | None,
    condition: tuple[str, ...] | None,
    strict: bool,
    **how: Any,
) -> Dataset:
    """Columns of plain numbers and words, by way of a Parquet file, as a user's own table is read."""
    if size is not None or color != "auto" or more.rate or more.seconds:
        raise UserError(f"{where} holds neither images nor sounds, so size, color, rate and seconds do not apply.")
    label = label or next((c for c, kind in kinds.items() if kind == CLASSES), None)
    plain = [c for c, kind in kinds.items() if kind in (PLAIN, CLASSES) and c in (more.columns or kinds)]
    if not plain:
        kept = ", ".join(f"{c} ({kind})" for c, kind in kinds.items())
        raise UserError(f"{where} has no column of images, sounds, numbers or words. Its columns: {kept}.")
    plain = list(dict.fromkeys([*plain, *([label] if label else []), *(condition or ())]))
    left_out = [c for c in kinds if c not in plain and not more.columns]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.parquet"
        _write_parquet(table.select_columns(plain), path)
        try:
            dataset = open_table(path, label=label, columns=more.columns, strict=strict, condition=condition)
        except UserError as error:
            raise UserError(str(error).replace(f"'{path}'", where)) from None
    notes = (f"Left out: {', '.join(left_out)}.",) if left_out else ()
    return replace(dataset, name=name, notes=(*dataset.notes, *notes))


def _write_parquet(table: Any, path: Path) -> None:
    """With the names of classes in the place of their numbers."""
    import pyarrow
    from pyarrow import parquet

    arrow = table.with_format("arrow")[:]
    for i, column in enumerate(table.column_names):
        names = getattr(table.features[column], "names", None)
        if names:
            words = [names[k.as_py()] if k.is_valid and k.as_py() >= 0 else None for k in arrow.column(column)]
            arrow = arrow.set_column(i, column, pyarrow.array(words, pyarrow.string()))
    parquet.write_table(arrow.replace_schema_metadata(None), path)


def read_front(
    where: str, load: Callable[[], Any], part: tuple[str | None, str], examples: int, more: More, **how: Any
) -> Dataset:
    """The first ``examples`` of a stream, kept as one WebDataset archive in the cache folder and read from there, so
    that the network is needed once. Raises ``UserError`` for a stream without pictures and sounds."""
    path = cache_folder() / f"stream-{cache_key(where, part, examples)}.tar"
    if not path.is_file():
        _spool(where, load(), examples, path, how["progress"])
    files, broken = open_archives(path, [path])
    how |= {"name": Path(where.removeprefix("hf:")).name, "broken": broken}
    sound = any(name.endswith(".wav") for name in files.names)
    dataset = _sounds_in(files, more, **how) if sound else open_folder(files, **how)
    total = len(dataset) + len(dataset.broken)
    size = path.stat().st_size / 1e6
    note = f"The first {count(total, 'example')} of the stream are kept in the cache folder ({size:.0f} MB)."
    return replace(dataset, notes=(note, *dataset.notes))


def _sounds_in(files: Files, more: More, *, size: int | None, color: str, **how: Any) -> Dataset:
    return open_sounds(files, rate=more.rate, seconds=more.seconds, **how)


def _spool(where: str, stream: Any, examples: int, path: Path, progress: Any) -> None:
    """Encoded bytes with what the other columns say, into an archive that is renamed when it is whole."""
    features = stream.features or {}
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    column = next((name for kind in ENDINGS for name, own in kinds.items() if own == kind), None)
    if column is None:
        raise UserError(
            f"{where} has no column of images or sounds, and only those are streamed. Leave streaming=yes out."
        )
    ending = ENDINGS[kinds[column]]
    label, caption = label_column(features, None), caption_column(features)
    stream = stream.cast_column(column, type(features[column])(decode=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with tarfile.open(part, "w") as archive:
            for i, row in enumerate(islice(stream, examples)):
                with _opened(row[column]) as file:
                    _add(archive, f"{i:08d}.{ending}", file.read())
                told = {
                    c: _word(row[c], getattr(features[c], "names", None)) for c in kinds if kinds[c] in (PLAIN, CLASSES)
                }
                told |= {"label": told[label]} if label else {}
                told |= {"caption": _word(row[caption], None)} if caption else {}
                _add(archive, f"{i:08d}.json", json.dumps(told).encode())
                if progress is not None:
                    progress(i + 1, examples)
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
