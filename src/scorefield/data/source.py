"""One function opens everything: the kind of source is read off its name, and off nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scorefield.data.arrays import open_array, open_npy, open_npz
from scorefield.data.dataset import Dataset, Progress, hold_out
from scorefield.data.embedded import EMBEDDED
from scorefield.data.folder import open_folder
from scorefield.data.layouts import Layout, adjust
from scorefield.data.listing import IMAGES
from scorefield.data.table import open_table
from scorefield.errors import UserError, suggest

COLORS = ("auto", "gray", "rgb")
SMALLEST, LARGEST = 4, 2048
READABLE = "a folder of images, a .npz or .npy file, or a .csv file"
ADVICE = {
    **dict.fromkeys((".zip", ".tar", ".tgz"), "Unpack it and give the folder."),
    **dict.fromkeys((".pt", ".pth", ".pkl"), "It is a Python pickle, which can run code; save a .npz instead."),
    **dict.fromkeys((f".{ending}" for ending in IMAGES), "It is one image; give the folder it lies in."),
}


def open_data(
    source: str | Path | np.ndarray | Tensor,
    *,
    size: int | None = None,
    color: str = "auto",
    label: str | Sequence[int] | Sequence[str] | np.ndarray | Tensor | None = None,
    columns: str | Sequence[str] | None = None,
    holdout: float | None = None,
    strict: bool = False,
    seed: int = 0,
    cache: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Opens data to learn from, because every command begins with some, and checks all of it before anything is spent.

    ``source`` is the name of an embedded set ("digits", "glyphs", "moons", ...), a path to a folder of images, a
    ``.npz``, ``.npy`` or ``.csv`` file, a NumPy array or a tensor. ``size`` is the edge in pixels that images are
    centre-cropped and resized to; ``color`` "auto" takes one channel only if all images are grey, "gray" and "rgb"
    decide. ``label`` names the column or array of classes (beside an array: the classes themselves), ``columns`` the
    columns of a table or the array of an archive. ``holdout`` is the fraction set aside (None: the set's own choice),
    chosen by ``seed``. ``strict`` makes a broken file an error; ``cache`` False writes nothing to disk;
    ``progress(done, total)`` is called while images are decoded.

    Raises ``UserError`` for anything that cannot be used.
    """
    _check(size, color)
    if not isinstance(source, str | Path):
        _refuse("an array", columns=columns)
        dataset = open_array(source, size=size, color=color, label=label)
        return hold_out(dataset, holdout, seed)
    name = str(source)
    wanted = _names(columns)
    if label is not None and not isinstance(label, str):
        raise UserError(f"label= names a column of '{name}'; a list of classes goes with an array only.")
    if name in EMBEDDED:
        _refuse(f"the embedded set '{name}'", label=label, columns=columns)
        return _embedded(name, size, color, holdout, seed)
    path = Path(name).expanduser()
    if path.is_dir():
        _refuse("a folder of images", columns=columns)
        dataset = open_folder(path, size=size, color=color, label=label, strict=strict, cache=cache, progress=progress)
    else:
        dataset = _file(path, Asked(size, color, label, wanted, strict))
    if dataset.held_out is not None and holdout is None:
        return dataset
    return hold_out(replace(dataset, held_out=None), holdout, seed)


def _check(size: int | None, color: str) -> None:
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UserError(f"size must be from {SMALLEST} to {LARGEST} pixels, got {size}.")
    if color not in COLORS:
        raise UserError(f"color={color} is not known.{suggest(color, COLORS)}")


def _refuse(what: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{name}= does not apply to {what}. Leave it out.")


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...] | None:
    words = columns.split(",") if isinstance(columns, str) else columns
    return None if words is None else tuple(word.strip() for word in words)


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


def _npz(path: Path, asked: Asked) -> Dataset:
    return open_npz(path, size=asked.size, color=asked.color, label=asked.label, columns=asked.columns)


def _npy(path: Path, asked: Asked) -> Dataset:
    _refuse("a .npy file, which holds one array", label=asked.label, columns=asked.columns)
    return open_npy(path, size=asked.size, color=asked.color)


def _table(path: Path, asked: Asked) -> Dataset:
    _refuse("a table", size=asked.size, color=None if asked.color == "auto" else asked.color)
    return open_table(path, label=asked.label, columns=asked.columns, strict=asked.strict)


FILES: dict[str, Callable[[Path, Asked], Dataset]] = {
    ".npz": _npz,
    ".npy": _npy,
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), _table),
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
