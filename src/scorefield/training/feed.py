"""From the data to the device: the micro-batches of one step, encoded and ready for the objective."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core import Codec, Rng
from .distributed import World
from .order import Order, coins, mirrored
from .settings import Settings

FLIPS = 0, 0  # three numbers make a seed of flips; two one of order, four of noise, five of dropout
FRESH = 0, 1  # and three the noise of a codec that draws


class Data(Protocol):
    """What can be trained on; ``scorefield.data.Dataset`` is one."""

    @property
    def fingerprint(self) -> str:
        """Changes when the data change."""
        ...

    def __len__(self) -> int: ...

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """(B,) int64 → {"x": raw examples (B, *D), "label": (B,) int64 where there are classes}."""
        ...


class Feed:
    """The examples of each step for one process. On a GPU the next step's are read while this one computes."""

    def __init__(self, data: Data, codec: Codec, settings: Settings, world: World) -> None:
        self.data, self.codec, self.settings, self.world = data, codec, settings, world
        self.micro = settings.micro_batch(world.size)  # smaller when memory has run out
        self.share = settings.batch // world.size  # examples of a step that are this process's
        self._order = Order(len(data), settings.seed)
        self._ahead = ThreadPoolExecutor(1) if world.device.type == "cuda" else None
        self._waiting: tuple[int, Future[dict[str, Tensor]]] | None = None

    @property
    def accumulate(self) -> int:
        """Micro-batches of a step."""
        return self.share // self.micro

    def step(self, position: int) -> Iterator[tuple[int, Tensor, dict[str, Tensor]]]:
        """The micro-batches of the step that begins at ``position`` (examples seen before): where in the batch each
        one begins, x₀ and conditions."""
        raw, first = self._raw(position), self.world.rank * self.share
        for start in range(0, self.share, self.micro):
            part = {name: t[start : start + self.micro] for name, t in raw.items()}
            yield first + start, *self._encoded(part, position + first + start)

    def close(self) -> None:
        """End the reading thread."""
        if self._ahead is not None:
            self._ahead.shutdown(cancel_futures=True)

    def _raw(self, position: int) -> dict[str, Tensor]:
        if self._ahead is None:
            return self._read(position)
        ready = self._waiting[1].result() if self._waiting and self._waiting[0] == position else self._read(position)
        following = position + self.settings.batch
        self._waiting = following, self._ahead.submit(self._read, following)
        return ready

    def _read(self, position: int) -> dict[str, Tensor]:
        start = position + self.world.rank * self.share
        batch = self.data.batch(self._order.indices(start, self.share))
        if self.settings.flip:
            flip = coins(Rng.fold(self.settings.seed, *FLIPS), start, self.share)
            batch = batch | {"x": mirrored(batch["x"], flip)}
        return {name: t.pin_memory() for name, t in batch.items()} if self._ahead else batch

    def _encoded(self, raw: dict[str, Tensor], position: int) -> tuple[Tensor, dict[str, Tensor]]:
        """``position`` is that of the first example, counted over all steps: a codec that draws has a generator for
        each, whoever computes it."""
        if self.world.device.type == "mps" and raw["x"].dtype == torch.float64:  # of tables: it has no such numbers
            raw = raw | {"x": self.codec.encode(raw["x"])}
            return raw.pop("x").to(self.world.device), {name: t.to(self.world.device) for name, t in raw.items()}
        here = {name: t.to(self.world.device, non_blocking=True) for name, t in raw.items()}
        with torch.no_grad():
            x = here.pop("x")
            if not getattr(self.codec, "draws", False):
                return self.codec.encode(x), here
            places = range(position, position + len(x))
            rng = Rng.each(Rng.fold(self.settings.seed, *FRESH), places, self.world.device)
            drawing: Any = self.codec
            return drawing.encode(x, rng), here
