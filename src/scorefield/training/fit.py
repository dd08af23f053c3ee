"""The training loop. There is one, for one process and for many; everything that watches it is a loop over it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import torch
from torch import nn

from ..core import Codec, Objective
from ..errors import UserError
from . import checkpoint, memory, saving, snapshots
from .distributed import World, current_world
from .events import Event, FitResult, Logged, PreviewDue, Saved, Started, Stopped
from .feed import Data
from .precision import choose, fast_kernels
from .settings import Settings
from .sharding import decided
from .stopping import StopRequest
from .trainer import Trainer, event_of


def training_steps(
    denoiser: nn.Module,
    data: Data,
    codec: Codec,
    objective: Objective,
    settings: Settings,
    checkpoints: Path | str | None = None,
    *,
    device: str = "auto",
    fresh: bool = False,
    metadata: dict[str, str] | None = None,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Event]:
    """Train ``denoiser`` in place and tell what happens: ``Started``, then ``Logged``, ``Saved`` and ``PreviewDue`` as
    they fall due, at last ``Stopped``.

    ``objective(denoiser, x₀, rng, **cond)`` is minimised over ``codec.encode(data)``; ``label`` is passed on when the
    data have one. With a folder ``checkpoints`` the run resumes from the newest whole one in it (``fresh`` moves them
    aside instead) and saves there at its end, also when interrupted. What a step computes is a function of the weights
    and of numbers (seed, step, place in the batch), whoever computes it: on a CPU an interrupted and resumed run is the
    uninterrupted one bit for bit, unless it is limited by minutes. Whoever takes the events may sample, draw random
    numbers or stop listening; training is not disturbed. Every process of a world yields the same events; only the
    first writes.
    ``metadata`` goes into the header of each file.

    Raises UserError when the settings do not fit the data or the processes, the checkpoint belongs to other data, or
    the disk refuses; KeyboardInterrupt at a second signal.
    """
    world = current_world(device)
    settings.micro_batch(world.size)
    shard, can_recompute = decided(settings, world, denoiser), bool(memory.switches(denoiser))
    how = choose(settings, world.device, event_of(data, codec), shard, can_recompute)
    trainer = Trainer(denoiser, data, codec, objective, settings, world, how)
    run = _Run(trainer, None if checkpoints is None else Path(checkpoints), metadata or {}, clock)
    with ExitStack() as stack:
        stack.callback(trainer.feed.close)
        stack.enter_context(fast_kernels(world.device))
        run.stop = stack.enter_context(StopRequest())
        yield from run.events(fresh)


def fit(
    denoiser: nn.Module,
    data: Data,
    codec: Codec,
    objective: Objective,
    settings: Settings,
    checkpoints: Path | str | None = None,
    *,
    device: str = "auto",
    fresh: bool = False,
    metadata: dict[str, str] | None = None,
    watch: Callable[[Event], object] | None = None,
) -> FitResult:
    """``training_steps`` to its end; ``watch`` is called with every event. The result's denoiser holds the average of
    the first profile of ``settings.ema``; ``denoiser`` itself holds the last weights."""
    started, stopped, losses = Started(0), Stopped(0, "steps"), []
    for event in training_steps(
        denoiser, data, codec, objective, settings, checkpoints, device=device, fresh=fresh, metadata=metadata
    ):
        if watch is not None:
            watch(event)
        match event:
            case Started():
                started, losses = event, list(event.losses)
            case Logged(step, loss):
                losses.append((step, loss))
            case Stopped():
                stopped = event
    return FitResult(stopped.denoiser, tuple(losses), stopped.step, stopped, started.decisions, started.warnings)


@dataclass
class _Run:
    """One session: the clock, the calendar of events, and the agreement between processes to stop."""

    trainer: Trainer
    folder: Path | None
    metadata: dict[str, str]
    clock: Callable[[], float]
    stop: StopRequest = field(default_factory=StopRequest)
    progress: float = 0.0
    busy: float = 0.0  # seconds of steps since the last Logged
    saved_at: int = -1  # steps
    saved_when: float = 0.0  # seconds of the session

    def events(self, fresh: bool) -> Iterator[Event]:
        """Everything from Started to Stopped."""
        trainer, settings = self.trainer, self.trainer.settings
        yield self._start(fresh)
        began = self.clock() - trainer.seconds  # as if all sessions had been one
        self.progress, reason = settings.progress(trainer.steps, trainer.images, trainer.seconds)
        self.saved_when, logged_images = trainer.seconds, trainer.images
        while self.progress < 1:
            before = self.clock()
            passed = self.progress
            trainer.step(passed)
            self.busy += self.clock() - before
            yield from trainer.told()
            trainer.seconds = self.clock() - began
            self.progress, reason = settings.progress(trainer.steps, trainer.images, trainer.seconds)
            log, save, preview = (
                _due(trainer.steps, n) for n in (settings.log_every, settings.save_every, settings.preview_every)
            )
            late = settings.save_minutes > 0 and trainer.seconds - self.saved_when >= 60 * settings.save_minutes
            broken = self._broken_at(must_wait=log or save or preview)
            self.progress, asked, late, broken = trainer.world.largest(self.progress, self.stop.asked, late, broken)
            log = log or _crossed(passed, self.progress, settings.logs)
            preview = preview or _crossed(passed, self.progress, settings.previews)
            snap = self.folder is not None and _crossed(passed, self.progress, settings.snapshots)
            reason = "interrupted" if asked else reason
            ended = asked or self.progress >= 1
            # A device that was not waited for may have broken unseen: look before anything is kept.
            if (ended or late or snap) and not broken:
                (broken,) = trainer.world.largest(self._broken_at(must_wait=True))
            if broken:
                yield Stopped(trainer.steps, "diverged", self._divergence(int(broken)), trainer.averaged())
                return
            if log or self.progress >= 1:
                yield self._logged(trainer.images - logged_images)
                logged_images, self.busy = trainer.images, 0.0
            if snap and self.folder is not None:  # before the checkpoint: a kill between the two repeats it
                saving.snapshot(trainer, self.folder)
            if save or late or ended:
                yield from self._save()
            if preview and not ended:
                yield PreviewDue(trainer.steps, trainer.averaged())
            if asked:
                break
        yield Stopped(trainer.steps, reason, self._farewell(reason), trainer.averaged())

    def _start(self, fresh: bool) -> Started:
        """Resume where there is something to resume from."""
        trainer, warnings = self.trainer, []
        if fresh and self.folder is not None and trainer.world.main:
            checkpoint.set_aside(self.folder)
        found = None if fresh else self._found(warnings)
        if found is not None:
            warnings += saving.resume(trainer, found)
            self.saved_at = trainer.steps
        if self.folder is not None and trainer.world.main:
            snapshots.drop_after(self.folder, trainer.steps)
        trainer.gather()
        fused = "fused AdamW" if trainer.fused else "AdamW"
        decisions = (f"{trainer.world} on {trainer.world.device.type}, {fused}.", *trainer.how.decisions)
        return Started(
            trainer.steps, decisions, tuple(warnings), None if found is None else found.path, tuple(trainer.history)
        )

    def _found(self, warnings: list[str]) -> checkpoint.Checkpoint | None:
        """The checkpoint to go on from. The process that writes them chooses, and the others wait for its choice: one
        that looked by itself might look too early, and then they would train apart and wait for each other forever."""
        world = self.trainer.world
        if self.folder is None:
            return None
        found = checkpoint.newest(self.folder, warnings) if world.main else None
        (step,) = world.largest(-1 if found is None else found.step)
        if step < 0 or world.main:
            return found
        found, fault = checkpoint.read(checkpoint.folder_of(self.folder, int(step)))
        if found is None:
            raise UserError(
                f"Process {world.rank} cannot read the checkpoint of step {step:.0f} that the first process found "
                f"({fault}). All machines need to see the same folder {self.folder}."
            )
        return found

    def _broken_at(self, must_wait: bool) -> int:
        """The step at which training broke, 0 if none did. Looked up at every step where that costs nothing."""
        free = self.trainer.world.device.type == "cpu"
        return (self.trainer.guard.broken_at() or 0) if free or must_wait else 0

    def _logged(self, images: int) -> Logged:
        trainer = self.trainer
        return Logged(
            step=trainer.steps,
            loss=trainer.mean_loss(),
            grad_norm=float(trainer.norm),
            lr=trainer.lr,
            examples=trainer.images,
            examples_per_second=images / max(self.busy, 1e-9),
            seconds=trainer.seconds,
            memory=_memory(trainer.world),
            progress=min(1.0, self.progress),
        )

    def _save(self) -> Iterator[Event]:
        trainer = self.trainer
        if self.folder is None or self.saved_at == trainer.steps:
            return
        saving.save(trainer, self.folder, self.metadata)
        self.saved_at, self.saved_when = trainer.steps, trainer.seconds
        yield Saved(trainer.steps, checkpoint.folder_of(self.folder, trainer.steps))

    def _divergence(self, step: int) -> str:
        trainer = self.trainer
        kept = "Nothing was saved before." if self.saved_at < 0 else f"The checkpoint of step {self.saved_at} stands."
        if self.folder is None:
            kept = "The weights are those of the last good step."
        clip = "" if trainer.settings.clip is not None and trainer.settings.clip <= 1 else ", clip=1"
        narrow = "" if trainer.how.precision == "fp32" else ", precision=fp32"
        return (
            f"The loss or its gradient stopped being finite at step {step} (learning rate {trainer.lr:.3g}, "
            f"{trainer.how.precision}). {kept} Try lr={trainer.settings.lr / 3:.1g}{clip}{narrow}, or a longer warmup."
        )

    def _farewell(self, reason: str) -> str:
        if reason != "interrupted":
            return ""
        if self.folder is None:
            return f"Stopped at step {self.trainer.steps} as asked; nothing was saved, since no folder was given."
        return f"Stopped at step {self.trainer.steps} as asked, and saved. The same command again goes on from here."


def _crossed(before: float, after: float, count: int) -> bool:
    """Whether one of ``count`` marks, spread evenly over a run, lies between two states of its progress."""
    return int(before * count) < int(after * count)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _memory(world: World) -> int:
    """Peak bytes: of the GPU's allocator, or resident in this process; 0 where the system does not tell."""
    if world.device.type == "cuda":
        return torch.cuda.max_memory_allocated(world.device)
    if sys.platform == "win32":
        return 0
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
