"""When memory runs out: which errors say so, and what a smaller micro-batch would be."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SAYINGS = (  # how allocators that raise a plain RuntimeError put it
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "out of memory",
    "could not create a memory object",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def exhausted(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in SAYINGS)


def smaller(share: int, micro: int) -> int | None:
    """The largest micro-batch of at most half of ``micro`` that cuts a share evenly; None below one example."""
    return next((size for size in range(micro // 2, 0, -1) if share % size == 0), None)


def switches(module: nn.Module) -> list[Any]:
    """The parts of a network that can compute their blocks again in the backward pass: ``checkpoint`` says whether."""
    return [part for part in module.modules() if isinstance(getattr(part, "checkpoint", None), bool)]


def told(micro: int, share: int, processes: int) -> str:
    """The sentence about a micro-batch that was made smaller to ``micro`` of a process's ``share``."""
    each = f" on each of {processes} processes" if processes > 1 else ""
    return (
        f"Memory ran out, so from here on {share // micro} micro-batches of {micro} example{'s' * (micro != 1)}{each} "
        f"make the same batch of {share * processes} in the same order. accumulate={share // micro} says so from the "
        "start."
    )


def told_recompute() -> str:
    """The sentence about activations that are no longer kept."""
    return (
        "Memory ran out with one example at a time, so from here on activations are computed again in the backward "
        "pass instead of being kept: slower, the same result. recompute=yes says so from the start."
    )


def too_small(batch: int, recompute: str) -> str:
    """The sentence when one example at a time is still too much."""
    return (
        f"Memory ran out with one example at a time: batch={batch} is not what is too large. Use a smaller network "
        f"(channels=...), a smaller size=...{recompute}, or a device with more memory."
    )


def late(rank: int) -> str:
    """The sentence when it happened to one process while others already wait for it."""
    return (
        f"Memory ran out on process {rank} alone, where the others could not be told. Give the same command with "
        "accumulate=2 (or twice what it is): it goes on from the last checkpoint, with the same batch."
    )
