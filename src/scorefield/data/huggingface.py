"""Hugging Face data sets: by name, saved to disk, or as Parquet files. Only here is ``datasets`` imported."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from scorefield.data.asking import More
from scorefield.data.dataset import Dataset
from scorefield.data.hub_rows import dataset_of, read_front
from scorefield.errors import UserError, suggest

HUB = "hf:"
SITE = "https://huggingface.co"
PATIENCE = 3.0  # seconds to find out whether there is a network
SAVED = ("dataset_dict.json", "state.json")
TRAINING = "train"
FILES = {".jsonl": "json", ".arrow": "arrow", ".txt": "text"}  # ending → loader, where they differ
FRONT = 50_000  # examples of a stream, unless told otherwise
DAMAGE = (OSError, ValueError, KeyError, RuntimeError)  # what loading raises for names, splits, files and connections


def is_hub(name: str) -> bool:
    """Whether a source is a name on the hub, ``hf:owner/name``."""
    return name.startswith(HUB)


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by ``datasets.save_to_disk``."""
    return any((folder / name).is_file() for name in SAVED)


def open_hub(name: str, more: More, **how: Any) -> Dataset:
    """``hf:owner/name``, or ``hf:PATH`` for a local file or folder that ``datasets.load_dataset`` understands.

    ``split=`` and ``config=`` choose a part; ``streaming=yes`` reads the first ``examples=`` of it over the network
    into the cache folder, and nothing more. Raises ``UserError`` where there is no network (within three seconds, or at
    once under HF_HUB_OFFLINE=1 unless it was downloaded before), for unknown names, parts and configurations."""
    more.refuse("a Hugging Face data set", "split", "config", "streaming", "examples", "rate", "seconds", "columns")
    where = name.removeprefix(HUB)
    if not where:
        raise UserError("hf: needs a name, such as hf:ylecun/mnist.")
    if more.examples is not None and not more.streaming:
        raise UserError("examples= says how much of a stream is read. Write streaming=yes, or leave it out.")
    library = _library()
    local = Path(where).expanduser().exists()
    if not local and not offline():
        _check_network(name)

    def load(split: str, streaming: bool) -> Any:
        return _loaded(library, name, where, more.config, split, streaming)

    split = more.split or TRAINING
    if more.streaming:
        dataset = read_front(name, lambda: load(split, True), (more.config, split), more.examples or FRONT, more, **how)
    else:
        dataset = dataset_of(load(split, False), name, more, **how)
    return replace(dataset, source=name)


def open_saved(folder: Path, more: More, **how: Any) -> Dataset:
    """A folder that ``save_to_disk`` wrote; of several parts ``split=`` is taken, otherwise train.

    Raises ``UserError`` for a damaged folder and an unknown part."""
    more.refuse("a saved Hugging Face data set", "split", "rate", "seconds", "columns")
    library = _library()
    try:
        found = library.load_from_disk(str(folder))
    except DAMAGE as error:
        raise UserError(f"'{folder}' cannot be read as a saved data set ({_first_line(error)}).") from error
    if type(found) is library.DatasetDict:
        found = _part(found, more.split or TRAINING, f"'{folder}'")
    elif more.split is not None:
        raise UserError(f"'{folder}' holds one part, so split={more.split} does not apply. Leave it out.")
    return replace(dataset_of(found, str(folder), more, **how), source=str(folder))


def offline() -> bool:
    """Whether the environment forbids the network."""
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise UserError('Hugging Face data sets need the library datasets: pip install "scorefield[data]".') from error
    return datasets


def _check_network(name: str, connect: Callable[..., Any] = socket.create_connection) -> None:
    """Asks for a connection and hangs up: the library itself would try for half a minute."""
    site = urlsplit(os.environ.get("HF_ENDPOINT") or SITE)
    proxy = getproxies().get(site.scheme)
    host = urlsplit(proxy if proxy is None or "//" in proxy else f"//{proxy}") if proxy else site
    try:
        connect((host.hostname, host.port or 443), timeout=PATIENCE).close()
    except OSError as error:
        raise UserError(
            f"{name} lies on {site.hostname}, which cannot be reached from here ({error.strerror or error}). Save it "
            "where there is a network (datasets.load_dataset(...).save_to_disk(FOLDER)) and give the folder, or set "
            "HF_HUB_OFFLINE=1 to use what was downloaded before."
        ) from error


def _loaded(library: Any, name: str, where: str, config: str | None, split: str, streaming: bool) -> Any:
    path = Path(where).expanduser()
    given = {"path": str(path) if path.is_dir() else where, "name": config}
    if path.is_file():
        given = {"path": FILES.get(path.suffix.lower(), path.suffix[1:]), "data_files": str(path)}
    try:
        found = library.load_dataset(**given, streaming=streaming)
    except DAMAGE as error:
        advice = (
            " It is not among what was downloaded before, and HF_HUB_OFFLINE forbids the network." if offline() else ""
        )
        raise UserError(f"{name} cannot be loaded: {_first_line(error)}{advice}") from error
    return _part(found, split, name)


def _part(parts: Any, split: str, where: str) -> Any:
    if split not in parts:
        only = next(iter(parts)) if len(parts) == 1 else None
        if split == TRAINING and only is not None:
            return parts[only]
        raise UserError(f"{where} has no part split={split}.{suggest(split, list(parts))}")
    return parts[split]


def _first_line(error: BaseException) -> str:
    text = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return text if text.endswith(".") else f"{text}."
