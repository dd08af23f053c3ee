"""Several processes as one trainer: started from our own process, or joined when a launcher started us."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from ..errors import Reported, UserError
from .joining import check_backend, check_launched, join, launched, local_gpu, open_group
from .stopping import SIGNALS, hold_signals

INTERRUPTED = 130  # exit code of a process that a second signal ended


@dataclass(frozen=True)
class World:
    """Who takes part. A single process is a world of one, and the training loop knows no other case."""

    rank: int
    size: int
    device: torch.device
    backend: str = ""

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def largest(self, *values: float) -> list[float]:
        """The largest of each value over all processes, the same on all: how they agree to stop. Goes over the CPU, so
        it does not wait for a GPU."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def mean(self, value: float) -> float:
        """The mean over all processes, the same on all."""
        return self._reduced([value], dist.ReduceOp.SUM)[0] / self.size

    def gathered(self, thing: Any) -> list[Any]:
        """The ``thing`` of every process, in the order of ranks, the same list on all. Goes over the CPU."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size
        dist.all_gather_object(things, thing)
        return things

    def first(self, do: Callable[[], Any]) -> Any:
        """What ``do()`` returns on the first process, on all of them; the others wait. A UserError of the first is
        raised on all: as ``Reported`` on the others, which need not say it again."""
        if self.size == 1:
            return do()
        outcome: list[Any] = [None, None]
        if self.main:
            try:
                outcome = [do(), None]
            except UserError as error:
                dist.broadcast_object_list([None, str(error)])
                raise
        dist.broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise Reported(outcome[1])
        return outcome[0]

    def _reduced(self, values: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
        if self.size == 1:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(numbers, how)
        return numbers.tolist()

    def __str__(self) -> str:
        return f"{self.size} processes, {self.backend}" if self.size > 1 else "1 process"


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is a GPU, else the CPU. Raises UserError when the device asked for is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device={name} is not a device. Use auto, cpu, cuda or cuda:0.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name} was asked for, but this machine has {_gpus()}. Use device=auto or device=cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device=mps was asked for, but this machine has no Apple GPU. Use device=auto or device=cpu.")
    return device


def check_devices(devices: int, device: torch.device) -> None:
    """Raises UserError when this machine has not that many of ``device``: GPUs, or CPU cores for processes."""
    if devices != int(devices) or devices < 1:
        raise UserError(f"devices must be a whole number of at least 1, got {devices}.")
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise UserError(
            f"devices={devices} were asked for, but this machine has {_gpus()}. Use devices={_most()} or device=cpu."
        )
    if devices > 1:
        check_backend(device)
    cores = os.cpu_count() or 1
    if device.type == "cpu" and devices > cores:
        raise UserError(f"devices={devices} were asked for, but this machine has {cores} CPU cores, one per process.")
    if device.type == "mps" and devices > 1:
        raise UserError(f"devices={devices} were asked for, but an Apple GPU is one device. Use devices=1.")


def current_world(device: str = "auto") -> World:
    """The world this process is part of: the group that ``launch`` made, else itself alone."""
    chosen = choose_device(device)
    if not (dist.is_available() and dist.is_initialized()):
        return World(0, 1, chosen)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", local_gpu())
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    return World(dist.get_rank(), dist.get_world_size(), chosen, backend)


def launch(worker: Callable[..., Any], args: Sequence[Any] = (), devices: int = 1, device: str = "auto") -> Any:
    """Call ``worker(*args)`` in ``devices`` processes that form one world; returns what rank 0 returned.

    One device needs no further process: ``worker`` is called here. Under torchrun (RANK and WORLD_SIZE in the
    environment) this process joins the world it belongs to and returns its own result. Otherwise processes are started
    by torch's elastic agent, with a rendezvous of their own on the loopback interface: one per GPU, or on a CPU at most
    one per core. ``worker`` must be importable (a module-level function) and its arguments picklable, since the
    processes start afresh. Signals are passed on to the processes.

    Raises UserError for a number of devices that cannot be had, and whatever UserError a process raised;
    KeyboardInterrupt when a second Ctrl-C ended it; RuntimeError with the traceback when a process failed.
    """
    chosen = choose_device(device)
    if launched() > 1:
        check_launched(None if devices == 1 else devices)
        join(chosen)
        return worker(*args)
    check_devices(devices, chosen)
    return worker(*args) if devices == 1 else _start(worker, args, devices, chosen)


def _start(worker: Callable[..., Any], args: Sequence[Any], devices: int, device: torch.device) -> Any:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    cores = torch.get_num_threads() if device.type == "cpu" else os.cpu_count() or 1
    outcome: dict[str, Any] = {}
    with TemporaryDirectory(prefix="scorefield-launch-") as notes:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=devices,
            run_id=Path(notes).name,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,  # a failed run resumes from its checkpoint, knowingly
            monitor_interval=0.1,
            start_method="spawn",
        )

        def agent() -> None:  # in a thread: in the main one torch answers a signal by killing everything in 30 s
            try:
                outcome["result"] = elastic_launch(config, _child)(
                    notes, max(1, cores // devices), device.type, worker, args
                )
            except ChildFailedError as error:
                outcome["failure"] = error

        with _quiet_agent(), _Forwarding(Path(notes)) as forwarding:
            thread = threading.Thread(target=agent, daemon=True, name="scorefield-launch")
            thread.start()
            while thread.is_alive():
                thread.join(0.1)
                forwarding.deliver()
        if "failure" in outcome:
            raise _explained(outcome["failure"], Path(notes), forwarding.heard > 0)
    if "result" not in outcome:
        raise RuntimeError("The processes could not be started; the reason is printed above.")
    return outcome["result"][0]


def _child(notes: str, threads: int, device: str, worker: Callable[..., Any], args: Sequence[Any]) -> Any:
    """What each started process runs. A UserError travels to the parent as a file; an exit code would lose it."""
    rank = int(os.environ["RANK"])
    hold_signals()
    Path(notes, f"{rank}.pid").write_text(str(os.getpid()))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the host's name need not resolve
    torch.set_num_threads(threads)
    try:
        with _group(torch.device(device)):
            result = worker(*args)
        return result if rank == 0 else None
    except UserError as error:
        Path(notes, f"{rank}.sentence").write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        raise SystemExit(INTERRUPTED) from error


@contextmanager
def _group(device: torch.device) -> Iterator[None]:
    """The world of the processes that ``launch`` started."""
    open_group(device)
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Forwarding:
    """Counts the signals that reach the parent and hands each on to every child, also to one that is only starting."""

    def __init__(self, notes: Path) -> None:
        self.notes, self.heard, self._sent, self._before = notes, 0, {}, {}

    def __enter__(self) -> _Forwarding:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.heard += 1

    def deliver(self) -> None:
        """Send what has not been sent. From the third signal on, children are killed."""
        if self.heard == 0:
            return
        for note in self.notes.glob("*.pid"):
            text = note.read_text()
            if text and self._sent.get(text, 0) < self.heard:
                self._sent[text] = self.heard
                _send(int(text), signal.SIGTERM if self.heard < 3 else getattr(signal, "SIGKILL", signal.SIGTERM))


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it may have ended already
        os.kill(pid, number)


@contextmanager
def _quiet_agent() -> Iterator[None]:
    """The agent logs a page about every child that ends; we say it in a sentence instead."""
    loggers = [logging.getLogger(name) for name in ("torch.distributed.elastic", "torch.multiprocessing")]
    before = [(logger, logger.propagate) for logger in loggers]
    silence = logging.NullHandler()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(silence)
    try:
        yield
    finally:
        for logger, propagate in before:
            logger.propagate = propagate
            logger.removeHandler(silence)


def _explained(failure: Any, notes: Path, signalled: bool) -> BaseException:
    """Why a child failed, as the exception the caller would have seen in one process."""
    sentences = [path.read_text(encoding="utf-8") for path in sorted(notes.glob("*.sentence"))]
    if sentences:
        return UserError(sentences[0])
    rank, first = failure.get_first_failure()
    if signalled or first.exitcode == INTERRUPTED:
        return KeyboardInterrupt()
    if first.exitcode < 0:
        return UserError(
            f"Process {rank} was ended from outside ({first.signal_name()}), often because memory ran out. "
            "Use a smaller batch, or a larger accumulate; the same command again goes on from the last checkpoint."
        )
    return RuntimeError(f"Process {rank} failed:\n{first.message}")


def _gpus() -> str:
    count = torch.cuda.device_count()
    return f"{count} GPU{'' if count == 1 else 's'}" if count else "no GPU that torch can use"


def _most() -> int:
    return max(1, torch.cuda.device_count())
