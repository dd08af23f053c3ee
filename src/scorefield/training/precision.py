"""How the numbers are computed: their width, their layout, compiled or not. Chosen once, with a word on why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..errors import UserError
from .pages import kept_pages

if TYPE_CHECKING:
    from .settings import Settings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TOLERATED = {"fp32": 0, "bf16": 0, "fp16": 30}  # skipped steps in a row before training counts as diverged
UNITS = "amx_bf16"  # the flag of Linux for bf16 matrix units
WORTH_NARROWING = 768  # numbers in an example; beneath, casting weights costs what narrow products save
WORTH_LAYING = 768  # numbers in an example; beneath, a CPU's convolutions are too short for the layout to show
WORTH_COMPILING = 2000  # steps, or ten minutes: compiling takes about a minute


@dataclass(frozen=True)
class Computing:
    """The choices for one run on one kind of device. Weights, moments and averages are float32 in all of them."""

    device: torch.device
    precision: str
    channels_last: bool
    compile: bool
    decisions: tuple[str, ...]
    shard: bool = False
    recompute: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        """The loss scale that half precision needs (Micikevicius et al. 2018); does nothing for the others."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def prepare(self, module: nn.Module) -> None:
        """Lay out and compile a module in place. Its parts are compiled, not itself: what stands around the network
        draws noise and computes times, which a compiler would only trip over."""
        if self.channels_last:
            for held in (*module.parameters(), *module.buffers()):
                if held.ndim == 4:  # Module.to would refuse any with 5 dimensions
                    held.data = held.data.contiguous(memory_format=torch.channels_last)
        if self.compile:
            for part in module.children():
                part.compile()


def choose(
    settings: Settings,
    device: torch.device,
    event: Sequence[int],
    shard: tuple[bool, str] = (False, "one process has nobody to share with"),
    can_recompute: bool = False,
) -> Computing:
    """Fill in every "auto". ``event`` is the shape of one example, ``shard`` whether weights are and why,
    ``can_recompute`` whether the network has a switch for it.

    Raises UserError for choices that do not go together."""
    precision, why_precision = _precision(settings, device, event)
    compiled, why_compiled = _compile(settings, device, shard[0])
    layout, why_layout = _layout(settings, device, event, precision, shard[0])
    _together(shard[0], precision, settings.compile is True, settings.channels_last is True and len(event) == 3)
    recompute, why_recompute = _recompute(settings, can_recompute)
    decisions = (
        f"precision {precision}: {why_precision}.",
        f"channels-last {'on' if layout else 'off'}: {why_layout}.",
        f"compile {'on' if compiled else 'off'}: {why_compiled}.",
        f"shard {'on' if shard[0] else 'off'}: {shard[1]}.",
        f"recompute {'on' if recompute else 'off'}: {why_recompute}.",
    )
    return Computing(device, precision, layout, compiled, decisions, shard[0], recompute)


def _together(shard: bool, precision: str, compiled: bool, last: bool) -> None:
    """Raises UserError for what sharded weights cannot be."""
    wrong = {"precision=fp16": precision == "fp16", "compile=yes": compiled, "channels_last=yes": last}
    for name, given in wrong.items():
        if shard and given:
            raise UserError(f"{name} does not go with sharded weights. Leave it out, or write shard=no.")


def _precision(settings: Settings, device: torch.device, event: Sequence[int]) -> tuple[str, str]:
    if settings.precision != "auto":
        return settings.precision, "as asked"
    if device.type == "cpu":
        return _cpu_precision(event)
    if device.type != "cuda":
        return "fp32", f"narrower numbers are not faster on {device.type}"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "this GPU computes it natively, and its range needs no loss scale"
    return "fp16", "this GPU has no native bf16; the loss is scaled to keep gradients in range"


def _cpu_precision(event: Sequence[int]) -> tuple[str, str]:
    """Told by what the CPU has and not by a stopwatch: the same run must make the same choice again."""
    if UNITS not in _cpu_flags():
        return "fp32", "this CPU has no bf16 matrix units, without which narrower numbers are not faster"
    if len(event) < 2 or math.prod(event) < WORTH_NARROWING:
        return "fp32", "examples this small spend their time outside matrix products"
    return "bf16", "this CPU has bf16 matrix units; weights, sums and the optimiser stay in float32"


def _cpu_flags() -> set[str]:
    """What Linux says the CPU has; nothing elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            line = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return set()
    return set(line.partition(":")[2].split())


def _compile(settings: Settings, device: torch.device, shard: bool) -> tuple[bool, str]:
    if settings.compile != "auto":
        return bool(settings.compile), "as asked"
    if device.type != "cuda":
        return False, f"on {device.type} it costs minutes and gains little"
    if shard:
        return False, "sharded weights are gathered between the parts"
    if find_spec("triton") is None:
        return False, "triton is not installed"
    steps = settings.steps or (settings.images or 0) // settings.batch
    if steps >= WORTH_COMPILING or (settings.minutes or 0) >= 10:
        return True, "the first step takes about a minute longer, the others are faster"
    return False, f"a run under {WORTH_COMPILING} steps would not win back the minute it takes"


def _recompute(settings: Settings, possible: bool) -> tuple[bool, str]:
    if settings.recompute is True and not possible:
        raise UserError("recompute=yes needs a network that can compute its blocks again. Leave recompute out.")
    if settings.recompute != "auto":
        return bool(settings.recompute), "as asked"
    if not possible:
        return False, "this network has no switch for it"
    return False, "it costs time; should one example at a time not fit into memory, it is turned on"


def _layout(
    settings: Settings, device: torch.device, event: Sequence[int], precision: str, shard: bool
) -> tuple[bool, str]:
    if len(event) not in (2, 3):
        return False, "the data are neither images nor signals"
    if settings.channels_last != "auto":
        return bool(settings.channels_last), "as asked"
    if shard:
        return False, "sharded weights lie as they are cut"
    if device.type == "cpu":
        if math.prod(event) < WORTH_LAYING:
            return False, "examples this small gain nothing by it"
        return True, "the convolutions of this CPU read and write it without rearranging"
    if device.type != "cuda":
        return False, "it is the layout of GPU tensor cores"
    return (True, "tensor cores prefer it") if precision != "fp32" else (False, "it helps narrow numbers only")


@contextmanager
def fast_kernels(device: torch.device) -> Iterator[None]:
    """TensorFloat-32 products and tuned convolutions on CUDA, memory that stays on the CPU, while training; put back as
    they were afterwards."""
    if device.type != "cuda":
        with kept_pages() if device.type == "cpu" else nullcontext():
            yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.benchmark = before[1]


@contextmanager
def dropout_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, which dropout draws from, and put the user's state back afterwards."""
    cuda = device.type == "cuda"
    cpu_state = torch.get_rng_state()
    cuda_state = torch.cuda.get_rng_state(device) if cuda else None
    torch.default_generator.manual_seed(seed)
    if cuda:
        torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(cpu_state)
        if cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, device)
