"""A folder, an archive or a list of shards: what most of its files are decides how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scorefield.data.archives import PATTERN, expanded, is_archive, open_archives
from scorefield.data.asking import More
from scorefield.data.dataset import Broken, Dataset
from scorefield.data.files import ARCHIVES, Files, Folder
from scorefield.data.folder import open_folder
from scorefield.data.huggingface import HUB, is_saved, open_hub, open_saved
from scorefield.data.listing import PICTURES, RECORDINGS, folder_files
from scorefield.data.masks import are_palettes, open_masks
from scorefield.data.palette import PALETTE, as_categories
from scorefield.data.shards import open_shards
from scorefield.data.sounds import check, open_sounds
from scorefield.errors import UserError

ARRAYS, PARQUET = (".npy",), ".parquet"


def name_of(source: str) -> str:
    """What runs on a source are called: the folder's or the file's name without ending; that of its folder for shards,
    and without the owner for a data set of the Hugging Face hub."""
    path = Path(source.removeprefix(HUB)).expanduser()
    if source.startswith(HUB) or path.is_dir():
        return path.name or path.resolve().name or "data"
    if PATTERN.search(path.name):
        return path.resolve().parent.name or "data"
    ending = next((end for end in ARCHIVES if path.name.lower().endswith(end)), path.suffix)
    return path.name[: len(path.name) - len(ending)] or "data"


def is_tree(name: str) -> bool:
    """Whether a source holds many files rather than being one: a folder, an archive, a pattern of archives."""
    path = Path(name).expanduser()
    return path.is_dir() or (path.is_file() and is_archive(path)) or (not path.exists() and bool(PATTERN.search(name)))


def open_tree(name: str, more: More, *, size: int | None, color: str, **how: Any) -> Dataset:
    """Images, sounds or arrays, whichever most files are. ``how``: label, condition, strict, cache, progress.

    Raises ``UserError`` where there is nothing to learn from, and for options that do not apply to what is there."""
    path = Path(name).expanduser()
    if path.is_dir() and is_saved(path):
        return open_saved(path, more, size=size, color=color, **how)
    files, broken = _files(path, name)
    if type(files) is Folder and not any(_counts(files).values()) and any(n.endswith(PARQUET) for n in files.names):
        return replace(open_hub(f"{HUB}{path}", more, size=size, color=color, **how), source=str(path))
    kind = _kind(files)
    how |= {"name": name_of(name)}
    return KINDS[kind](files, broken, more, size=size, color=color, **how)


def _files(path: Path, name: str) -> tuple[Files, tuple[Broken, ...]]:
    if not path.is_dir():
        return open_archives(path, [path] if path.is_file() else expanded(name))
    files = folder_files(path)
    shards = [path / inner for inner in files.names if inner.lower().endswith(ARCHIVES)]
    return open_archives(path, shards) if shards and not any(_counts(files).values()) else (files, ())


def _counts(files: Files) -> dict[str, int]:
    """How many files there are of each kind; images win where it is a tie."""
    endings = {
        "images": tuple(f".{ending}" for ending in PICTURES.endings),
        "sounds": tuple(f".{ending}" for ending in RECORDINGS.endings),
        "arrays": ARRAYS,
    }
    return {kind: sum(name.lower().endswith(known) for name in files.names) for kind, known in endings.items()}


def _kind(files: Files) -> str:
    counts = _counts(files)
    return max(counts, key=counts.__getitem__)


def _images(
    files: Files, broken: tuple[Broken, ...], more: More, *, size: int | None, color: str, **how: Any
) -> Dataset:
    more.refuse("images", "codec")
    if more.codec == PALETTE or (more.codec is None and color == "auto" and are_palettes(files)):
        _no_pictures(None, color, "palette images")
        how.pop("cache")  # numbers of a palette unpack as fast as they are read
        return open_masks(files, broken=broken, size=size, **how)
    dataset = open_folder(files, broken=broken, size=size, color="gray" if more.codec else color, **how)
    return dataset if more.codec is None else as_categories(dataset, more.codec)


def _sounds(
    files: Files, broken: tuple[Broken, ...], more: More, *, size: int | None, color: str, **how: Any
) -> Dataset:
    more.refuse("sounds", "rate", "seconds")
    _no_pictures(size, color, "sounds")
    check(more.rate, more.seconds)
    return open_sounds(files, broken=broken, rate=more.rate, seconds=more.seconds, **how)


def _arrays(
    files: Files, broken: tuple[Broken, ...], more: More, *, size: int | None, color: str, **how: Any
) -> Dataset:
    more.refuse("a folder of .npy files")
    for option in ("label", "condition"):
        if how[option] is not None:
            raise UserError(
                f"{option}= does not apply to a folder of .npy files; classes go into labels.npy beside them."
            )
    if type(files) is not Folder:
        raise UserError(
            f"'{files.path}' holds .npy files, which are read where they lie. Unpack it and give the folder."
        )
    names = tuple(name for name in files.names if name.lower().endswith(ARRAYS))
    return open_shards(files.path, names, size=size, color=color)


def _no_pictures(size: int | None, color: str, what: str) -> None:
    for name, value in (("size", size), ("color", None if color == "auto" else color)):
        if value is not None:
            raise UserError(f"{name}= does not apply to {what}. Leave it out.")


KINDS: dict[str, Callable[..., Dataset]] = {"images": _images, "sounds": _sounds, "arrays": _arrays}
