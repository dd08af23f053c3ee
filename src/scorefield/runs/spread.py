"""Work on a run that several processes share: each computes its part, and all get the whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import torch

from scorefield.runs import build, coding, weights
from scorefield.training import World, check_devices, check_launched, current_world, join, launch, launched

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

P = ParamSpec("P")
T = TypeVar("T")
NUMBERS_AT_ONCE = {"cpu": 16_384, "gpu": 2_000_000}  # of x_t; a batch is as many examples as hold this many,
BATCH_LIMITS = {"cpu": (16, 2048), "gpu": (1, 2048)}  # within these


def batch_of(shape: tuple[int, ...], device: str = "cuda") -> int:
    """How many examples of ``shape`` are computed at once when nobody says. The number of processes has no part in it:
    examples of one batch are rounded together, so that samples do not depend on who draws them. A CPU is as fast with
    few as with many, and several processes can share the batches."""
    kind = "cpu" if device == "cpu" else "gpu"
    low, high = BATCH_LIMITS[kind]
    return max(low, min(high, NUMBERS_AT_ONCE[kind] // math.prod(shape)))


def parts_of(n: int, size: int) -> list[range]:
    """0 … n − 1 in batches of at most ``size``, as equal as can be."""
    count = -(-n // size)
    edges = [k * n // count for k in range(count + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def own_parts(parts: list[T], world: World) -> list[T]:
    """The parts of this process."""
    return parts[world.rank :: world.size]


def collected(own: list[T], world: World) -> list[T]:
    """The parts of all processes, in their order, on all of them."""
    each = world.gathered(own)
    return [each[k % world.size][k // world.size] for k in range(sum(map(len, each)))]


def over_processes(work: Callable[Concatenate[Run, P], T]) -> Callable[Concatenate[Run, P], T]:
    """Give ``work(run, …, devices=N)`` its processes: it is called in each of N, which form one world, and what the
    first returns is returned. Processes that a launcher started are used; otherwise they are started for this call,
    without ``progress``, which stays in its own process."""

    @wraps(work)
    def shared(run: Run, *args: P.args, **options: P.kwargs) -> T:
        devices: Any = options.get("devices")
        if devices in (None, 1) or sharing(devices, run.device).size > 1:
            return work(run, *args, **options)
        check_devices(devices, run.device)
        with TemporaryDirectory(prefix="scorefield-") as folder:
            tensors = run.denoiser.state_dict() | coding.tensors_of(run)
            file = weights.write(Path(folder) / "model.safetensors", tensors, run.config, run.step)
            bare = replace(run, denoiser=None, codec=None, device=torch.device(run.device.type))
            return launch(
                _part, (shared, str(file), bare, args, {**options, "progress": None}), devices, bare.device.type
            )

    return shared


def sharing(devices: int | None, device: torch.device) -> World:
    """The world that shares the work: this process alone, unless several were asked for and are there. Raises UserError
    where a launcher started another number of them."""
    alone = World(0, 1, device)
    if devices in (None, 1):
        return alone
    if not torch.distributed.is_available() or not (launched() > 1 or torch.distributed.is_initialized()):
        return alone
    check_launched(devices)
    join(device)
    return current_world(device.type)


def _part(work: Callable[..., Any], file: str, run: Run, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """One of the processes that were started for a call: the same weights on its own device."""
    device = current_world(run.device.type).device
    denoiser, tensors = build.denoiser(run.config), weights.read(Path(file)).tensors
    weights.fill(denoiser, coding.of_network(tensors), Path(file))
    denoiser, codec = denoiser.to(device).eval().requires_grad_(False), coding.load(run.config, None, tensors, device)
    return work(replace(run, denoiser=denoiser, codec=codec, device=device), *args, **options)
