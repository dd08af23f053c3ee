"""The state of a training run: what one step changes, and what a checkpoint holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Codec, Objective, Rng
from ..errors import UserError
from . import memory, sharding
from .distributed import World
from .draws import Draws
from .ema import PowerEMA
from .events import Squeezed
from .feed import Data, Feed
from .layout import Layout, Whole
from .optim import Guard, adamw, clip_to, guarded_step, learning_rate
from .precision import TOLERATED, Computing, dropout_seeded
from .saving import HISTORY
from .settings import Settings

DROPOUT = 0  # fifth number of the seeds of dropout
CAREFUL = 2  # steps after which what memory they take is known: until then processes compute apart, so that one that
# runs out of it can still tell the others


class LossOf(nn.Module):
    """Denoiser and objective as one module, so that whatever gathers gradients between processes sees the whole
    backward pass, also of an objective that calls the denoiser twice or has weights of its own."""

    def __init__(self, denoiser: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.denoiser: Any = denoiser
        self.objective = objective

    def forward(self, x0: Tensor, rng: Rng, cond: dict[str, Tensor]) -> Tensor:
        """Mean loss of a micro-batch, (B, *D) → ()."""
        return self.objective(self.denoiser, x0, rng, **cond).mean()


class Trainer:
    """One optimiser step after another. ``steps``, ``images`` and ``seconds`` count over all sessions, and the first
    two say everything about the data order and the noise to come."""

    def __init__(
        self,
        denoiser: nn.Module,
        data: Data,
        codec: Codec,
        objective: Objective,
        settings: Settings,
        world: World,
        how: Computing,
    ) -> None:
        self.settings, self.world, self.how, self.data = settings, world, how, data
        self.feed = Feed(data, codec, settings, world)
        self._event = event_of(data, codec)
        self.denoiser = denoiser if how.shard else denoiser.to(world.device)
        self.loss_of = LossOf(self.denoiser, objective).train()
        how.prepare(self.denoiser)
        self._recompute(memory.switches(self.denoiser) if how.recompute else [])
        self.layout: Layout = (
            sharding.Sharded(self.loss_of, world) if how.shard else Whole(self.loss_of.to(world.device), world)
        )
        self.named = self.layout.named
        if not self.named:
            raise UserError(
                "The denoiser has no weights that can be trained: every parameter is frozen, or there is none."
            )
        self.optimizer, self.scaler = adamw(self.named, settings, world.device), how.scaler()
        self.ema = PowerEMA(self.layout.averaged, settings.ema)
        self.guard = Guard(world.device, TOLERATED[how.precision])
        self.steps, self.images, self.seconds = 0, 0, 0.0
        self.history: deque[tuple[int, float]] = deque(maxlen=HISTORY)
        self.norm, self.lr = torch.zeros((), device=world.device), 0.0
        self.start_loss(0.0, 0)
        self._since_change = 0  # steps with this micro-batch
        self.squeezed: list[Squeezed] = []  # not yet told
        self.fused = any(group.get("fused") for group in self.optimizer.param_groups)

    def gather(self) -> None:
        """Average gradients between the processes from now on, and give all of them the weights of the first."""
        if self.world.size > 1:
            self.layout.gather(not self.how.shard and self._some_unused())

    def step(self, progress: float) -> None:
        """One optimiser step; ``progress`` is the share of the run that is done. A step whose loss or gradient is not
        finite leaves the weights as they are (see ``Guard``)."""
        self.lr = learning_rate(self.settings, self.steps, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        loss = self._gradients()
        if self.scaler.is_enabled():
            self.scaler.unscale_(self.optimizer)
        self.norm = clip_to((p for _, p in self.named), self.settings.clip, self.layout.total)
        bad = self.guard.see(loss, self.norm, self.steps + 1)
        guarded_step(self.optimizer, self.scaler, bad, self.fused)
        self.layout.clear()
        self.steps, self.images = self.steps + 1, self.images + self.settings.batch
        self.ema.update(self.images / self.settings.batch)
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1

    def told(self) -> list[Squeezed]:
        """What happened to memory since the last call."""
        news, self.squeezed = self.squeezed, []
        return news

    def averaged(self) -> nn.Module:
        """The averaged denoiser to look at, in eval mode; overwritten by the next call. All processes call it."""
        return self.layout.view(self.ema)

    def mean_loss(self) -> float:
        """The mean over processes and over the steps since the last call; remembered in ``history``."""
        loss = self.world.mean(float(self.loss_sum) / max(1, self.loss_count))
        self.start_loss(0.0, 0)
        self.history.append((self.steps, loss))
        return loss

    def start_loss(self, total: float, count: int) -> None:
        """Begin a new mean of the loss, or go on with one: its sum and the steps in it."""
        self.loss_sum, self.loss_count = self._total(total), count

    def _gradients(self, alone: bool = False) -> Tensor:
        """Gradients of the mean loss over the whole batch; returns this process's share of that loss, (). Where memory
        runs out it begins anew with smaller micro-batches. ``alone`` leaves the gradients of each process as they are.
        """
        buffers = [b.clone() for b in self.loss_of.buffers()]
        while True:
            apart = alone or self._since_change < CAREFUL
            total = self._attempt(apart)
            short = self.layout.short(total is None, apart)
            if total is not None and not short:
                if not alone:
                    self.layout.collect(apart)
                    self._since_change += 1
                return total
            self._squeeze()
            self._put_back(buffers)

    def _attempt(self, apart: bool) -> Tensor | None:
        """All micro-batches of this process; None where its memory ran out."""
        total, model = self._total(0.0), self.layout.model(apart)
        draws = Draws(self.settings.seed, self.steps, self.settings.batch, self._event, self.world.device)
        try:
            for start, x0, cond in self.feed.step(self.images):
                dropout = Rng.fold(self.settings.seed, self.steps, start, 0, DROPOUT)
                last = start + self.feed.micro == (self.world.rank + 1) * self.feed.share
                with self.layout.silent(model, last), dropout_seeded(dropout, self.world.device):
                    with self.how.autocast():
                        loss = model(x0, draws.part(start, len(x0)), cond) / self.feed.accumulate
                    self.scaler.scale(loss).backward()
                total = total + loss.detach()
        except (MemoryError, RuntimeError) as error:
            if not memory.exhausted(error):
                raise
            return None
        return total

    def _squeeze(self) -> None:
        """Go on with smaller micro-batches, on all processes. Raises UserError where that cannot be."""
        feed, world = self.feed, self.world
        self.layout.clear()
        if world.device.type == "cuda":
            torch.cuda.empty_cache()
        micro = memory.smaller(feed.share, feed.micro)
        kept = [part for part in memory.switches(self.denoiser) if not part.checkpoint]
        if micro is None and (not kept or self.settings.recompute != "auto"):
            raise UserError(memory.too_small(self.settings.batch, ", recompute=yes" if kept else ""))
        if micro is None:
            micro, message = feed.micro, memory.told_recompute()
            self._recompute(kept)
        else:
            message = memory.told(micro, feed.share, world.size)
        feed.micro, self._since_change = micro, 0
        self.squeezed.append(Squeezed(self.steps, micro, feed.accumulate, message))

    def _recompute(self, parts: list[Any]) -> None:
        for part in parts:
            part.checkpoint = True

    def _some_unused(self) -> bool:
        """Whether a weight takes no part in the loss: DDP waits forever for gradients it was not told to miss."""
        buffers = [b.clone() for b in self.loss_of.buffers()]
        self._gradients(alone=True)
        unused = any(p.grad is None for _, p in self.named)
        self.layout.clear()
        self._put_back(buffers)
        return self.world.largest(float(unused))[0] > 0

    @torch.no_grad()
    def _put_back(self, buffers: list[Tensor]) -> None:
        for buffer, before in zip(self.loss_of.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def _total(self, value: float) -> Tensor:
        dtype = torch.float32 if self.world.device.type == "mps" else torch.float64
        return torch.tensor(value, dtype=dtype, device=self.world.device)


def event_of(data: Data, codec: Codec) -> Sequence[int]:
    """The shape of one encoded example."""
    if len(data) == 0:
        raise UserError("There are no examples to train on.")
    return codec.encode(data.batch(torch.zeros(1, dtype=torch.int64))["x"]).shape[1:]
