"""The smallest things that can be trained: everything here is importable, because started processes import it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scorefield.core import Rng
from scorefield.training import Event, Logged, Saved, Settings, Started, Stopped, training_steps

CLASSES = 3


@dataclass(frozen=True)
class Points:
    """Deterministic vectors with labels; ``fingerprint`` is whatever a test needs it to be."""

    size: int = 10
    dim: int = 4
    fingerprint: str = "points"

    def __len__(self) -> int:
        return self.size

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        x = torch.sin(torch.arange(self.dim) + 1.7 * index[:, None]).float()
        return {"x": x, "label": index % CLASSES}


class Same:
    """The codec of data that need none."""

    def encode(self, raw: Tensor) -> Tensor:
        return raw

    def decode(self, z: Tensor) -> Tensor:
        return z


class Net(nn.Module):
    """A denoiser with everything that can go wrong in a resume: dropout, a buffer that moves, a label embedding."""

    def __init__(self, dim: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.first, self.last = nn.Linear(dim, 8), nn.Linear(8, dim)
        self.embed, self.drop = nn.Embedding(CLASSES + 1, 8), nn.Dropout(dropout)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / 2)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        if self.training:
            self.seen += len(x)
        return self.last(self.drop(torch.tanh(self.first(x) + self.embed(label + 1))))


class Noisy:
    """Removes noise, with labels dropped now and then: draws from the rng as real objectives do."""

    def __call__(self, denoiser: Any, x0: Tensor, rng: Rng, label: Tensor) -> Tensor:
        dropped = label.masked_fill(rng.uniform(label.float()) < 0.3, -1)
        return (denoiser(x0 + rng.normal(x0), dropped) - x0).square().mean(1)


class Plain:
    """Ignores the rng, so the gradient is a function of the batch alone."""

    def __call__(self, denoiser: Any, x0: Tensor, rng: Rng, label: Tensor) -> Tensor:
        return (denoiser(x0, label) - x0).square().mean(1)


class BreaksAt:
    """Plain until its call number ``call``, which is not finite."""

    def __init__(self, call: int) -> None:
        self.left = call

    def __call__(self, denoiser: Any, x0: Tensor, rng: Rng, label: Tensor) -> Tensor:
        self.left -= 1
        return Plain()(denoiser, x0, rng, label) * (float("nan") if self.left == 0 else 1.0)


def settings(**changes: Any) -> Settings:
    """Seven steps of four examples in two micro-batches, over ten examples: epochs end within a batch."""
    usual = {"steps": 7, "batch": 4, "accumulate": 2, "lr": 0.05, "warmup": 2, "log_every": 2, "save_every": 0}
    return Settings(**(usual | {"precision": "fp32", "weight_decay": 0.01} | changes))


def train(
    net: nn.Module, how: Settings, folder: Path | None = None, until: int | None = None, **kwargs: Any
) -> list[Event]:
    """All events of a run; with ``until`` the listener goes away after that checkpoint, as a killed process would."""
    kwargs = {"data": Points(), "codec": Same(), "objective": Noisy(), "device": "cpu"} | kwargs
    events = []
    for event in training_steps(net, settings=how, checkpoints=folder, **kwargs):
        events.append(event)
        match event:
            case Saved(step) if step == until:
                break
    return events


def numbers(net: nn.Module, events: list[Event]) -> dict[str, Any]:
    """Everything that must be equal, bit for bit."""
    final = [e for e in events if type(e) is Stopped][-1]
    losses = [list(e.losses) for e in events if type(e) is Started][-1]
    losses += [(e.step, e.loss) for e in events if type(e) is Logged]
    return {"weights": net.state_dict(), "average": final.denoiser.state_dict(), "losses": losses, "step": final.step}


def equal(a: Any, b: Any) -> bool:
    """Bitwise equality of nested numbers and tensors."""
    match a:
        case dict():
            return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
        case Tensor():
            return torch.equal(a, b)
        case _:
            return a == b


# Workers of started processes.


def work(folder: str | None, how: Settings, objective: Any, dropout: float) -> dict[str, Any]:
    """One rank of a run; what ``numbers`` gives on the first."""
    net = Net(dropout=dropout)
    events = train(net, how, None if folder is None else Path(folder), objective=objective)
    return numbers(net, events) | {"decisions": next(e.decisions for e in events if type(e) is Started)}


def work_through(*runs: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Several ``work`` calls in one start of the processes, which is what takes the time."""
    return [work(*run) for run in runs]


def complain(sentence: str) -> None:
    """A rank that meets a user's fault, while the other waits for it."""
    import torch.distributed as dist

    from scorefield.errors import UserError

    if dist.get_rank() == 1:
        raise UserError(sentence)
    dist.barrier()


def slow_run(folder: str, how: Settings) -> str:
    """A run that can be interrupted by hand: each loss takes a while. Returns why it stopped."""
    events = train(Net(), how, Path(folder), objective=Slow())
    return next(e.reason for e in events if type(e) is Stopped)


class Slow(Noisy):
    """Noisy, but each call takes 20 ms and the first one leaves a note that training is under way."""

    def __call__(self, denoiser: Any, x0: Tensor, rng: Rng, label: Tensor) -> Tensor:
        import os
        import time

        time.sleep(0.02)
        Path(os.environ["TOY_NOTE"]).touch()
        return Noisy.__call__(self, denoiser, x0, rng, label)


# What processes and memory are tried on: the real network and objective, in float64.


class Double:
    """The codec that makes numbers wide."""

    def encode(self, raw: Tensor) -> Tensor:
        return raw.double()

    def decode(self, z: Tensor) -> Tensor:
        return z


def denoiser(limit: int | None = None) -> nn.Module:
    """A small denoiser with blocks, in float64; with ``limit``, memory runs out above so many examples at once."""
    from scorefield.denoisers import Preconditioned
    from scorefield.nets import MLP
    from scorefield.noise import EDM, Gaussian

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = MLP(5, width=7, depth=3, classes=CLASSES)
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn(p.shape) / 10)  # the head begins at zero, which would hide the others at first
    made = Preconditioned(net, Gaussian(EDM())).double()
    if limit is not None:
        net.register_forward_pre_hook(lambda _, inputs: run_out(len(inputs[0]), limit))
    return made


def run_out(examples: int, limit: int) -> None:
    """What CUDA raises when memory is full."""
    if examples > limit:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate a little.")


def learn(how: Settings, folder: str | None = None, limits: tuple[int | None, ...] = (None,)) -> dict[str, Any]:
    """A run of ``denoiser`` on this process, whose memory has the limit of its rank: losses, weights, sentences."""
    import torch.distributed as dist

    from scorefield.objectives import Denoising
    from scorefield.training import Squeezed

    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    net = denoiser(limits[rank % len(limits)])
    data = Points(size=40, dim=5)
    where = None if folder is None else Path(folder)
    events = train(net, how, where, data=data, codec=Double(), objective=Denoising())
    final = [e for e in events if type(e) is Stopped][-1]
    started = next(e for e in events if type(e) is Started)
    return {
        "losses": [*started.losses, *((e.step, e.loss) for e in events if type(e) is Logged)],
        "average": {name: t.tolist() for name, t in final.denoiser.state_dict().items()},
        "told": [e.message for e in events if type(e) is Squeezed],
        "decisions": started.decisions,
        "warnings": started.warnings,
        "reason": final.reason,
    }


def learn_through(*runs: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Several ``learn`` calls in one start of the processes."""
    return [learn(*run) for run in runs]
