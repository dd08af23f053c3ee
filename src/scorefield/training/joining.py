"""Joining the world that a launcher made: torchrun, or whatever else sets RANK and WORLD_SIZE for each process."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import torch
import torch.distributed as dist

from ..errors import UserError

PATIENCE = timedelta(hours=1)  # how long processes wait for one that saves or draws a preview
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


def launched() -> int:
    """How many processes a launcher started, this one among them; 1 without a launcher."""
    environment = os.environ
    return int(environment["WORLD_SIZE"]) if "RANK" in environment and "WORLD_SIZE" in environment else 1


def check_launched(devices: int | None) -> None:
    """Raises UserError when ``devices`` is not the number of processes that a launcher started."""
    if launched() > 1 and devices not in (None, launched()):
        raise UserError(
            f"devices={devices} were asked for, but the launcher started {launched()} processes. Drop devices=."
        )


def join(device: torch.device) -> None:
    """Make this process a member of the launcher's world, for as long as it lives. Does nothing in a world of one, or
    the second time.

    Raises UserError: no GPU for this process, no NCCL, another version of torch on another process."""
    if launched() == 1 or (dist.is_available() and dist.is_initialized()):
        return
    missing = [name for name in ADDRESS if name not in os.environ]
    if missing:
        raise UserError(
            f"RANK and WORLD_SIZE are set as by a launcher, but {' and '.join(missing)} are not. Start scorefield with "
            "torchrun, or unset RANK and WORLD_SIZE."
        )
    open_group(device)
    atexit.register(_leave)
    _same_versions()


def open_group(device: torch.device) -> None:
    """The process group: gloo for what lies on the CPU (agreeing to stop, too), NCCL for what lies on GPUs.

    Raises UserError where this machine lacks what several processes need."""
    check_backend(device)
    if device.type == "cuda":
        torch.cuda.set_device(local_gpu())
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def check_backend(device: torch.device) -> None:
    """Raises UserError where this build of torch cannot do several processes on ``device``."""
    if not dist.is_available():
        raise UserError("This build of torch has no torch.distributed, so it trains in one process. Use devices=1.")
    if device.type == "cuda" and not dist.is_nccl_available():
        raise UserError(
            "Several GPUs need NCCL, which this build of torch lacks (on Windows none has it). "
            "Use devices=1, or device=cpu."
        )


def local_gpu() -> int:
    """The number of this process's GPU on its machine. Raises UserError where there are fewer GPUs than processes."""
    local, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= count:
        raise UserError(
            f"Process {os.environ.get('RANK', '0')} is number {local + 1} on its machine, which has {count} GPU"
            f"{'s' * (count != 1)}. Start one process for each GPU (torchrun --nproc-per-node={count})."
        )
    return local


def _same_versions() -> None:
    """Processes that compute differently would not train one model."""
    own = f"torch {torch.__version__}"
    all_of_them: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(all_of_them, own)
    if all_of_them[0] != own:
        raise UserError(
            f"Process {dist.get_rank()} runs {own}, the first one {all_of_them[0]}. Install the same on all machines."
        )


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
