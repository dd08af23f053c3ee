"""A text file becomes examples: windows of one document, or one example a line."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorefield.data import cache
from scorefield.data.alphabet import ENDED, Bytes, Characters
from scorefield.data.dataset import Dataset, hold_out
from scorefield.data.rows import Lazy
from scorefield.data.tokenizer import Tokens, ids
from scorefield.data.words import count
from scorefield.errors import UserError, suggest
from scorefield.registry import to_config

ENDINGS = (".txt", ".txt.gz")
HELD_OUT = 0.1  # of a document: its end
USUAL, SHORTEST = 128, 8  # lengths of a window, unless told otherwise
FEWEST = 20  # windows side by side, for the usual length
MOST_CHARACTERS = 256  # distinct ones; a text with more is read as bytes
LISTED, SHORT = 100, 64  # lines that a list has at least, and characters that none of them is longer than
LONGEST_LINE = 512  # characters, unless told otherwise
FITTING = 0.95  # share of the lines that the chosen length holds whole
LARGEST = 2**31  # bytes of a document


@dataclass(frozen=True)
class Written:
    """A text in numbers: one array of the whole document, or one a line; what a number is called; and the codec."""

    parts: list[np.ndarray]
    unit: str
    codec: Any
    notes: tuple[str, ...] = ()

    @property
    def distinct(self) -> int:
        """How many different numbers occur."""
        return len(np.unique(np.concatenate(self.parts)))


def is_text(name: str) -> bool:
    """Whether a source is a text file by its name."""
    return name.lower().endswith(ENDINGS)


def read_text(path: Path) -> str:
    """The text in a ``.txt`` or ``.txt.gz`` file, lines ending in a line feed alone.

    Raises ``UserError`` for a file that is absent, empty, damaged or not UTF-8."""
    if not path.is_file():
        raise UserError(f"'{path}' does not exist.")
    text, _ = _text(path, _content(path))
    if not text.strip():
        raise UserError(f"'{path}' is empty. It needs a text.")
    return text


def open_text(
    path: Path,
    *,
    length: int | None = None,
    lines: bool = False,
    codec: str | None = None,
    stride: int | None = None,
    holdout: float | None = None,
    seed: int = 0,
) -> Dataset:
    """A ``.txt`` or ``.txt.gz`` file as int64 (N, L), kind "text": windows of ``length``, one every ``stride`` (None:
    every place), of one document, the last tenth (``holdout``) of which is held out as windows side by side; or, with
    ``lines``, every line that is not empty, ``ENDED`` after its end.

    ``codec`` is "characters" (code points), "bytes" (UTF-8), or the JSON file of a tokenizer; None: characters, or
    bytes where there are more than 256 different ones. The codec with its alphabet is ``Dataset.coded``. Raises
    ``UserError`` for an empty or damaged file, one that is shorter than a window, and one that is not UTF-8.
    """
    if not path.is_file():
        raise UserError(f"'{path}' does not exist.")
    written = _written(path, codec, lines)
    how: dict[str, Any] = {"name": path.name.split(".")[0], "kind": "text", "source": str(path)}
    how["coded"] = to_config(written.codec)
    if lines:
        if stride is not None:
            raise UserError("stride= is for windows of a document; with lines=yes every line is an example.")
        return hold_out(_lines(path, written, length, how), holdout, seed)
    return _document(path, written, length, stride, holdout, how)


def _written(path: Path, codec: str | None, lines: bool) -> Written:
    content = _content(path)
    if not content.strip():
        raise UserError(f"'{path}' is empty. It needs a text to learn from.")
    word = codec or "auto"
    write = WRITERS.get(word, _tokens if word.lower().endswith(".json") else None)
    if write is None:
        raise UserError(f"codec={word} is not known, and no .json file of a tokenizer.{suggest(word, WRITERS)}")
    return write(path, content, word, lines)


def _content(path: Path) -> bytes:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' is damaged ({error}). Get or pack it again.") from error
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror or error}).") from error
    if len(content) > LARGEST:
        raise UserError(f"'{path}' holds more than {LARGEST >> 30} GiB of text. Give a part of it.")
    return content


def _text(path: Path, content: bytes) -> tuple[str, tuple[str, ...]]:
    """As characters, lines ending in a line feed alone."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"'{path}' is not UTF-8 text: byte 0x{content[error.start]:02x} in line {line:,} cannot be read. "
            "Save it as UTF-8, or write codec=bytes."
        ) from error
    plain = text.replace("\r\n", "\n")
    return plain, ("Line ends of Windows became plain ones.",) * (plain != text)


def _rows(text: str, lines: bool) -> list[str]:
    return [line for line in text.split("\n") if line] if lines else [text]


def _characters(path: Path, content: bytes, word: str, lines: bool) -> Written:
    text, notes = _text(path, content)
    parts = [np.frombuffer(row.encode("utf-32-le"), np.int32) for row in _rows(text, lines)]
    found = np.unique(np.concatenate(parts))
    if word == "auto" and len(found) > MOST_CHARACTERS:
        said = f"It has {len(found):,} different characters, so it is read as bytes; codec=characters keeps them."
        as_bytes = _bytes(path, content, word, lines)
        return replace(as_bytes, notes=(*as_bytes.notes, said))
    if len(found) + lines < 2:
        raise UserError(f"'{path}' repeats one character, {chr(found[0])!r}. There is nothing to learn from it.")
    return Written(parts, "character", Characters("".join(map(chr, found)), lines), notes)


def _bytes(path: Path, content: bytes, word: str, lines: bool) -> Written:
    rows = [row for row in content.split(b"\n") if row] if lines else [content]
    return Written([np.frombuffer(row, np.uint8) for row in rows], "byte", Bytes(lines))


def _tokens(path: Path, content: bytes, word: str, lines: bool) -> Written:
    text, notes = _text(path, content)
    codec = Tokens.read(word, lines)
    parts = [ids(codec, row).numpy() for row in _rows(text, lines)]
    back = codec.text(torch.from_numpy(parts[0]).long()[None])[0]
    if back != _rows(text, lines)[0]:
        notes += ("This tokenizer does not give back every text as it was: spaces, case or rare signs may differ.",)
    return Written(parts, "token", codec, notes)


WRITERS: dict[str, Callable[[Path, bytes, str, bool], Written]] = {
    "auto": _characters,
    "characters": _characters,
    "bytes": _bytes,
}


class Windows:
    """Windows of a document (T,), N of them, none copied before it is asked for."""

    def __init__(self, document: Tensor, length: int, starts: np.ndarray) -> None:
        self.windows, self.starts = document.unfold(0, length, 1), starts

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, L)."""
        return len(self.starts), self.windows.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """int64."""
        return torch.int64

    def read(self, rows: np.ndarray) -> Tensor:
        """(B,) window numbers → (B, L) int64."""
        return self.windows[torch.from_numpy(self.starts[rows])].long()


def _document(
    path: Path, written: Written, length: int | None, stride: int | None, holdout: float | None, how: dict[str, Any]
) -> Dataset:
    units, (document,) = f"{written.unit}s", written.parts
    total = len(document)
    length = _fitting(path, total, units) if length is None else length
    if total < length:
        raise UserError(f"'{path}' holds {total:,} {units}, fewer than length={length}. Write a smaller length.")
    cut = total - _aside(path, total, length, units, holdout)
    if cut < length:
        raise UserError(
            f"holdout={holdout or HELD_OUT} of '{path}' leaves {cut:,} {units}, less than one window of {length}. "
            "Write a smaller holdout or length."
        )
    values = torch.from_numpy(document.copy() if not document.flags.writeable else document)
    digest = hashlib.blake2b(document.tobytes(), digest_size=16).hexdigest()

    def part(begin: int, end: int, every: int, mark: str) -> Dataset:
        starts = np.arange(begin, end - length + 1, every)
        lazy = Lazy(Windows(values, length, starts))
        large = len(starts) * length * 8 > cache.IN_MEMORY
        key = f"{digest}/{length}/{every}/{cut}/{mark}" if large else None
        return Dataset(x=lazy.as_tensor() if large else lazy[:], key=key, **how)

    train, last = part(0, cut, stride or 1, "train"), total - cut
    every = "one beginning at every" if not stride or stride == 1 else f"one every {stride}"
    where = f"{written.unit}" if not stride or stride == 1 else units
    notes = (
        f"{total:,} {units}, {written.distinct:,} of them different, became {count(len(train), 'window')} of {length}, "
        f"{every} {where}.",
    )
    notes += _listed(document, written.unit)
    if not last:
        return replace(train, notes=(*written.notes, *notes))
    held_out = replace(part(cut, total, length, "held-out"), name=f"{how['name']} (held out)")
    said = f"Held out: the last {last:,} {units}, {count(len(held_out), 'window')} side by side."
    return replace(train, notes=(*written.notes, *notes, said), held_out=held_out)


def _listed(document: np.ndarray, unit: str) -> tuple[str, ...]:
    """What to say of a document that looks like a list: many lines, all of them short and none empty."""
    if unit == "token":
        return ()
    sizes = np.diff(np.flatnonzero(document == ord("\n")), prepend=-1) - 1
    if len(sizes) < LISTED or not 0 < sizes.min() <= sizes.max() <= SHORT:
        return ()
    return (f"It looks like a list of {len(sizes):,} lines: lines=yes makes every line an example.",)


def _fitting(path: Path, total: int, units: str) -> int:
    """The usual length, or less where there are few windows of it."""
    if total < 2 * SHORTEST:
        raise UserError(f"'{path}' holds {total:,} {units}, too few to learn from. It needs {2 * SHORTEST} or more.")
    length = USUAL
    while length > SHORTEST and total < FEWEST * length:
        length //= 2
    return length


def _aside(path: Path, total: int, length: int, units: str, holdout: float | None) -> int:
    """How many of the document's last numbers are held out: whole windows, unless somebody said."""
    if holdout is not None and not 0 <= holdout < 1:
        raise UserError(f"holdout is a fraction, at least 0 and below 1, got {holdout}. holdout=0.1 is usual.")
    wanted = math.ceil(round(total * (HELD_OUT if holdout is None else holdout), 6))
    if wanted >= length or not wanted:
        return wanted
    if holdout is not None:
        raise UserError(
            f"holdout={holdout} of the {total:,} {units} of '{path}' is less than one window of {length}. "
            f"Write at least holdout={-(-100 * length // total) / 100:g}, a smaller length, or holdout=0."
        )
    return length if total >= 4 * length else 0


def _lines(path: Path, written: Written, length: int | None, how: dict[str, Any]) -> Dataset:
    sizes = np.array([len(part) for part in written.parts])
    if length is None:
        longest = int(sizes.max())
        length = longest if longest <= LONGEST_LINE else int(np.quantile(sizes, FITTING))
    kept = np.flatnonzero(sizes <= length)
    if not len(kept):
        raise UserError(
            f"Every line of '{path}' is longer than length={length}: the shortest has {sizes.min():,} {written.unit}s."
        )
    x = np.full((len(kept), length), ENDED, np.int64)
    for row, i in enumerate(kept):
        x[row, : sizes[i]] = written.parts[i]
    shown = f"{count(len(kept), 'line')} of up to {count(int(sizes[kept].max()), written.unit)}"
    left_out = len(sizes) - len(kept)
    longer = (f"{count(left_out, 'line')} longer than {length} left out; length= takes them in.",) if left_out else ()
    notes = (*written.notes, f"{shown}, {written.distinct:,} different {written.unit}s, one example each.", *longer)
    return Dataset(x=torch.from_numpy(x), notes=notes, **how)
