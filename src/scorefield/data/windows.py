"""One long series becomes many short signals: windows that slide over it, with a held-out part that shares no row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scorefield.data import cache
from scorefield.data.arrays import map_npy, pick_array
from scorefield.data.dataset import Dataset
from scorefield.data.rows import Lazy
from scorefield.data.series import series_of_table
from scorefield.data.words import count, shape_of
from scorefield.errors import UserError

HELD_OUT = 0.1  # of the rows, unless told otherwise
STRETCH = 8  # windows' lengths that a held-out stretch is long
MOST_STRETCHES = 32


@dataclass(frozen=True)
class Series:
    """``values`` (C, T) float32, NaN where nothing was measured; ``columns`` name the channels."""

    values: np.ndarray
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    rate: int | None = None


class View:
    """Windows of a series (C, T), N of them, none copied before it is asked for."""

    def __init__(self, series: Tensor, window: int, starts: np.ndarray) -> None:
        self.windows, self.starts = series.unfold(1, window, 1).permute(1, 0, 2), starts

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, L)."""
        return len(self.starts), *self.windows.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        """float32."""
        return self.windows.dtype

    def read(self, rows: np.ndarray) -> Tensor:
        """(B,) window numbers → (B, C, L)."""
        return self.windows[torch.from_numpy(self.starts[rows])]


def open_windows(
    path: Path, *, window: int, stride: int | None, columns: Sequence[str] | None, holdout: float | None
) -> Dataset:
    """Windows of ``window`` rows, one every ``stride`` (None: every row), of the long series in a ``.csv``, ``.npy``,
    ``.npz`` or ``.wav``, as float32 (N, C, L).

    ``holdout`` is the fraction of rows held out, in stretches spread evenly; windows that reach into one and out of it
    again are left out, so that no row is in both parts. Windows with an empty cell are left out too. Raises
    ``UserError`` for a series shorter than a window and for other files.
    """
    name = path.name.lower()
    reader = next((reader for ending, reader in READERS.items() if name.endswith(ending)), None)
    if reader is None:
        raise UserError(
            f"window= cuts one long series in a {', '.join(READERS)} file into windows, and '{path}' is none. "
            "Leave window= out."
        )
    if not path.is_file():
        raise UserError(f"'{path}' does not exist.")
    series = reader(path, tuple(columns) if columns else None)
    total = series.values.shape[1]
    if total < window:
        raise UserError(f"'{path}' has {count(total, 'row')}, fewer than window={window}. Write a smaller window.")
    starts = np.arange(0, total - window + 1, stride or 1)
    gaps = np.concatenate([[0], np.cumsum(np.isnan(series.values).any(0))])
    whole = starts[gaps[starts + window] == gaps[starts]]
    if not len(whole):
        raise UserError(
            f"Every window of {window} rows of '{path}' has an empty cell. Fill them in, or write a smaller window."
        )
    train, aside, note = _parted(path, total, window, whole, holdout)
    said = f"{count(total, 'row')} of {count(len(series.values), 'column')} became {count(len(whole), 'window')}"
    gap = f"{count(len(starts) - len(whole), 'window')} with an empty cell left out."
    gaps_note = (gap,) if len(whole) < len(starts) else ()
    notes = (*series.notes, f"{said} of {window} rows, one every {stride or 1}.", *gaps_note, *note)
    values = torch.from_numpy(series.values)
    digest = hashlib.blake2b(series.values.tobytes(), digest_size=16).hexdigest()

    def part(starts: np.ndarray, mark: str) -> Dataset:
        lazy = Lazy(View(values, window, starts))
        large = len(starts) * len(values) * window * 4 > cache.IN_MEMORY
        return Dataset(
            name=path.name.split(".")[0],
            kind="signals",
            x=lazy.as_tensor() if large else lazy[:],
            columns=series.columns,
            source=str(path),
            key=f"{digest}/{window}/{stride or 1}/{holdout}/{mark}" if large else None,
            rate=series.rate,
        )

    dataset = replace(part(train, "train"), notes=notes)
    if not len(aside):
        return dataset
    return replace(dataset, held_out=replace(part(aside, "held-out"), name=f"{dataset.name} (held out)"))


def _parted(
    path: Path, total: int, window: int, starts: np.ndarray, holdout: float | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The first rows of training windows and of held-out windows, and the sentence about them."""
    if holdout is not None and not 0 <= holdout < 1:
        raise UserError(f"holdout is a fraction, at least 0 and below 1, got {holdout}. holdout=0.1 is usual.")
    wanted = round(total * (HELD_OUT if holdout is None else holdout))
    wanted = max(window, wanted) if holdout is None and total >= 4 * window else wanted
    if wanted < window:
        if holdout:
            raise UserError(
                f"holdout={holdout} of the {total:,} rows of '{path}' is less than one window of {window}. "
                f"Write at least holdout={-(-100 * window // total) / 100:g}, or holdout=0."
            )
        return starts, starts[:0], ()
    stretches = min(MOST_STRETCHES, max(1, wanted // (STRETCH * window)))
    length = wanted // stretches
    first = ((np.arange(stretches) + 0.5) * total / stretches - length / 2).round().astype(np.int64)
    place = np.searchsorted(first, starts, side="right") - 1  # the last stretch that begins at or before the window
    begins, ends = first[np.maximum(place, 0)], first[np.maximum(place, 0)] + length
    inside = (place >= 0) & (starts + window <= ends)
    following = np.append(first, total)[place + 1]
    outside = ((place < 0) | (starts >= ends)) & (starts + window <= following) & ~inside
    assert not (inside & (starts < begins)).any()
    train, aside = starts[outside], starts[inside]
    if not len(train):
        raise UserError(
            f"holdout={holdout or HELD_OUT} of '{path}' leaves no window of {window} rows to train on. "
            "Write a smaller holdout or window."
        )
    lost = len(starts) - len(train) - len(aside)
    note = (
        f"Held out: {count(stretches, 'stretch').replace('stretchs', 'stretches')} of {length:,} rows, "
        f"{count(len(aside), 'window')}; {count(lost, 'window')} that share rows with both parts left out."
    )
    return train, aside, (note,)


def _of_array(x: np.ndarray, where: str) -> Series:
    """(T,), (T, C) or (C, T): the longer axis is time."""
    if x.ndim not in (1, 2) or x.dtype.kind not in "buif" or not x.size:
        raise UserError(
            f"{where} has shape {shape_of(x.shape)} {x.dtype}. window= cuts a series of numbers (T,) or (T, C)."
        )
    values = np.array(x.reshape(len(x), -1), np.float32)
    values = np.ascontiguousarray(values if values.shape[0] < values.shape[1] else values.T)
    if np.isinf(values).any():
        raise UserError(f"{where} holds infinite numbers. Only finite numbers can be learned: repair or remove them.")
    return Series(values, ())


def _npy(path: Path, columns: tuple[str, ...] | None) -> Series:
    return _of_array(map_npy(path), f"'{path}'")


def _npz(path: Path, columns: tuple[str, ...] | None) -> Series:
    name, array, note = pick_array(path, columns)
    series = _of_array(array, f"Array '{name}' in '{path}'")
    return series if note is None else replace(series, notes=(note,))


def _csv(path: Path, columns: tuple[str, ...] | None) -> Series:
    values, names, notes = series_of_table(path, columns)
    return Series(values, names, notes)


def _sound(path: Path, columns: tuple[str, ...] | None) -> Series:
    from scorefield.data.sound import all_of

    values, rate = all_of(path)
    return Series(values, (), (f"A sound of {values.shape[1] / rate:.3g} s at {rate:,} Hz.",), rate)


READERS: dict[str, Callable[[Path, tuple[str, ...] | None], Series]] = {
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), _csv),
    ".npy": _npy,
    ".npz": _npz,
    **dict.fromkeys((".wav", ".flac", ".ogg"), _sound),
}
