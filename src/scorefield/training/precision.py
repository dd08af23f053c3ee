"""How the numbers are computed: their width, their layout, compiled or not. Chosen once, with a word on why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from .settings import Settings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TOLERATED = {"fp32": 0, "bf16": 0, "fp16": 30}  # skipped steps in a row before training counts as diverged
WORTH_COMPILING = 2000  # steps, or ten minutes: compiling takes about a minute


@dataclass(frozen=True)
class Computing:
    """The choices for one run on one kind of device. Weights, moments and averages are float32 in all of them."""

    device: torch.device
    precision: str
    channels_last: bool
    compile: bool
    decisions: tuple[str, ...]

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
            module.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]
        if self.compile:
            for part in module.children():
                part.compile()


def choose(settings: Settings, device: torch.device, event: Sequence[int]) -> Computing:
    """Fill in every "auto". ``event`` is the shape of one example."""
    images, cuda = len(event) == 3, device.type == "cuda"
    precision, why_precision = _precision(settings, device)
    compiled, why_compiled = _compile(settings, device)
    last = settings.channels_last
    layout = (cuda and images and precision != "fp32") if last == "auto" else bool(last) and images
    decisions = (
        f"precision {precision}: {why_precision}.",
        f"channels-last {'on' if layout else 'off'}: {_why_layout(last, images, cuda, precision)}.",
        f"compile {'on' if compiled else 'off'}: {why_compiled}.",
    )
    return Computing(device, precision, layout, compiled, decisions)


def _precision(settings: Settings, device: torch.device) -> tuple[str, str]:
    if settings.precision != "auto":
        return settings.precision, "as asked"
    if device.type != "cuda":
        return "fp32", f"narrower numbers are not faster on {device.type}"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "this GPU computes it natively, and its range needs no loss scale"
    return "fp16", "this GPU has no native bf16; the loss is scaled to keep gradients in range"


def _compile(settings: Settings, device: torch.device) -> tuple[bool, str]:
    if settings.compile != "auto":
        return bool(settings.compile), "as asked"
    if device.type != "cuda":
        return False, f"on {device.type} it costs minutes and gains little"
    if find_spec("triton") is None:
        return False, "triton is not installed"
    steps = settings.steps or (settings.images or 0) // settings.batch
    if steps >= WORTH_COMPILING or (settings.minutes or 0) >= 10:
        return True, "the first step takes about a minute longer, the others are faster"
    return False, f"a run under {WORTH_COMPILING} steps would not win back the minute it takes"


def _why_layout(asked: bool | str, images: bool, cuda: bool, precision: str) -> str:
    if not images:
        return "the data are not images"
    if asked != "auto":
        return "as asked"
    if not cuda:
        return "it is the layout of GPU tensor cores"
    return "tensor cores prefer it" if precision != "fp32" else "it helps narrow numbers only"


@contextmanager
def fast_kernels(device: torch.device) -> Iterator[None]:
    """TensorFloat-32 products and tuned convolutions on CUDA while training; put back as they were afterwards."""
    if device.type != "cuda":
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
