"""Decode once: decoded images and sounds are kept as a memory-mapped ``.npy`` in the user's cache folder.

An entry is a folder ``<key>/`` with ``images.npy`` and ``about.json``. It is written aside and renamed, so a reader
meets a whole entry or none. A cache that cannot be written costs a sentence, never the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

IN_MEMORY = 2**28
BLOCK = 2**24
A_DAY = 86_400.0


def cache_folder() -> Path:
    """``SCOREFIELD_CACHE``, else ``XDG_CACHE_HOME/scorefield``, else ``~/.cache/scorefield``."""
    own = os.environ.get("SCOREFIELD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(own) if own else Path(base) / "scorefield"


def cache_key(*parts: Any) -> str:
    """One name for everything that decides the decoded bytes; parts are JSON values."""
    return hashlib.blake2b(json.dumps(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def recall(key: str) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The examples of an entry (N, *D) and its account, or None where there is no whole entry.

    Up to 256 MiB are read into memory; more stays on a private, copy-on-write map.
    """
    entry = cache_folder() / key
    try:
        about = json.loads((entry / "about.json").read_text("utf-8"))
        images = np.load(entry / "images.npy", mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return (np.array(images) if images.nbytes <= IN_MEMORY else np.asarray(images)), about


class Rows:
    """Examples appended one at a time, to a new cache entry as long as the disk takes them, to memory after that."""

    def __init__(self, key: str, shape: tuple[int, ...], on_disk: bool, dtype: type[np.generic] = np.uint8) -> None:
        self.key, self.shape, self.dtype = key, shape, np.dtype(dtype)
        self.count = 0
        self.note: str | None = None
        self._pending: list[np.ndarray] = []
        self._blocks: list[np.ndarray] = []
        self._written = 0
        self._part = cache_folder() / f"{key}.part"
        self._file: IO[bytes] | None = None
        if on_disk:
            self._begin()

    def append(self, row: np.ndarray) -> None:
        """One example (*D)."""
        self._pending.append(row)
        self.count += 1
        if len(self._pending) * row.nbytes >= BLOCK:
            self._flush()

    def finish(self, about: dict[str, Any]) -> np.ndarray:
        """All rows as (N, *D), from the entry if it could be written, with ``about`` beside it."""
        self._flush()
        if self._file is not None:
            try:
                self._commit(about)
            except OSError as error:
                self._to_memory(error)
        entry = recall(self.key) if self._file is not None else None
        if entry is not None:
            return entry[0]
        return np.concatenate([np.zeros((0, *self.shape), self.dtype), *self._blocks])

    def drop(self) -> None:
        """Forgets everything: what was written so far turned out to be of the wrong shape."""
        if self._file is not None:
            self._file.close()
            self._file = None
        shutil.rmtree(self._part, ignore_errors=True)

    def _begin(self) -> None:
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._part = Path(tempfile.mkdtemp(".part", f"{self.key}.", folder))  # one for each writer
            _remove_stale_parts(folder)
            self._file = open(self._part / "images.npy", "w+b")  # noqa: SIM115 (lives as long as the rows arrive)
            self._write_header(self._file)
        except OSError as error:
            self._to_memory(error)

    def _write_header(self, file: IO[bytes]) -> None:
        # NumPy pads this header so that the first axis can grow in place, which is how the count gets in at the end.
        header = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.count, *self.shape)}
        file.seek(0)
        npy.write_array_header_1_0(file, header)

    def _flush(self) -> None:
        if not self._pending:
            return
        block, self._pending = np.stack(self._pending), []
        if self._file is None:
            self._blocks.append(block)
            return
        try:
            self._file.write(block.data.cast("B"))
            self._file.flush()
            self._written += len(block)
        except OSError as error:
            self._to_memory(error)
            self._blocks.append(block)

    def _commit(self, about: dict[str, Any]) -> None:
        file = self._file
        assert file is not None
        self._write_header(file)
        file.flush()
        os.fsync(file.fileno())
        (self._part / "about.json").write_text(json.dumps(about), "utf-8")
        if recall(self.key) is None:  # another process may have written the same entry meanwhile
            file.close()
            target = self._part.parent / self.key
            shutil.rmtree(target, ignore_errors=True)
            os.rename(self._part, target)
        else:
            file.close()
            shutil.rmtree(self._part, ignore_errors=True)

    def _to_memory(self, error: OSError) -> None:
        if self._file is not None:
            with suppress(OSError, ValueError):
                self._file.close()
        self._file = None
        if self._written:
            count = self._written * int(np.prod(self.shape))
            images = np.memmap(self._part / "images.npy", self.dtype, "r", offset=_header_length(self._part))
            self._blocks = [np.array(images[:count]).reshape(-1, *self.shape)]
        shutil.rmtree(self._part, ignore_errors=True)
        self.note = (
            f"The cache folder '{cache_folder()}' cannot be written ({error.strerror or error}), so decoded data stay "
            "in memory and are decoded again next time. Set SCOREFIELD_CACHE to a folder with room to spare."
        )


def _header_length(part: Path) -> int:
    with open(part / "images.npy", "rb") as file:
        npy.read_magic(file)
        npy.read_array_header_1_0(file)
        return file.tell()


def _remove_stale_parts(folder: Path) -> None:
    """A process killed while decoding leaves its part behind; after a day nobody is writing it."""
    for part in folder.glob("*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > A_DAY:
                shutil.rmtree(part, ignore_errors=True)


def stamps(folder: Path, names: Sequence[str]) -> list[list[str | int]]:
    """[name, size, modification time] of each file: what tells an unchanged folder without opening its images."""
    found: list[list[str | int]] = []
    for name in names:
        with suppress(OSError):
            status = (folder / name).stat()
            found.append([name, status.st_size, status.st_mtime_ns])
    return found
