"""Who holds which weights: every process all of them, or each a part."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import UserError
from . import memory

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .distributed import World
    from .ema import PowerEMA

Tensors = dict[str, Tensor]
Named = list[tuple[str, nn.Parameter]]


class Layout(Protocol):
    """What training needs to know of how weights lie. Names are those of the trained module, its denoiser and the
    objective's own weights together; what is called ``full`` is the same on all processes and takes all of them."""

    named: Named  # what the optimiser of this process moves
    averaged: nn.Module  # the denoiser as ``PowerEMA`` sees it

    def gather(self, some_unused: bool) -> None:
        """From now on gradients are averaged between processes, which all have the weights of the first."""
        ...

    def model(self, apart: bool) -> Any:
        """What to call for the loss; ``apart`` leaves the gradients to ``collect``."""
        ...

    def short(self, here: bool, apart: bool) -> bool:
        """Whether memory ran out on any process; ``here``: on this one. Raises UserError where others cannot know."""
        ...

    def silent(self, model: Any, last: bool) -> AbstractContextManager[object]:
        """The context of a micro-batch: gradients may travel between processes with the last one only."""
        ...

    def collect(self, apart: bool) -> None:
        """Put the averaged gradients where the optimiser looks for them."""
        ...

    def clear(self) -> None:
        """Drop all gradients, also those of a backward pass that broke off."""
        ...

    @property
    def total(self) -> Callable[[Tensor], Tensor] | None:
        """The sum over processes of a number about the own part of something; None where each has all of it."""
        ...

    def full(self, tensors: Tensors) -> Tensors:
        """Whole tensors from those that lie as the weights of these names do."""
        ...

    def own(self, tensor: Tensor) -> Tensor:
        """The part of a whole tensor that lies here when it belongs to a weight."""
        ...

    def extras(self) -> Tensors:
        """The full weights of an objective that has any."""
        ...

    def load_extras(self, state: Tensors) -> None:
        """Read them back."""
        ...

    def parts(self, optimizer: Tensors) -> dict[str, Any]:
        """Weights and what the optimiser keeps of them, as ``shards`` saves them."""
        ...

    def load(self, saved: Checkpoint) -> None:
        """Read the weights of a checkpoint. Raises RuntimeError when they are another network's."""
        ...

    def moments(self, saved: Checkpoint) -> Tensors:
        """What the optimiser of this process kept of its weights, as far as the checkpoint has it."""
        ...

    def weights(self) -> Tensors:
        """The full state dict of the denoiser."""
        ...

    def view(self, ema: PowerEMA) -> nn.Module:
        """The averaged denoiser, whole, in eval mode; overwritten by the next call."""
        ...


class Whole:
    """Every process has all weights; gradients are averaged between them (DDP)."""

    def __init__(self, loss_of: nn.Module, world: World) -> None:
        self.loss_of, self.world = loss_of, world
        self.averaged: nn.Module = loss_of.denoiser  # pyrefly: ignore[bad-assignment]
        self.named = [(name, p) for name, p in loss_of.named_parameters() if p.requires_grad]
        self._together: nn.Module = loss_of

    def gather(self, some_unused: bool) -> None:
        if self.world.size > 1:
            local = [self.world.device] if self.world.device.type == "cuda" else None
            self._together = DistributedDataParallel(
                self.loss_of, device_ids=local, gradient_as_bucket_view=True, find_unused_parameters=some_unused
            )

    def model(self, apart: bool) -> Any:
        return self.loss_of if apart else self._together

    def short(self, here: bool, apart: bool) -> bool:
        """Processes that compute apart tell each other after each step; later that would cost time at every step."""
        if here and not apart and self.world.size > 1:
            raise UserError(memory.late(self.world.rank))
        return bool(self.world.largest(here)[0]) if apart else here

    def silent(self, model: Any, last: bool) -> AbstractContextManager[object]:
        return nullcontext() if last or model is self.loss_of else model.no_sync()

    def collect(self, apart: bool) -> None:
        """By hand for passes that ran apart; otherwise the backward pass has done it."""
        if not apart or self._together is self.loss_of:
            return
        found = torch.tensor([float(p.grad is not None) for _, p in self.named])
        dist.all_reduce(found, dist.ReduceOp.MAX)
        for (_, p), anywhere in zip(self.named, found.tolist(), strict=True):
            if anywhere:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
                dist.all_reduce(p.grad.div_(self.world.size))

    def clear(self) -> None:
        for _, p in self.named:
            p.grad = None

    @property
    def total(self) -> Callable[[Tensor], Tensor] | None:
        return None

    def full(self, tensors: Tensors) -> Tensors:
        return tensors

    def own(self, tensor: Tensor) -> Tensor:
        return tensor

    def extras(self) -> Tensors:
        return extras_of(self.loss_of)

    def load_extras(self, state: Tensors) -> None:
        self.loss_of.load_state_dict(self.loss_of.state_dict() | state)

    def parts(self, optimizer: Tensors) -> dict[str, Any]:
        return optimizer

    def load(self, saved: Checkpoint) -> None:
        self.averaged.load_state_dict(saved.tensors("model"))

    def moments(self, saved: Checkpoint) -> Tensors:
        return saved.tensors("optimizer")

    def weights(self) -> Tensors:
        return self.averaged.state_dict()

    def view(self, ema: PowerEMA) -> nn.Module:
        return ema.denoiser()


def extras_of(loss_of: nn.Module) -> dict[str, Any]:
    """What a trained module has beside its denoiser."""
    return {name: t for name, t in loss_of.state_dict().items() if not name.startswith("denoiser.")}
