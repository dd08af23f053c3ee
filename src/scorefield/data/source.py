"""One function opens everything: the kind of source is read off its name, and off nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scorefield.data.arrays import open_array, open_npy, open_npz
from scorefield.data.asking import More
from scorefield.data.dataset import Dataset, Progress, hold_out
from scorefield.data.embedded import EMBEDDED
from scorefield.data.huggingface import is_hub, open_hub
from scorefield.data.layouts import Layout, adjust
from scorefield.data.listing import IMAGES, SOUNDS
from scorefield.data.palette import PALETTE, as_categories, palette_in
from scorefield.data.table import open_table
from scorefield.data.text import is_text, open_text
from scorefield.data.trees import is_tree, open_tree
from scorefield.data.windows import open_windows
from scorefield.errors import UserError, suggest

COLORS = ("auto", "gray", "rgb")
SMALLEST, LARGEST = 4, 2048
LONGEST = 2**16  # characters of a window
READABLE = "a folder or an archive of images or sounds, or a .npz, .npy, .csv, .parquet or .txt file"
ADVICE = {
    **dict.fromkeys((".7z", ".rar"), "Unpack it and give the folder."),
    **dict.fromkeys((".pt", ".pth", ".pkl"), "It is a Python pickle, which can run code; save a .npz instead."),
    **dict.fromkeys((f".{ending}" for ending in IMAGES), "It is one image; give the folder it lies in."),
    **dict.fromkeys(
        (f".{ending}" for ending in SOUNDS),
        "It is one sound; give the folder it lies in, or cut it into pieces: window=16384 stride=8192.",
    ),
}


def open_data(
    source: str | Path | np.ndarray | Tensor,
    *,
    size: int | None = None,
    color: str = "auto",
    label: str | Sequence[int] | Sequence[str] | np.ndarray | Tensor | None = None,
    condition: str | Sequence[str] | Sequence[float] | np.ndarray | Tensor | None = None,
    columns: str | Sequence[str] | None = None,
    categories: str | Sequence[str] | None = None,
    holdout: float | None = None,
    strict: bool = False,
    seed: int = 0,
    cache: bool = True,
    progress: Progress | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    window: int | None = None,
    stride: int | None = None,
    split: str | None = None,
    config: str | None = None,
    streaming: bool = False,
    examples: int | None = None,
    length: int | None = None,
    lines: bool = False,
    codec: str | None = None,
) -> Dataset:
    """Opens data to learn from, because every command begins with some, and checks all of it before anything is spent.

    ``source`` is the name of an embedded set ("digits", "glyphs", "moons", ...), a path to a folder, a zip or tar
    archive of images or sounds, a list of shards ("shards/{000..010}.tar"), a folder of ``.npy`` files, one ``.npz``,
    ``.npy``, ``.csv``, ``.parquet`` or ``.txt`` file, a Hugging Face data set ("hf:owner/name" or a folder it was saved
    to), a NumPy array or a tensor. docs/data.md has them all.

    ``size`` is the edge in pixels that images are centre-cropped and resized to; ``color`` "auto" takes one channel
    only if all images are grey, "gray" and "rgb" decide. ``rate`` and ``seconds`` are what sounds are brought to.
    ``window`` and ``stride`` cut one long series into signals. ``split``, ``config``, ``streaming`` and ``examples``
    choose what of a Hugging Face data set is read. ``length`` cuts a text into windows, ``lines`` makes every line an
    example, ``codec`` says in what it is written ("characters", "bytes", a tokenizer's .json), and "palette" that
    images hold categories. ``label`` names the column or array of classes (beside an array: the
    classes themselves), ``condition`` the columns or arrays of numbers to condition on (beside an array: the numbers,
    (N,) or (N, V)), ``columns`` the columns of a table or the array of an archive. ``holdout`` is the fraction set
    aside (None: the set's own choice), chosen by ``seed``. ``strict`` makes a broken file an error; ``cache`` False
    writes nothing to disk; ``progress(done, total)`` is called while files are decoded.

    Raises ``UserError`` for anything that cannot be used.
    """
    _check(size, color)
    asked = More(rate, seconds, window, stride, split, config, streaming, examples, None, length, lines, codec)
    if not isinstance(source, str | Path):
        _refuse("an array", columns=columns, categories=categories)
        asked.refuse("an array", "codec")
        dataset = open_array(source, size=size, color=color, label=label, condition=condition)
        return hold_out(as_categories(dataset, codec) if codec else dataset, holdout, seed)
    name = str(source)
    wanted, told = _names(columns), _told(name, condition)
    if label is not None and not isinstance(label, str):
        raise UserError(f"label= names a column of '{name}'; a list of classes goes with an array only.")
    if name in EMBEDDED:
        _refuse(f"the embedded set '{name}'", label=label, columns=columns, condition=told)
        asked.refuse(f"the embedded set '{name}'", "codec")
        dataset = _embedded(name, size, color, holdout, seed)
        return as_categories(dataset, codec) if codec else dataset
    path = Path(name).expanduser()
    if is_text(name) and path.is_file():
        own = {"size": size, "label": label, "condition": told, "columns": wanted, "categories": categories}
        _refuse("a text", color=None if color == "auto" else color, **own)
        asked.refuse("a text", "stride", "length", "lines", "codec")
        _check_length(length)
        how = {"length": length, "lines": lines, "codec": codec, "stride": stride}
        return open_text(path, holdout=holdout, seed=seed, **how)
    if window is not None:
        own = {"size": size, "label": label, "condition": told, "categories": categories}
        _refuse("windows of a series", color=None if color == "auto" else color, **own)
        asked.refuse("windows of a series", "window", "stride")
        return open_windows(path, window=window, stride=stride, columns=wanted, holdout=holdout)
    if stride is not None:
        raise UserError("stride= goes with window=, the length of the windows. Write both, or leave stride= out.")
    if is_hub(name) or is_tree(name):
        _refuse("a folder or an archive", categories=categories)
        how = {"label": label, "condition": told, "strict": strict, "cache": cache, "progress": progress}
        reader = open_hub if is_hub(name) else open_tree
        dataset = reader(name, replace(asked, columns=wanted), size=size, color=color, **how)
    else:
        asked.refuse("one file", "codec")
        dataset = _file(path, Asked(size, color, label, wanted, strict, told, _names(categories), codec))
    if dataset.held_out is not None and holdout is None:
        return dataset
    return hold_out(replace(dataset, held_out=None), holdout, seed)


def _check(size: int | None, color: str) -> None:
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UserError(f"size must be from {SMALLEST} to {LARGEST} pixels, got {size}.")
    if color not in COLORS:
        raise UserError(f"color={color} is not known.{suggest(color, COLORS)}")


def _check_length(length: int | None) -> None:
    if length is not None and not 2 <= length <= LONGEST:
        raise UserError(f"length must be from 2 to {LONGEST:,}, got {length:,}.")


def _refuse(what: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{name}= does not apply to {what}. Leave it out.")


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...] | None:
    words = columns.split(",") if isinstance(columns, str) else columns
    return None if words is None else tuple(word.strip() for word in words)


def _told(name: str, condition: object) -> tuple[str, ...] | None:
    """The names of the conditions of a file; numbers themselves go with an array only."""
    words = condition.split(",") if isinstance(condition, str) else condition
    if words is not None and not (isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)):
        raise UserError(f"condition= names columns of '{name}'; a list of numbers goes with an array only.")
    return None if words is None else tuple(str(word).strip() for word in words)


def _embedded(name: str, size: int | None, color: str, holdout: float | None, seed: int) -> Dataset:
    made = EMBEDDED[name]
    dataset = made.build(seed, size)
    if dataset.kind == "images":
        layout = adjust(Layout("images", dataset.x.numpy()), size, color)
        dataset = replace(dataset, x=torch.from_numpy(layout.x), notes=layout.notes)
    else:
        _refuse(f"the embedded set '{name}'", size=size, color=None if color == "auto" else color)
    return hold_out(dataset, made.holdout if holdout is None else holdout, seed)


@dataclass(frozen=True)
class Asked:
    """What was asked for beside the path; each kind of file refuses what cannot concern it."""

    size: int | None
    color: str
    label: str | None
    columns: tuple[str, ...] | None
    strict: bool
    condition: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    codec: str | None = None


def _npz(path: Path, asked: Asked) -> Dataset:
    own = {"label": asked.label, "columns": asked.columns, "condition": asked.condition}
    dataset = open_npz(path, size=asked.size, color=asked.color, **own)
    colors = palette_in(path)
    if asked.codec is None and (colors is None or dataset.kind != "images" or asked.color != "auto" or asked.size):
        return dataset
    return as_categories(dataset, asked.codec or PALETTE, colors if asked.codec in (None, PALETTE) else None)


def _npy(path: Path, asked: Asked) -> Dataset:
    own = {"label": asked.label, "columns": asked.columns, "condition": asked.condition}
    _refuse("a .npy file, which holds one array", **own)
    dataset = open_npy(path, size=asked.size, color=asked.color)
    return as_categories(dataset, asked.codec) if asked.codec else dataset


def _table(path: Path, asked: Asked) -> Dataset:
    _refuse("a table", codec=asked.codec, size=asked.size, color=None if asked.color == "auto" else asked.color)
    own = {"label": asked.label, "columns": asked.columns, "condition": asked.condition}
    return open_table(path, strict=asked.strict, categories=asked.categories, **own)


FILES: dict[str, Callable[[Path, Asked], Dataset]] = {
    ".npz": _npz,
    ".npy": _npy,
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"), _table),
}


def _file(path: Path, asked: Asked) -> Dataset:
    if not path.exists():
        raise UserError(_missing(path))
    name = path.name.lower()
    reader = next((reader for ending, reader in FILES.items() if name.endswith(ending)), None)
    if reader is None:
        advice = ADVICE.get(path.suffix.lower(), f"Give {READABLE}.")
        raise UserError(f"'{path}' is not data scorefield reads. {advice}")
    try:
        return reader(path, asked)
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror or error}).") from error


def _missing(path: Path) -> str:
    if path.suffix or path.parent != Path():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = suggest(path.name, near) if near else ""
        hint = hint if hint.startswith(" Did") else f" Give {READABLE}, or an embedded set: {', '.join(EMBEDDED)}."
        return f"'{path}' does not exist.{hint}"
    hint = suggest(path.name, EMBEDDED).replace("Known:", "Embedded sets:")
    return (
        f"'{path}' is neither a file or folder here nor an embedded set.{hint} Data are {READABLE}, or a set by name."
    )
