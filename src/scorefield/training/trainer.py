"""The state of a training run: what one step changes, and what a checkpoint holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..core import Codec, Objective, Rng
from ..errors import UserError
from . import checkpoint
from .distributed import World
from .ema import PowerEMA
from .feed import Data, Feed
from .optim import Guard, adamw, clip_to, guarded_step, learning_rate
from .precision import TOLERATED, Computing, dropout_seeded
from .settings import Settings

HISTORY = 2000  # logged losses kept in a checkpoint
DROPOUT = 0  # fifth number of the seeds of dropout


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
        self.denoiser = denoiser.to(world.device)
        self.loss_of = LossOf(self.denoiser, objective).to(world.device).train()
        how.prepare(self.denoiser)
        self.named = [(name, p) for name, p in self.loss_of.named_parameters() if p.requires_grad]
        if not self.named:
            raise UserError(
                "The denoiser has no weights that can be trained: every parameter is frozen, or there is none."
            )
        self.optimizer, self.scaler = adamw(self.named, settings, world.device), how.scaler()
        self.ema = PowerEMA(self.denoiser, settings.ema)
        self.guard = Guard(world.device, TOLERATED[how.precision])
        self.steps, self.images, self.seconds = 0, 0, 0.0
        self.history: deque[tuple[int, float]] = deque(maxlen=HISTORY)
        self.norm, self.lr = torch.zeros((), device=world.device), 0.0
        self._loss_sum, self._loss_count = self._total(0.0), 0
        self._model: nn.Module = self.loss_of
        self.fused = any(group.get("fused") for group in self.optimizer.param_groups)

    def gather(self) -> None:
        """Average gradients between the processes from now on, and give all of them the weights of the first."""
        if self.world.size > 1:
            local = [self.world.device] if self.world.device.type == "cuda" else None
            self._model = DistributedDataParallel(
                self.loss_of, device_ids=local, gradient_as_bucket_view=True, find_unused_parameters=self._some_unused()
            )

    def step(self, progress: float) -> None:
        """One optimiser step; ``progress`` is the share of the run that is done. A step whose loss or gradient is not
        finite leaves the weights as they are (see ``Guard``)."""
        self.lr = learning_rate(self.settings, self.steps, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        loss = self._gradients()
        if self.scaler.is_enabled():
            self.scaler.unscale_(self.optimizer)
        self.norm = clip_to((p for _, p in self.named), self.settings.clip)
        bad = self.guard.see(loss, self.norm, self.steps + 1)
        guarded_step(self.optimizer, self.scaler, bad, self.fused)
        self.optimizer.zero_grad(set_to_none=True)
        self.steps, self.images = self.steps + 1, self.images + self.settings.batch
        self.ema.update(self.images / self.settings.batch)
        self._loss_sum, self._loss_count = self._loss_sum + loss, self._loss_count + 1

    def mean_loss(self) -> float:
        """The mean over processes and over the steps since the last call; remembered in ``history``."""
        loss = self.world.mean(float(self._loss_sum) / max(1, self._loss_count))
        self._loss_sum, self._loss_count = self._total(0.0), 0
        self.history.append((self.steps, loss))
        return loss

    def _gradients(self) -> Tensor:
        """Gradients of the mean loss over the whole batch; returns this process's share of that loss, ()."""
        total, parts = self._total(0.0), self.feed.step(self.images)
        for j, (x0, cond) in enumerate(parts):
            numbers = self.settings.seed, self.steps, j, self.world.rank
            rng = Rng(Rng.fold(*numbers), self.world.device)
            with self._silent(last=j + 1 == len(parts)), dropout_seeded(Rng.fold(*numbers, DROPOUT), self.world.device):
                with self.how.autocast():
                    loss = self._model(x0, rng, cond) / len(parts)
                self.scaler.scale(loss).backward()
            total = total + loss.detach()
        return total

    def _silent(self, last: bool) -> AbstractContextManager[object]:
        """Gradients travel between processes with the last micro-batch only."""
        gathered = self._model is not self.loss_of
        return self._model.no_sync() if gathered and not last else nullcontext()  # pyrefly: ignore[not-callable]

    def _some_unused(self) -> bool:
        """Whether a weight takes no part in the loss: DDP waits forever for gradients it was not told to miss."""
        buffers = {name: b.clone() for name, b in self.loss_of.named_buffers()}
        self._gradients()
        unused = any(p.grad is None for _, p in self.named)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in self.loss_of.named_buffers():
                buffer.copy_(buffers[name])
        return self.world.largest(float(unused))[0] > 0

    def _total(self, value: float) -> Tensor:
        dtype = torch.float32 if self.world.device.type == "mps" else torch.float64
        return torch.tensor(value, dtype=dtype, device=self.world.device)

    # What a checkpoint holds.

    def save(self, folder: Path, metadata: dict[str, str]) -> Path:
        """Write a checkpoint; only the first process of a world does. Raises UserError when the disk refuses."""
        tensors = {"model": self.denoiser.state_dict()}
        tensors |= {_ema_name(width): self.ema.state(width) for width in self.settings.ema}
        tensors["optimizer"] = self._optimizer_state()
        own = self._objective_state()
        state = {
            "images": self.images,
            "seconds": self.seconds,
            "loss_sum": float(self._loss_sum),
            "loss_count": self._loss_count,
            "history": list(self.history),
            "scaler": self.scaler.state_dict(),
            "processes": self.world.size,
            "device": self.world.device.type,
            "precision": self.how.precision,
            "torch": torch.__version__,
            "data": self.data.fingerprint,
            "settings": asdict(self.settings),
        }
        return checkpoint.write(
            folder, self.steps, tensors | ({"objective": own} if own else {}), state, self.settings.keep, metadata
        )

    def resume(self, saved: checkpoint.Checkpoint) -> list[str]:
        """Go on from a checkpoint; returns sentences about what is different from then.

        Raises UserError when it belongs to other data or another network.
        """
        state = saved.state
        if state["data"] != self.data.fingerprint:
            raise UserError(
                f"{saved.path.name} was trained on other data than these (or the files have changed since). "
                "Give the data it was trained on to go on with it, or fresh=yes to begin anew."
            )
        try:
            self.denoiser.load_state_dict(saved.tensors("model"))
            if self._objective_state():
                self.loss_of.load_state_dict(self.loss_of.state_dict() | saved.tensors("objective"))
        except (RuntimeError, FileNotFoundError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise UserError(
                f"{saved.path.name} holds another network: {reason} Use its settings, or fresh=yes."
            ) from error
        self._read_optimizer(saved.tensors("optimizer"))
        missing = self._read_ema(saved)
        self.steps, self.images, self.seconds = saved.step, state["images"], state["seconds"]
        self._loss_sum, self._loss_count = self._total(state["loss_sum"]), state["loss_count"]
        self.history.extend((step, loss) for step, loss in state["history"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        return self._differences(state) + missing

    def _differences(self, state: dict[str, Any]) -> list[str]:
        now = {
            "processes": self.world.size,
            "device": self.world.device.type,
            "precision": self.how.precision,
            "torch": torch.__version__,
        }
        changed = [f"{name} {state[name]} then, {value} now" for name, value in now.items() if state[name] != value]
        notes = self.settings.changed(state["settings"])
        if changed:
            notes.append(f"Resumed with {'; '.join(changed)}: the run goes on, but not bit for bit as it would have.")
        return notes

    def _optimizer_state(self) -> dict[str, Tensor]:
        return {f"{key}:{name}": t for name, p in self.named for key, t in self.optimizer.state.get(p, {}).items()}

    def _read_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = dict(self.named)
        for key, name, tensor in ((*full.split(":", 1), tensor) for full, tensor in tensors.items()):
            p = parameters[name]
            # Moments take the weight's own layout in memory; the step count lies on the CPU unless the kernel is fused.
            home = torch.empty_like(p).copy_(tensor) if tensor.shape == p.shape and key != "step" else tensor
            self.optimizer.state[p][key] = home.to(p.device) if self.fused else home

    def _read_ema(self, saved: checkpoint.Checkpoint) -> list[str]:
        notes = []
        for width in self.settings.ema:
            if f"{_ema_name(width)}.safetensors" in saved.state["files"]:
                self.ema.load(width, saved.tensors(_ema_name(width)))
            else:
                self.ema.load(width, self.denoiser.state_dict())
                notes.append(
                    f"The average ema={width} was not kept before; it begins with the weights of step {saved.step}."
                )
        return notes

    def _objective_state(self) -> dict[str, Tensor]:
        return {name: t for name, t in self.loss_of.state_dict().items() if not name.startswith("denoiser.")}


def _ema_name(width: float) -> str:
    return f"ema-{width:.3f}"


def event_of(data: Data, codec: Codec) -> Sequence[int]:
    """The shape of one encoded example."""
    if len(data) == 0:
        raise UserError("There are no examples to train on.")
    return codec.encode(data.batch(torch.zeros(1, dtype=torch.int64))["x"]).shape[1:]
