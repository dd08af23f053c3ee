"""The part of a checkpoint that every process writes and reads for itself (``torch.distributed.checkpoint``, DCP).

A shard knows its place in the whole tensor, so any number of processes can read what any other number wrote. The index
of a folder of shards is a pickle, which torch reads: resume from sharded checkpoints of your own only.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .distributed import World

FOLDER = "shards"  # in the folder of a checkpoint


def save(folder: Path, tensors: Mapping[str, Any], world: World) -> dict[str, tuple[int, int]]:
    """Every process writes what it holds of ``tensors`` into ``folder``; returns size and checksum of all files, by
    their names beside the folder. Raises OSError where one of them cannot write."""
    import torch.distributed.checkpoint as dcp

    world.largest(0)  # the first process has made the folder
    with _as_errors():
        dcp.save(dict(tensors), storage_writer=dcp.FileSystemWriter(folder, single_file_per_rank=True))
    own = [p for p in folder.iterdir() if p.name.startswith(f"__{world.rank}_") or (world.main and p.name[0] == ".")]
    found = {f"{folder.name}/{p.name}": (p.stat().st_size, zlib.crc32(p.read_bytes())) for p in own}
    return {name: entry for part in world.gathered(found) for name, entry in part.items()}


def names(folder: Path) -> dict[str, Any]:
    """What was saved in ``folder``: name → its ``size`` and ``properties.dtype``."""
    import torch.distributed.checkpoint as dcp

    return dict(dcp.FileSystemReader(folder).read_metadata().state_dict_metadata)


def load(folder: Path, tensors: dict[str, Any], together: bool) -> None:
    """Fill ``tensors`` in place, each process with its own part. ``together``: all processes of a world do so at once;
    otherwise this one reads by itself. Raises RuntimeError where the sizes are not those that were saved."""
    import torch.distributed.checkpoint as dcp

    with _as_errors(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        dcp.load(tensors, storage_reader=dcp.FileSystemReader(folder), no_dist=not together)


def whole(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The whole tensors under ``prefix``, on the CPU, by the rest of their names."""
    found = {name: entry for name, entry in names(folder).items() if name.startswith(f"{prefix}/")}
    tensors = {name: torch.empty(entry.size, dtype=entry.properties.dtype) for name, entry in found.items()}
    load(folder, tensors, together=False)
    return {name.removeprefix(f"{prefix}/"): t for name, t in tensors.items()}


@contextmanager
def _as_errors() -> Iterator[None]:
    """DCP wraps what went wrong on any process in an exception that no ``except Exception`` would see."""
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        yield
    except CheckpointException as error:
        first = next(iter(error.failures.values()))[0]
        if isinstance(first, OSError):
            raise OSError(first.errno, first.strerror) from error
        raise RuntimeError(str(first)) from error
