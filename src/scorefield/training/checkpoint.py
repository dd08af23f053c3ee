"""Checkpoints that are either whole or not there: written aside, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from ..errors import UserError
from . import shards

FORMAT = "scorefield.checkpoint/1"
STATE = "state.json"
PREFIX = "step-"
ASIDE = ".writing-"  # a name no reader looks at
SNAPSHOTS = "snapshots"  # the folder of averages beside the checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """A complete folder ``step-00000500``: safetensors files and a ``state.json`` that lists them."""

    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return self.state["step"]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of ``name.safetensors``, on the CPU; whole also where they were saved in shards."""
        file = self.path / f"{name}.safetensors"
        if self.sharded and not file.is_file():
            return shards.whole(self.path / shards.FOLDER, name)
        return load(file.read_bytes())

    @property
    def sharded(self) -> bool:
        """Whether each process wrote its own part of the weights and of the optimiser."""
        return bool(self.state.get("sharded"))


def write(
    folder: Path,
    step: int,
    tensors: dict[str, dict[str, Tensor]],
    state: dict[str, Any],
    keep: int,
    metadata: dict[str, str],
    sharded: Callable[[Path], dict[str, tuple[int, int]]] | None = None,
) -> Path:
    """Write checkpoint ``step`` into ``folder`` and remove all but the newest ``keep``; returns its path.

    ``tensors`` are the files by name; ``metadata`` goes into the header of each; ``sharded`` writes the folder of
    shards that it is given, together with the other processes, and returns size and checksum of its files. Until the
    last rename nothing that was there is touched. Raises UserError when the disk is full or not writable; the
    half-written files are gone then.
    """
    final, aside = folder_of(folder, step), aside_of(folder, step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        aside.mkdir()
        files = {}
        for name, content in tensors.items():
            files[f"{name}.safetensors"] = _write_file(aside / f"{name}.safetensors", _packed(content, metadata))
        files |= {} if sharded is None else sharded(aside / shards.FOLDER)
        record = {"format": FORMAT, "step": step, **state, "files": files}
        _write_file(aside / STATE, json.dumps(record, indent=1).encode())
        _flush_folder(aside)
        if final.exists():  # an unreadable one, or the one this run resumed from
            os.replace(final, folder / f"{ASIDE}old-{step:08d}")
        os.replace(aside, final)
        _flush_folder(folder)
        _sweep(folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UserError(_refusal(folder, step, error)) from error
    earlier = [path for path in _folders(folder) if path.name < final.name]  # a torn later one is nobody's to delete
    for old in earlier[keep - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def aside_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is written before it is whole."""
    return folder / f"{ASIDE}{step:08d}"


def folder_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` lies."""
    return folder / f"{PREFIX}{step:08d}"


def newest(folder: Path, warnings: list[str] | None = None) -> Checkpoint | None:
    """The newest checkpoint that is whole. What is torn is left alone; a sentence about it is added to ``warnings``."""
    for path in _folders(folder):
        checkpoint, fault = read(path)
        if checkpoint is not None:
            return checkpoint
        if warnings is not None:
            warnings.append(f"{path.name} is not usable ({fault}); an older checkpoint is taken.")
    return None


def set_aside(folder: Path) -> None:
    """Move all checkpoints, and the snapshots that belong to them, into a folder ``replaced-1`` (or 2, …): a fresh
    start must not resume from them later."""
    found = [*_folders(folder), *folder.glob(SNAPSHOTS)]
    if found:
        number = 1 + len(list(folder.glob("replaced-*")))
        (folder / f"replaced-{number}").mkdir()
        for path in found:
            os.replace(path, folder / f"replaced-{number}" / path.name)


def read(path: Path) -> tuple[Checkpoint | None, str]:
    """The checkpoint at ``path``, or None and what is wrong with it. Sizes and checksums of all files are compared."""
    try:
        state = json.loads((path / STATE).read_text())
        if state.get("format") != FORMAT:
            return None, f"its format is {state.get('format')!r}, not {FORMAT!r}"
        for name, (size, checksum) in state["files"].items():
            content = (path / name).read_bytes()
            if len(content) != size:
                return None, f"{name} has {len(content)} of {size} bytes"
            if zlib.crc32(content) != checksum:
                return None, f"{name} has changed since it was written"
    except FileNotFoundError as error:
        return None, f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return None, f"{STATE} cannot be read: {error}"
    return Checkpoint(path, state), ""


def _packed(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    # Cloned, because safetensors refuses tensors that share memory (tied weights).
    return save({name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}, metadata)


def _write_file(path: Path, content: bytes) -> tuple[int, int]:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return len(content), zlib.crc32(content)


def _flush_folder(folder: Path) -> None:
    """Make renames durable. Windows cannot open a folder, and needs no such flush."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    found = [p for p in folder.glob(f"{PREFIX}*") if p.is_dir() and p.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=lambda p: int(p.name.removeprefix(PREFIX)), reverse=True)


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written, and replaced checkpoints."""
    for path in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(path, ignore_errors=True)


def _refusal(folder: Path, step: int, error: OSError) -> str:
    last = newest(folder)
    stands = f"The last good checkpoint, step {last.step}, stands." if last else "There is no earlier checkpoint."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full: the checkpoint of step {step} could not be written to {folder}. {stands} "
            "Free some space and run the same command again."
        )
    return f"The checkpoint of step {step} could not be written to {folder}: {error.strerror}. {stands}"
