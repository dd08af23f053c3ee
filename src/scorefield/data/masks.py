"""A folder or an archive of palette images becomes a set of categories: numbers of pixels, not their colours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from scorefield.data.dataset import Broken, Dataset, Progress
from scorefield.data.decoding import parallel, threads
from scorefield.data.files import Files, Opener
from scorefield.data.folder import choose_size, every_broken, told_by
from scorefield.data.listing import PICTURES, Listing, list_files
from scorefield.data.palette import codec_of
from scorefield.data.pixels import ARCHIVE_DAMAGE, DAMAGE, reason_for
from scorefield.data.words import count
from scorefield.errors import UserError
from scorefield.registry import to_config

ENDING = ".png"
KEPT = 64  # pixels: larger pictures are made smaller, unless told otherwise
LOOKED = 16  # files that are looked at before a folder is taken for one of categories


class Head(NamedTuple):
    """What the beginning of a file says: its size, and its palette (None: it has none)."""

    size: tuple[int, int]
    palette: tuple[tuple[int, ...], ...] | None


def are_palettes(files: Files) -> bool:
    """Whether the images of a source are PNGs with one palette, as class masks and pixel art are; a first look at a
    few of them, and at all where those are."""
    names = [name for name in files.names if name.lower().endswith(tuple(f".{e}" for e in PICTURES.endings))]
    if not names or not all(name.lower().endswith(ENDING) for name in names):
        return False
    found: tuple[tuple[int, ...], ...] = ()
    for few in (names[:LOOKED], names[LOOKED:]):
        for head in map(head_of, files.each(few)):
            if head is not None and (head.palette is None or _joined(found, head.palette) is None):
                return False
            found = found if head is None else _joined(found, head.palette or ()) or ()
    return bool(found)


def head_of(opener: Opener) -> Head | None:
    """The head of one image; None where it cannot be read."""
    try:
        with opener() as file, Image.open(file) as image:
            flat = image.getpalette("RGB") if image.mode == "P" else None
            return Head(
                image.size, None if flat is None else tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
            )
    except (*DAMAGE, *ARCHIVE_DAMAGE):
        return None


def _joined(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The longer of two palettes that agree as far as both go; None where they do not."""
    short, long = sorted((a, b), key=len)
    return long if long[: len(short)] == short else None


def open_masks(
    files: Files,
    *,
    size: int | None,
    label: str | None,
    condition: tuple[str, ...] | None = None,
    strict: bool,
    progress: Progress | None,
    broken: tuple[Broken, ...] = (),
    name: str = "data",
) -> Dataset:
    """Every palette PNG of ``files`` as uint8 (N, H, W) numbers of its palette, kind "categories", in their order, with
    classes as for other images. ``size`` crops and resizes by taking the nearest pixel, which invents no category.

    Raises ``UserError`` for an image without a palette, for palettes that differ, and, if ``strict``, for any file that
    cannot be read.
    """
    listing = list_files(files, PICTURES, label, condition)
    with threads() as pool:
        with closing(parallel(pool, head_of, files.each(listing.files))) as heads:
            palette, sizes = _common(files, listing, heads)
        form, note = _form(sizes, size)
        read = partial(_read, form=form)
        rows, unusable = [], []
        with closing(parallel(pool, read, files.each(listing.files))) as decoded:
            for done, (file, found) in enumerate(zip(listing.files, decoded, strict=True), 1):
                rows.append(found) if isinstance(found, np.ndarray) else unusable.append(Broken(file, found))
                if progress is not None:
                    progress(done, len(listing.files))
    every = every_broken(files, listing, (*broken, *unusable), len(rows), "images", strict)
    x = np.stack(rows)
    codec = codec_of(np.unique(x).tolist(), palette, f"'{files.path}'")
    skipped = (f"{count(len(every), 'broken file')} skipped.",) if every else ()
    said = (
        f"Palette images: {codec.classes} categories, the numbers of one palette; color=rgb reads them as pictures.",
        *note,
    )
    return Dataset(
        name=name,
        kind="categories",
        x=torch.from_numpy(x),
        coded=to_config(codec),
        broken=every,
        notes=(*said, *listing.notes, *skipped),
        source=str(files.path),
        **told_by(listing, tuple(unusable)),
    )


def _common(files: Files, listing: Listing, heads: Iterator[Head | None]) -> tuple[tuple[Any, ...], set[Any]]:
    """The palette that all files share, and their sizes."""
    palette: tuple[tuple[int, ...], ...] = ()
    first, sizes = "", set()
    for name, head in zip(listing.files, heads, strict=True):
        if head is None:
            continue  # told as broken when it is decoded
        sizes.add(head.size)
        if head.palette is None:
            raise UserError(
                f"'{name}' in '{files.path}' has no palette, so its pixels are colours and not categories. Save all "
                "images with one palette (Pillow: image.quantize(palette=…)), or leave codec=palette out."
            )
        joined = _joined(palette, head.palette)
        if joined is None:
            place = next(i for i, (a, b) in enumerate(zip(palette, head.palette, strict=False)) if a != b)
            raise UserError(
                f"'{name}' and '{first}' in '{files.path}' have palettes that differ, first in colour {place}: "
                f"{head.palette[place]} and {palette[place]}. Save all images with one palette, or leave codec=palette "
                "out."
            )
        palette, first = joined, first or name
    return palette, sizes


def _form(sizes: set[tuple[int, int]], size: int | None) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """(width, height) to bring images to, None for as they are, and the sentence that says so."""
    if size is None and len(sizes) == 1 and max(next(iter(sizes))) <= KEPT:
        return None, ()
    edge, note = choose_size(iter(sizes), size)
    return (edge, edge), note


def _read(opener: Opener, form: tuple[int, int] | None) -> np.ndarray | str:
    """Numbers (H, W) uint8, or why there are none."""
    try:
        with opener() as file:
            try:
                with Image.open(file) as image:
                    return np.array(image if form is None else _nearest(image, form))
            except DAMAGE as error:
                return reason_for(file, error)
    except ARCHIVE_DAMAGE as error:
        return reason_for(None, error)


def _nearest(image: Image.Image, form: tuple[int, int]) -> Image.Image:
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return image.crop((left, top, left + edge, top + edge)).resize(form, Image.Resampling.NEAREST)
