"""Samples in the units of the data, and the files they can become."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from scorefield.data.parquet import parquet_bytes
from scorefield.data.schema import Column, csv_text
from scorefield.errors import UserError
from scorefield.runs import series, written
from scorefield.runs.disk import writer_of
from scorefield.runs.tokens import images_of, texts_of
from scorefield.runs.written import RULE
from scorefield.show.embed import evenly
from scorefield.show.files import write_aside
from scorefield.show.film import save_film, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image


COLUMNS = 5, 16  # how many classes make a grid of handsome width
IMAGES = ("images", "categories")
PICTURED = (*IMAGES, "text")  # have no axes


@dataclass(frozen=True, eq=False)
class Samples:
    """What was drawn: ``x`` (N, *D) as stored (uint8 images, float vectors or signals, float64 rows of a
    table whose ``schema`` says what they hold, int64 text, uint8 images of categories), on the CPU. ``codec`` says what
    the numbers of text and of categories mean.

    ``labels`` (N,) are the classes asked for, −1 for none; ``conditions`` (N, V) the numbers, NaN where left open.
    ``frames`` are x_t at ``times`` (noise first), where a trajectory was asked for: scaled to the size of the data; of
    text and categories as the codec encodes them.
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
    codec: Any = None
    captions: tuple[str, ...] = ()  # of the frames of tokens: how many are masked

    def __len__(self) -> int:
        return len(self.x)

    @property
    def texts(self) -> tuple[str, ...]:
        """Samples of text as they read; empty for other samples."""
        return texts_of(self.codec, self.codec.encode(self.x)) if self.kind == "text" else ()

    @property
    def written(self) -> tuple[tuple[str, ...], ...]:
        """The texts of every frame, noise first; empty for other samples."""
        return tuple(texts_of(self.codec, frame) for frame in self.frames) if self.kind == "text" else ()

    def picture(self, reference: Tensor | None = None, **options: object) -> Image:
        """One look at them: a grid of images, a scatter of points, lines of signals (``scorefield.show``)."""
        from scorefield.show.grid import picture

        options.setdefault("across", self._classes_in_a_row())
        return picture(
            *self.look(),
            labels=self.labels,
            classes=self.classes,
            columns=self.columns,
            schema=self.schema,
            reference=reference,
            **options,  # pyrefly: ignore[bad-argument-type]
        )

    def look(self) -> tuple[Any, str]:
        """(x, kind) as ``scorefield.show`` draws them: texts as strings, categories in their colours."""
        return seen(self.codec, self.x, self.kind)

    def _classes_in_a_row(self) -> int | None:
        """The number of classes where the samples run through all of them: then every column of images is one."""
        count = len(self.classes)
        if self.kind not in IMAGES or self.labels is None or not COLUMNS[0] <= count <= COLUMNS[1]:
            return None
        in_turn = torch.arange(len(self)) % count
        return count if torch.equal(self.labels, in_turn) else None

    def save_picture(self, path: Path, reference: Tensor | None = None) -> Image:
        """Write the picture, and beside a picture of texts the texts themselves; returns it."""
        drawn = self.picture(reference)
        save_picture(path, drawn)
        if self.texts:
            write_aside(path.with_suffix(".txt"), RULE.join(self.texts))
        return drawn

    def pictures(self, reference: Tensor | None = None) -> list[Image]:
        """A picture of each frame, noise first, on equal axes."""
        from scorefield.show.grid import limits_of, picture

        limits = None if self.kind in PICTURED else limits_of(self.x, reference)
        how = {"limits": limits, "across": self._classes_in_a_row(), "columns": self.columns, "schema": self.schema}
        shown = FRAMES.get(self.kind, lambda codec, frame: (frame, self.kind))
        return [picture(*shown(self.codec, frame), reference=reference, **how) for frame in self.frames]

    def thinned(self, most: int) -> Samples:
        """The same samples with at most ``most`` frames, the first and the last among them."""
        few = {name: tuple(evenly(getattr(self, name), most)) for name in ("times", "frames", "captions")}
        return replace(self, **few)

    def save(self, path: str | Path) -> Path:
        """Write them: ``.png`` one picture, ``.npz`` x and label, ``.npy`` x, ``.csv`` one row each (vectors, tables)
        or one row each time (signals), ``.parquet`` a table with its types, ``.wav`` one sound, ``.txt`` texts,
        ``.webp`` or ``.gif`` the film, ``.html`` that of texts, no ending a folder of single PNGs (images), wave files
        (sounds) or text files.

        Returns the path. Raises UserError where it exists, the ending is not known, or does not go with the samples."""
        path = Path(path).expanduser()
        writer_of(path, WRITERS)(self, path)
        return path


FRAMES: dict[str, Callable[[Any, Tensor], tuple[Any, str]]] = {  # encoded states, as pictures are drawn of them
    "text": lambda codec, z: (np.array(texts_of(codec, z)), "text"),
    "categories": lambda codec, z: (images_of(codec, z), "images"),
}


def seen(codec: Any, x: Tensor, kind: str) -> tuple[Any, str]:
    """Examples (N, *D) as stored ↦ what ``scorefield.show`` draws of them, and its kind there."""
    return FRAMES[kind](codec, codec.encode(x)) if kind in FRAMES else (x, kind)


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
    kind = "sounds" if samples.rate is not None else samples.kind
    if kind not in FOLDERS:
        raise UserError(f"{path} has no ending: a folder of PNGs holds images, but these samples are {samples.kind}.")
    FOLDERS[kind](samples, path, _names(samples))


def _pngs(samples: Samples, path: Path, names: list[str]) -> None:
    from PIL import Image

    for i, pixels in enumerate(samples.x.permute(0, 2, 3, 1).squeeze(-1).numpy()):
        below = path / names[i] if names else path
        below.mkdir(parents=True, exist_ok=True)
        save_picture(below / f"{i:06d}.png", Image.fromarray(pixels))


FOLDERS: dict[str, Callable[[Samples, Path, list[str]], None]] = {
    "images": _pngs,
    "categories": written.palettes,
    "text": written.texts,
    "sounds": series.waves,
}


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
    ".txt": written.text,
    ".html": written.page,
    ".webp": _film,
    ".gif": _film,
    "": _folder,
}
