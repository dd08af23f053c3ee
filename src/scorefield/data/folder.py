"""A folder of images becomes a data set: decoded once by a pool of threads, then read from the cache."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scorefield.data.cache import IN_MEMORY, Rows, cache_key, recall, stamps
from scorefield.data.dataset import Broken, Dataset, Progress
from scorefield.data.listing import Listing, list_folder
from scorefield.data.pixels import DAMAGE, Decoded, notes_of, read_image
from scorefield.data.words import count
from scorefield.errors import UserError

FORMAT = 1  # of the cached pixels: raise it when decoding changes
CHUNK = 512
USUAL_SIZES = (64, 32)


@dataclass(frozen=True)
class Pictures:
    """Decoded images (N, C, S, S) uint8, the files that have none, and what was done on the way."""

    images: np.ndarray
    broken: tuple[Broken, ...]
    notes: tuple[str, ...]
    key: str


def open_folder(
    folder: Path,
    *,
    size: int | None,
    color: str,
    label: str | None,
    strict: bool,
    cache: bool,
    progress: Progress | None,
) -> Dataset:
    """Every image below ``folder`` as uint8 (N, C, S, S), in sorted order, classes from folders or metadata.

    Raises ``UserError`` for a folder without usable images, sizes without a sensible default, and, if ``strict``,
    for any file that cannot be read.
    """
    listing = list_folder(folder, label)
    pictures = _pictures(folder, listing, size, color, cache, progress)
    broken = tuple(sorted((*listing.missing, *pictures.broken), key=lambda file: file.path))
    if not len(pictures.images):
        first = broken[0]
        total = len(listing.files)
        raise UserError(f"None of the {total:,} images in '{folder}' can be used: '{first.path}' {first.reason}.")
    if broken and strict:
        first = broken[0]
        raise UserError(
            f"strict=yes, and {count(len(broken), 'file')} of '{folder}' cannot be used: "
            f"'{first.path}' {first.reason}. Remove or repair them, or leave strict=yes out to skip them."
        )
    return _assemble(folder, listing, pictures, broken)


def _assemble(folder: Path, listing: Listing, pictures: Pictures, broken: tuple[Broken, ...]) -> Dataset:
    unusable = {file.path for file in pictures.broken}
    kept = [i for i, name in enumerate(listing.files) if name not in unusable]
    classes = listing.classes
    number: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    labels = torch.tensor([number.get(listing.labels[i], -1) for i in kept]) if classes else None
    skipped = (f"{count(len(broken), 'broken file')} skipped.",) if broken else ()
    return Dataset(
        name=folder.resolve().name,
        kind="images",
        x=torch.from_numpy(pictures.images),
        labels=labels,
        classes=classes,
        captions=None if listing.captions is None else tuple(listing.captions[i] for i in kept),
        broken=broken,
        notes=(*pictures.notes, *listing.notes, *skipped),
        source=str(folder),
        flip_ok=pictures.images.shape[1] == 3,  # a mirrored photo is a photo; grey images are often writing
        key=pictures.key if pictures.images.nbytes > IN_MEMORY else None,
    )


def _pictures(
    folder: Path, listing: Listing, size: int | None, color: str, cache: bool, progress: Progress | None
) -> Pictures:
    """From the cache if nothing changed since it was written; "auto" tries grey and starts over at the first colour."""
    key = cache_key(FORMAT, str(folder.resolve()), stamps(folder, listing.files), size, color)
    entry = recall(key) if cache else None
    if entry is not None:
        images, about = entry
        return Pictures(images, tuple(Broken(*file) for file in about["broken"]), tuple(about["notes"]), key)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, warnings.catch_warnings():
        # Pillow warns about odd but readable files; of those warnings only the one about bombs matters, as an error.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        edge, note = choose_size(pool.map(_size_of, (folder / name for name in listing.files)), size)
        decoding = Decoding(folder, listing.files, edge, note, key, cache, progress, pool)
        found = decoding.run("gray", gray_only=True) if color == "auto" else None
        found = found or decoding.run({"auto": "rgb"}.get(color, color), gray_only=False)
        assert found is not None  # only a pass for grey alone gives up
        return found


@dataclass(frozen=True)
class Decoding:
    """One pass over all files, by a pool of threads: Pillow decodes outside Python's lock."""

    folder: Path
    names: tuple[str, ...]
    size: int
    note: tuple[str, ...]
    key: str
    cache: bool
    progress: Progress | None
    pool: ThreadPoolExecutor

    def run(self, color: str, gray_only: bool) -> Pictures | None:
        """All pictures, in order; None, and nothing is kept, if one has colour and ``gray_only`` was asked for."""
        rows = Rows(self.key, ({"gray": 1, "rgb": 3}[color], self.size, self.size), self.cache)
        broken, steps = [], Counter[str]()
        try:
            # Closing cancels what is still queued: Ctrl-C and a change of mind need not wait for it.
            with closing(self._decoded(color)) as decoded:
                for done, (name, image) in enumerate(zip(self.names, decoded, strict=True), 1):
                    if image.pixels is None:
                        broken.append(Broken(name, image.reason))
                    elif gray_only and not image.gray:
                        return None
                    else:
                        rows.append(image.pixels)
                        steps.update(image.steps)
                    if self.progress is not None:
                        self.progress(done, len(self.names))
            notes = (*self.note, *notes_of(steps))
            images = rows.finish({"broken": [[file.path, file.reason] for file in broken], "notes": notes})
            notes += () if rows.note is None else (rows.note,)
            return Pictures(images, tuple(broken), notes, self.key)
        finally:
            rows.drop()

    def _decoded(self, color: str) -> Generator[Decoded]:
        """A chunk at a time, so that finished pixels never pile up."""
        read = partial(read_image, size=self.size, color=color)
        for start in range(0, len(self.names), CHUNK):
            yield from self.pool.map(read, (self.folder / name for name in self.names[start : start + CHUNK]))


def _size_of(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except DAMAGE:
        return None


def choose_size(sizes: Iterator[tuple[int, int] | None], size: int | None) -> tuple[int, tuple[str, ...]]:
    """The edge to train at, and the sentence that says so.

    Squares of one size up to 64 stay as they are; otherwise the larger of 64 and 32 that no image falls short of.
    Raises ``UserError`` where the smallest image is below 32 pixels and nothing was asked for.
    """
    found = {edges for edges in sizes if edges is not None}
    if not found or found == {(size, size)}:
        return size or USUAL_SIZES[-1], ()
    smallest, largest = (f"{w}×{h}" for w, h in (f(found, key=lambda s: (s[0] * s[1], s)) for f in (min, max)))
    shortest = min(min(edges) for edges in found)
    alike = len(found) == 1
    if size is None and alike and smallest == f"{shortest}×{shortest}" and shortest <= USUAL_SIZES[0]:
        return shortest, ()
    chosen = size or next((usual for usual in USUAL_SIZES if usual <= shortest), None)
    if chosen is None:
        what = f"are {smallest}, not square" if alike else f"differ in size ({smallest} … {largest})"
        raise UserError(f"Images {what}. Add size={USUAL_SIZES[-1]} to resize and centre-crop.")
    were = smallest if alike else f"{smallest} … {largest}"
    more = "" if size else f" Write size={2 * chosen} for more detail."
    return chosen, (f"Images ({were}) are centre-cropped and resized to {chosen}×{chosen}.{more}",)
