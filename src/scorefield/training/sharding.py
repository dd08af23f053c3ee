"""Every process holds a part of every weight, of its moments and averages (FSDP2; Rajbhandari et al. 2020, ZeRO-3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import UserError
from . import memory, shards
from .layout import Named, Tensors, extras_of

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .distributed import World
    from .ema import PowerEMA
    from .settings import Settings

TOGETHER = timedelta(minutes=1)  # within which processes that run out of memory together do so
ROOM = 0.7  # of a GPU's memory, for what does not depend on the batch; activations need the rest


class Sharded:
    """Rows of every weight on every process; a block is whole only while it computes.

    The optimiser and the averages see the rows alone, as plain tensors that share memory with the weights, so each
    process keeps and updates 1/n of everything. A module that takes part in a ``ModuleList`` is one block."""

    def __init__(self, loss_of: nn.Module, world: World) -> None:
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor import DTensor, Shard

        self.loss_of, self.world = loss_of, world
        self._blank: Any = deepcopy(loss_of.denoiser).requires_grad_(False)  # pyrefly: ignore[bad-argument-type]
        self._aside: Any = dist.new_group(backend="gloo")
        self._same_everywhere()
        try:
            for module in (*_blocks(loss_of), loss_of):
                fully_shard(module)
        except (NotImplementedError, ValueError) as error:
            raise UserError(f"shard=yes cannot cut this network: {error} Use shard=no.") from error
        loss_of.to(world.device)  # buffers; the weights are there
        self._weights: dict[str, Any] = dict(loss_of.named_parameters())
        self._mesh = next(iter(self._weights.values())).device_mesh
        self._as_weight = lambda name, rows: DTensor.from_local(
            rows.detach(),
            self._mesh,
            [Shard(0)],
            shape=self._weights[name].shape,
            stride=self._weights[name].stride(),
        )
        self._rows = {
            name: nn.Parameter(w.detach().to_local(), requires_grad=w.requires_grad)
            for name, w in self._weights.items()
        }
        self.named: Named = [(name, p) for name, p in self._rows.items() if p.requires_grad]
        inside = {name.removeprefix("denoiser."): p for name, p in self._rows.items() if name.startswith("denoiser.")}
        self.averaged: nn.Module = _Rows(inside)

    def _same_everywhere(self) -> None:
        """All begin with the weights of the first process. Sent over the CPU, one by one."""
        for tensor in self.loss_of.state_dict().values():
            here = tensor.cpu()
            dist.broadcast(here, 0)
            tensor.copy_(here)

    def gather(self, some_unused: bool) -> None:
        """Nothing to do: the blocks gather by themselves."""

    def model(self, apart: bool) -> Any:
        return self.loss_of

    def short(self, here: bool, apart: bool) -> bool:
        """No process can compute while another does not, so equal ones run out of memory together. One that does so
        alone waits for the others in vain."""
        if not here:
            return False
        try:
            dist.monitored_barrier(self._aside, timeout=TOGETHER)
        except RuntimeError as error:
            raise UserError(memory.late(self.world.rank)) from error
        return True

    def silent(self, model: Any, last: bool) -> AbstractContextManager[object]:
        """Gradients travel with every micro-batch: to keep them whole until the last one would cost their memory."""
        return nullcontext()

    def collect(self, apart: bool) -> None:
        for name, p in self.named:
            grad = self._weights[name].grad
            p.grad = None if grad is None else grad.to_local()

    def clear(self) -> None:
        for name, p in self.named:
            p.grad = self._weights[name].grad = None
        for module in self.loss_of.modules():
            reshard = getattr(module, "reshard", None)  # of blocks, which fully_shard gave it
            if reshard is not None:
                reshard()

    @property
    def total(self) -> Callable[[Tensor], Tensor] | None:
        return self._summed

    def _summed(self, part: Tensor) -> Tensor:
        dist.all_reduce(part)
        return part

    def full(self, tensors: Tensors) -> Tensors:
        return {name: self._as_weight(name, rows).full_tensor() for name, rows in tensors.items()}

    def own(self, tensor: Tensor) -> Tensor:
        parts = tensor.chunk(self.world.size) if tensor.ndim else (tensor,)
        return parts[self.world.rank] if self.world.rank < len(parts) else tensor[:0]

    def extras(self) -> Tensors:
        return {name: t.full_tensor() if name in self._weights else t for name, t in extras_of(self.loss_of).items()}

    def load_extras(self, state: Tensors) -> None:
        self._fill(extras_of(self.loss_of), state)

    def _fill(self, here: dict[str, Any], state: Tensors, prefix: str = "") -> None:
        wrong = [name for name in {*here, *state} if name not in here or name not in state]
        wrong = wrong or [name for name, t in here.items() if t.shape != state[name].shape]
        if wrong:
            raise RuntimeError(f"{sorted(wrong)[0]} is not the same.")
        with torch.no_grad():
            for name, t in here.items():
                weight = prefix + name in self._weights
                (t.to_local() if weight else t).copy_(self.own(state[name]) if weight else state[name])

    def weights(self) -> Tensors:
        stored = self.loss_of.denoiser.state_dict()  # pyrefly: ignore[missing-attribute]
        return {name: t.full_tensor() if f"denoiser.{name}" in self._weights else t for name, t in stored.items()}

    def view(self, ema: PowerEMA) -> nn.Module:
        """Where the first process computes: it draws the previews. The others keep theirs on the CPU."""
        width = next(iter(ema.averages), None)
        state = self.weights()
        if width is not None:
            rows = {f"denoiser.{name}": t for name, t in ema.averaged(width).items()}
            state |= {name.removeprefix("denoiser."): t for name, t in self.full(rows).items()}
        shadow = self._blank.to(self.world.device if self.world.main else "cpu").eval()
        shadow.load_state_dict(state)
        return shadow

    def parts(self, optimizer: Tensors) -> dict[str, Any]:
        """Tensors that know their place in the whole."""
        model = self.loss_of.denoiser.state_dict()  # pyrefly: ignore[missing-attribute]
        placed = {full: self._as_weight(full.split(":", 1)[1], t) if t.ndim else t for full, t in optimizer.items()}
        return {f"model/{name}": t for name, t in model.items()} | {f"optimizer/{n}": t for n, t in placed.items()}

    def load(self, saved: Checkpoint) -> None:
        model = self.loss_of.denoiser.state_dict()  # pyrefly: ignore[missing-attribute]
        if not saved.sharded:
            self._fill(model, saved.tensors("model"), "denoiser.")
            return
        shards.load(saved.path / shards.FOLDER, {f"model/{name}": t for name, t in model.items()}, together=True)

    def moments(self, saved: Checkpoint) -> Tensors:
        if not saved.sharded:
            stored = saved.tensors("optimizer")
            return {full: self.own(t) if t.ndim else t for full, t in stored.items()}
        folder = saved.path / shards.FOLDER
        found = [n.removeprefix("optimizer/") for n in shards.names(folder) if n.startswith("optimizer/")]
        rows = {full: self._rows[full.split(":", 1)[1]] for full in found}
        moments = {
            full: torch.zeros(()) if full.startswith("step:") else torch.zeros_like(row) for full, row in rows.items()
        }
        placed = {n: t for n, t in self.parts(moments).items() if n.startswith("optimizer/")}
        shards.load(folder, placed, together=True)
        return moments


class _Rows(nn.Module):
    """The rows of a denoiser's weights under the names of the weights, for ``PowerEMA``."""

    def __init__(self, rows: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self._own = rows

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """The rows."""
        yield from self._own.items()


def _blocks(module: nn.Module) -> list[nn.Module]:
    """Innermost first: the members of every ``ModuleList`` that compute by themselves and have weights."""
    lists = [child for child in module.modules() if isinstance(child, nn.ModuleList)]
    members = [member for children in reversed(lists) for member in children]
    return [m for m in members if not isinstance(m, nn.ModuleList) and any(True for _ in m.parameters())]


def decided(settings: Settings, world: World, module: nn.Module) -> tuple[bool, str]:
    """Whether to shard, and a sentence on why. Raises UserError where it was asked for and cannot be."""
    copies = 4 + len(settings.ema)  # weights, gradients, two moments, averages
    needed = copies * sum(p.numel() * p.element_size() for p in module.parameters())
    what = f"weights, gradients, moments and averages take {_bytes(needed)}"
    if settings.shard not in ("auto", True):
        return False, "as asked"
    if world.size == 1:
        return False, "one process has nobody to share with"
    if settings.shard is True:
        return True, f"as asked; {what}, of which each process holds 1/{world.size}"
    if world.device.type != "cuda":
        return False, f"processes on {world.device.type} share one memory"
    room = torch.cuda.get_device_properties(world.device).total_memory
    too_much = needed > ROOM * room
    return too_much, f"{what} of the {_bytes(room)} of each GPU{', too much' * too_much}"


def _bytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count >= 1e9 else f"{count / 1e6:,.3g} MB"
