"""A folder or an archive of images becomes a data set: decoded once by threads, then read from the cache."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from scorefield.data.cache import IN_MEMORY, Rows, cache_key, recall
from scorefield.data.dataset import Broken, Dataset, Progress
from scorefield.data.decoding import decode, parallel, threads
from scorefield.data.files import Files
from scorefield.data.listing import PICTURES, Listing, list_files
from scorefield.data.pixels import notes_of, read_image, size_of
from scorefield.data.words import count
from scorefield.errors import UserError

FORMAT = 1  # of the cached pixels: raise it when decoding changes
USUAL_SIZES = (64, 32)


@dataclass(frozen=True)
class Pictures:
    """Decoded images (N, C, S, S) uint8, the files that have none, and what was done on the way."""

    images: np.ndarray
    broken: tuple[Broken, ...]
    notes: tuple[str, ...]
    key: str


def open_folder(
    files: Files,
    *,
    size: int | None,
    color: str,
    label: str | None,
    condition: tuple[str, ...] | None = None,
    strict: bool,
    cache: bool,
    progress: Progress | None,
    broken: tuple[Broken, ...] = (),
    listing: Listing | None = None,
    name: str = "data",
) -> Dataset:
    """Every image of ``files`` as uint8 (N, C, S, S), in their order, classes from folders or what lies beside them.

    ``broken`` are members that were found unusable before. Raises ``UserError`` where there are no usable images, for
    sizes without a sensible default, and, if ``strict``, for any file that cannot be read.
    """
    listing = listing or list_files(files, PICTURES, label, condition)
    pictures = _pictures(files, listing, size, color, cache, progress)
    unusable = every_broken(files, listing, (*broken, *pictures.broken), len(pictures.images), "images", strict)
    return _assemble(name, files, listing, pictures, unusable)


def every_broken(
    files: Files, listing: Listing, broken: tuple[Broken, ...], usable: int, what: str, strict: bool
) -> tuple[Broken, ...]:
    """What cannot be used, sorted. Raises ``UserError`` if nothing else is there, and for the first if ``strict``."""
    found = tuple(sorted((*listing.missing, *broken), key=lambda file: file.path))
    if not usable:
        first, total = found[0], len(listing.files)
        raise UserError(f"None of the {total:,} {what} in '{files.path}' can be used: '{first.path}' {first.reason}.")
    if found and strict:
        first = found[0]
        raise UserError(
            f"strict=yes, and {count(len(found), 'file')} of '{files.path}' cannot be used: "
            f"'{first.path}' {first.reason}. Remove or repair them, or leave strict=yes out to skip them."
        )
    return found


def told_by(listing: Listing, unusable: tuple[Broken, ...]) -> dict[str, Any]:
    """The fields of a data set that come from the listing: what is said about each file that was decoded."""
    without = {file.path for file in unusable}
    kept = [i for i, name in enumerate(listing.files) if name not in without]
    classes = listing.classes
    number: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    return {
        "labels": torch.tensor([number.get(listing.labels[i], -1) for i in kept]) if classes else None,
        "classes": classes,
        "captions": None if listing.captions is None else tuple(listing.captions[i] for i in kept),
        "conditions": None if listing.conditions is None else listing.conditions[kept],
        "condition_names": listing.condition_names,
    }


def _assemble(name: str, files: Files, listing: Listing, pictures: Pictures, broken: tuple[Broken, ...]) -> Dataset:
    skipped = (f"{count(len(broken), 'broken file')} skipped.",) if broken else ()
    return Dataset(
        name=name,
        kind="images",
        x=torch.from_numpy(pictures.images),
        broken=broken,
        notes=(*pictures.notes, *listing.notes, *skipped),
        source=str(files.path),
        flip_ok=pictures.images.shape[1] == 3,  # a mirrored photo is a photo; grey images are often writing
        key=pictures.key if pictures.images.nbytes > IN_MEMORY else None,
        **told_by(listing, pictures.broken),
    )


def _pictures(
    files: Files, listing: Listing, size: int | None, color: str, cache: bool, progress: Progress | None
) -> Pictures:
    """From the cache if nothing changed since it was written; "auto" tries grey and starts over at the first colour."""
    key = cache_key(FORMAT, files.identity, files.stamps(listing.files), size, color)
    entry = recall(key) if cache else None
    if entry is not None:
        images, about = entry
        return Pictures(images, tuple(Broken(*file) for file in about["broken"]), tuple(about["notes"]), key)
    with threads() as pool, warnings.catch_warnings():
        # Pillow warns about odd but readable files; of those warnings only the one about bombs matters, as an error.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        edge, note = choose_size(parallel(pool, size_of, files.each(listing.files)), size)
        decoding = Decoding(files, listing.files, edge, note, key, cache, progress, pool)
        found = decoding.run("gray", gray_only=True) if color == "auto" else None
        found = found or decoding.run({"auto": "rgb"}.get(color, color), gray_only=False)
        assert found is not None  # only a pass for grey alone gives up
        return found


@dataclass(frozen=True)
class Decoding:
    """One pass over all files."""

    files: Files
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
        read = partial(read_image, size=self.size, color=color)
        try:
            found = decode(self.files, self.names, read, rows, self.pool, self.progress, gray_only)
            if found is None:
                return None
            broken, steps = found
            notes = (*self.note, *notes_of(steps))
            images = rows.finish({"broken": [[file.path, file.reason] for file in broken], "notes": notes})
            notes += () if rows.note is None else (rows.note,)
            return Pictures(images, broken, notes, self.key)
        finally:
            rows.drop()


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
