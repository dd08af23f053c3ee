"""Samples in the units of the data, and the files they can become."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scorefield.data.parquet import parquet_bytes
from scorefield.data.schema import Column, csv_text
from scorefield.errors import UserError
from scorefield.runs import series
from scorefield.show.embed import evenly
from scorefield.show.files import write_aside
from scorefield.show.film import save_film, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image


COLUMNS = 5, 16  # how many classes make a grid of handsome width


@dataclass(frozen=True, eq=False)
class Samples:
    """What was drawn: ``x`` (N, *D) as stored (uint8 images, float vectors or signals, float64 rows of a
    table whose ``schema`` says what they hold), on the CPU.

    ``labels`` (N,) are the classes asked for, −1 for none; ``conditions`` (N, V) the numbers, NaN where left open.
    ``frames`` are x_t at ``times`` (noise first), scaled to the size of the data, where a trajectory was asked for.
    ``nfe`` counts evaluations of the denoiser per example. ``table`` is the file of the tuned sampler that was walked,
    ``note`` what to know about it and the conditions; "" where there is none. ``rate`` is samples a second, of sounds.
    """

    x: Tensor
    kind: str
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    schema: tuple[Column, ...] = ()
    conditions: Tensor | None = None
    condition_names: tuple[str, ...] = ()
    nfe: int = 0
    seed: int = 0
    times: tuple[float, ...] = ()
    frames: tuple[Tensor, ...] = ()
    table: str = ""
    note: str = ""
    rate: int | None = None

    def __len__(self) -> int:
        return len(self.x)

    def picture(self, reference: Tensor | None = None, **options: object) -> Image:
        """One look at them: a grid of images, a scatter of points, lines of signals (``scorefield.show``)."""
        from scorefield.show.grid import picture

        options.setdefault("across", self._classes_in_a_row())
        return picture(
            self.x,
            self.kind,
            labels=self.labels,
            classes=self.classes,
            columns=self.columns,
            schema=self.schema,
            reference=reference,
            **options,  # pyrefly: ignore[bad-argument-type]
        )

    def _classes_in_a_row(self) -> int | None:
        """The number of classes where the samples run through all of them: then every column of images is one."""
        count = len(self.classes)
        if self.kind != "images" or self.labels is None or not COLUMNS[0] <= count <= COLUMNS[1]:
            return None
        in_turn = torch.arange(len(self)) % count
        return count if torch.equal(self.labels, in_turn) else None

    def pictures(self, reference: Tensor | None = None) -> list[Image]:
        """A picture of each frame, noise first, on equal axes."""
        from scorefield.show.grid import limits_of, picture

        limits = None if self.kind == "images" else limits_of(self.x, reference)
        how = {"limits": limits, "across": self._classes_in_a_row(), "columns": self.columns, "schema": self.schema}
        return [picture(frame, self.kind, reference=reference, **how) for frame in self.frames]

    def thinned(self, most: int) -> Samples:
        """The same samples with at most ``most`` frames, the first and the last among them."""
        return replace(self, times=tuple(evenly(self.times, most)), frames=tuple(evenly(self.frames, most)))

    def save(self, path: str | Path) -> Path:
        """Write them: ``.png`` one picture, ``.npz`` x and label, ``.npy`` x, ``.csv`` one row each (vectors, tables)
        or one row each time (signals), ``.parquet`` a table with its types, ``.wav`` one sound, ``.webp`` or ``.gif``
        the film, no ending a folder of single PNGs (images) or of wave files (sounds).

        Returns the path. Raises UserError where it exists, the ending is not known, or does not go with the samples."""
        path = Path(path).expanduser()
        if path.exists():
            raise UserError(f"{path} exists and is not overwritten. Choose another name, or remove it first.")
        if path.suffix.lower() not in WRITERS:
            known = ", ".join(ending for ending in WRITERS if ending)
            raise UserError(f"{path} ends in {path.suffix!r}, which says nothing about the format. Known: {known}.")
        WRITERS[path.suffix.lower()](self, path)
        return path


def _png(samples: Samples, path: Path) -> None:
    save_picture(path, samples.picture())


def _npz(samples: Samples, path: Path) -> None:
    buffer = io.BytesIO()
    arrays = {"x": samples.x.numpy()}
    if samples.labels is not None:
        arrays |= {"label": samples.labels.numpy(), "classes": np.array(samples.classes)}
    if samples.conditions is not None:
        arrays |= {"condition": samples.conditions.numpy(), "condition_names": np.array(samples.condition_names)}
    np.savez(buffer, **arrays)  # pyrefly: ignore[bad-argument-type]
    write_aside(path, buffer.getvalue())


def _npy(samples: Samples, path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, samples.x.numpy())
    write_aside(path, buffer.getvalue())


def _csv(samples: Samples, path: Path) -> None:
    if samples.schema:
        write_aside(path, _told(csv_text(samples.schema, samples.x.numpy(), _names(samples)), samples))
        return
    if samples.kind == "signals":
        write_aside(path, series.rows(samples, _names(samples)))
        return
    if samples.kind != "vectors":
        raise UserError(f"{path.name}: a .csv holds rows of numbers, but these samples are {samples.kind}. Use .npz.")
    columns = list(samples.columns) or [f"x{i}" for i in range(samples.x.shape[1])]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns + (["label"] if samples.labels is not None else []))
    names = _names(samples)
    for i, row in enumerate(samples.x.tolist()):
        writer.writerow([f"{value:.9g}" for value in row] + names[i : i + 1])
    write_aside(path, _told(buffer.getvalue(), samples))


def _told(text: str, samples: Samples) -> str:
    """A table of samples with the numbers they were asked for as further columns, empty where left open."""
    if samples.conditions is None:
        return text
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    told = [["" if number != number else f"{number:.9g}" for number in row] for row in samples.conditions.tolist()]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*head, *samples.condition_names])
    writer.writerows(row + numbers for row, numbers in zip(rows, told, strict=True))
    return buffer.getvalue()


def _parquet(samples: Samples, path: Path) -> None:
    if not samples.schema:
        raise UserError(f"{path.name}: a .parquet holds a table, but these samples are {samples.kind}. Use .npz.")
    write_aside(path, parquet_bytes(samples.schema, samples.x.numpy(), _names(samples)))


def _film(samples: Samples, path: Path) -> None:
    if not samples.frames:
        raise UserError(f"{path.name} is a film, which needs every step: sample with trajectory=True (film=yes).")
    save_film(path, samples.pictures())


def _folder(samples: Samples, path: Path) -> None:
    if samples.rate is not None:
        series.waves(samples, path, _names(samples))
        return
    if samples.kind != "images":
        raise UserError(f"{path} has no ending: a folder of PNGs holds images, but these samples are {samples.kind}.")
    from PIL import Image

    names = _names(samples)
    for i, pixels in enumerate(samples.x.permute(0, 2, 3, 1).squeeze(-1).numpy()):
        below = path / names[i] if names else path
        below.mkdir(parents=True, exist_ok=True)
        save_picture(below / f"{i:06d}.png", Image.fromarray(pixels))


def _names(samples: Samples) -> list[str]:
    """The class of each sample in words; empty without classes."""
    numbers = [] if samples.labels is None else samples.labels.tolist()
    return [samples.classes[k] if k >= 0 else "none" for k in numbers]


WRITERS: dict[str, Callable[[Samples, Path], None]] = {
    ".png": _png,
    ".npz": _npz,
    ".npy": _npy,
    ".csv": _csv,
    ".parquet": _parquet,
    ".wav": series.wave,
    ".webp": _film,
    ".gif": _film,
    "": _folder,
}
