"""What a checkpoint of a training run holds, and how training goes on from it, on as many processes as there are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UserError
from . import checkpoint, shards, snapshots

if TYPE_CHECKING:
    from .trainer import Trainer

HISTORY = 2000  # logged losses kept in a checkpoint


def save(trainer: Trainer, folder: Path, metadata: dict[str, str]) -> None:
    """Write a checkpoint. All processes call it; the first writes, and where weights are sharded each its own part.

    The averages are whole in either case: each of their files is loadable alone. Raises UserError when the disk
    refuses."""
    world, sharded = trainer.world, trainer.how.shard
    tensors = {name_of(width): _average(trainer, width) for width in trainer.settings.ema}
    if not sharded or not tensors:
        tensors = {"model": trainer.layout.weights()} | tensors
    parts = trainer.layout.parts(_optimizer_state(trainer)) if sharded else {}
    if not sharded:
        tensors["optimizer"] = _optimizer_state(trainer)
    own = trainer.layout.extras()
    tensors |= {"objective": own} if own else {}
    if world.main:
        checkpoint.write(
            folder,
            trainer.steps,
            tensors,
            _state(trainer),
            trainer.settings.keep,
            metadata,
            (lambda aside: shards.save(aside, parts, world)) if sharded else None,
        )
    elif sharded:
        shards.save(checkpoint.aside_of(folder, trainer.steps) / shards.FOLDER, parts, world)
    if sharded:
        world.largest(0)  # nobody goes on before it is there


def _state(trainer: Trainer) -> dict[str, Any]:
    return {
        "images": trainer.images,
        "seconds": trainer.seconds,
        "loss_sum": float(trainer.loss_sum),
        "loss_count": trainer.loss_count,
        "ema_late": sorted(trainer.ema.late),
        "history": list(trainer.history),
        "scaler": trainer.scaler.state_dict(),
        "micro_batch": trainer.feed.micro,
        "processes": trainer.world.size,
        "sharded": trainer.how.shard,
        "device": trainer.world.device.type,
        "precision": trainer.how.precision,
        "torch": torch.__version__,
        "data": trainer.data.fingerprint,
        "settings": asdict(trainer.settings),
    }


def snapshot(trainer: Trainer, folder: Path) -> None:
    """Store the averages as they are, so that others can be rebuilt from them. All processes call it, the first one
    writes. Raises UserError when the disk refuses."""
    widths = [width for width in trainer.ema.averages if width not in trainer.ema.late]
    pure = {width: _whole(trainer, trainer.ema.averaged(width)) for width in widths}
    if trainer.world.main and pure:
        snapshots.write(folder, trainer.steps, trainer.images, pure, trainer.settings.snapshots)


def resume(trainer: Trainer, saved: checkpoint.Checkpoint) -> list[str]:
    """Go on from a checkpoint; returns sentences about what is different from then.

    Raises UserError when it belongs to other data or another network.
    """
    state = saved.state
    if state["data"] != trainer.data.fingerprint:
        raise UserError(
            f"{saved.path.name} was trained on other data than these (or the files have changed since). "
            "Give the data it was trained on to go on with it, or fresh=yes to begin anew."
        )
    try:
        trainer.layout.load(saved)
        if trainer.layout.extras():
            trainer.layout.load_extras(saved.tensors("objective"))
    except (RuntimeError, FileNotFoundError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{saved.path.name} holds another network: {reason} Use its settings, or fresh=yes.") from error
    _read_optimizer(trainer, saved)
    missing = _read_ema(trainer, saved)
    trainer.steps, trainer.images, trainer.seconds = saved.step, state["images"], state["seconds"]
    trainer.start_loss(state["loss_sum"], state["loss_count"])
    trainer.history.extend((step, loss) for step, loss in state["history"])
    if trainer.scaler.is_enabled() and state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    return _differences(trainer, state) + missing + _squeezed(trainer, state)


def _differences(trainer: Trainer, state: dict[str, Any]) -> list[str]:
    now = {
        "processes": trainer.world.size,
        "device": trainer.world.device.type,
        "precision": trainer.how.precision,
        "torch": torch.__version__,
    }
    changed = [f"{name} {state[name]} then, {value} now" for name, value in now.items() if state[name] != value]
    notes = trainer.settings.changed(state["settings"])
    if changed:
        notes.append(f"Resumed with {'; '.join(changed)}: the run goes on, but not bit for bit as it would have.")
    return notes


def _squeezed(trainer: Trainer, state: dict[str, Any]) -> list[str]:
    """Where memory ran out before, it would again: go on with the micro-batch that was found to fit."""
    feed, before = trainer.feed, state.get("micro_batch", trainer.feed.micro)
    same = all(state["settings"][name] == getattr(trainer.settings, name) for name in ("batch", "accumulate"))
    if same and state["processes"] == trainer.world.size and before < feed.micro and feed.share % before == 0:
        feed.micro = before
        return [f"Goes on with micro-batches of {before}, which fitted into memory before."]
    return []


def _optimizer_state(trainer: Trainer) -> dict[str, Tensor]:
    state = trainer.optimizer.state
    return {f"{key}:{name}": t for name, p in trainer.named for key, t in state.get(p, {}).items()}


def _read_optimizer(trainer: Trainer, saved: checkpoint.Checkpoint) -> None:
    parameters = dict(trainer.named)
    for full, tensor in trainer.layout.moments(saved).items():
        key, name = full.split(":", 1)
        p = parameters[name]
        # Moments take the weight's own layout in memory; the step count lies on the CPU unless the kernel is fused.
        home = torch.empty_like(p).copy_(tensor) if tensor.shape == p.shape and key != "step" else tensor
        trainer.optimizer.state[p][key] = home.to(p.device) if trainer.fused else home


def _read_ema(trainer: Trainer, saved: checkpoint.Checkpoint) -> list[str]:
    notes, ema = [], trainer.ema
    ema.late = set(saved.state.get("ema_late", ())) & set(trainer.settings.ema)
    for width in trainer.settings.ema:
        if f"{name_of(width)}.safetensors" in saved.state["files"]:
            whole = saved.tensors(name_of(width))
            ema.load(width, {name: trainer.layout.own(whole[name]) for name in ema.names})
        else:
            ema.load(width, {name: p.detach() for name, p in trainer.layout.averaged.named_parameters()})
            ema.late.add(width)
            notes.append(
                f"The average ema={width} was not kept before; it begins with the weights of step {saved.step}."
            )
    return notes


def _average(trainer: Trainer, width: float) -> dict[str, Tensor]:
    return trainer.layout.weights() | _whole(trainer, trainer.ema.averaged(width))


def _whole(trainer: Trainer, averages: dict[str, Tensor]) -> dict[str, Tensor]:
    full = trainer.layout.full({f"denoiser.{name}": t for name, t in averages.items()})
    return {name.removeprefix("denoiser."): t for name, t in full.items()}


def name_of(width: float) -> str:
    """The file of the average with this σ_rel, without its ending."""
    return f"ema-{width:.3f}"
