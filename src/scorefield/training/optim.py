"""AdamW, its learning rate as a function of the step, and the guard that keeps a broken step off the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import cos, pi, sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .settings import Settings

WARMUP_SHARE, WARMUP_MOST = 0.05, 500  # of the run, and in steps: whichever ends first
FUSED = ("cpu", "cuda")  # device types whose AdamW runs as one kernel

# Share of the peak rate left: (step, steps before the decay, progress of the run in [0, 1]) → (0, 1].
DECAYS: dict[str, Callable[[int, int, float], float]] = {
    "constant": lambda step, after, progress: 1.0,
    "cosine": lambda step, after, progress: 0.5 + 0.5 * cos(pi * min(progress, 1.0)),
    "rsqrt": lambda step, after, progress: 1 / sqrt(max(step / after, 1.0)),
}


def learning_rate(settings: Settings, step: int, progress: float) -> float:
    """The rate of step ``step`` (0 is the first): linear warm-up times decay.

    ``cosine`` falls to 0 at the end of the run (Loshchilov & Hutter 2017, SGDR, eq. 5); ``rsqrt`` is
    1 / √max(step / decay_after, 1) (Karras et al. 2024, EDM2, appendix B).
    """
    after = settings.warmup if settings.decay_after is None else settings.decay_after
    after = WARMUP_MOST if after is None else max(1, after)
    return settings.lr * _rise(settings.warmup, step, progress) * DECAYS[settings.decay](step, after, progress)


def _rise(warmup: int | None, step: int, progress: float) -> float:
    """Where nobody gave a number, a share of the run: a run limited by minutes does not know its steps beforehand."""
    if warmup is None:
        return min(1.0, max(progress / WARMUP_SHARE, (step + 1) / WARMUP_MOST))
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def adamw(named: Iterable[tuple[str, nn.Parameter]], settings: Settings, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), fused where that exists. Weight decay pulls matrices and kernels only: biases
    and gains of norms have no scale to lose."""
    trained = [p for _, p in named if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=device.type in FUSED)


def clip_to(
    parameters: Iterable[nn.Parameter], limit: float | None, total: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Scale all gradients so that their global L2 norm is at most ``limit``; returns the norm before, (). ``total``
    sums a number over the processes where each holds a part of the gradients."""
    with torch.no_grad():
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        norm = norm if total is None else total(norm.square()).sqrt()
        if limit is not None:
            torch._foreach_mul_(grads, (limit / (norm + 1e-6)).clamp(max=1.0))
        return norm


@dataclass
class Guard:
    """Keeps non-finite steps off the weights without waiting for the device.

    ``step`` hands AdamW a flag that makes the fused kernel leave weights and moments as they are; how long the
    present run of bad steps is, and where it grew longer than ``tolerated``, is counted on the device and read only
    when someone asks. Half precision tolerates some: there a skipped step is how the loss scale finds its value.
    """

    device: torch.device
    tolerated: int = 0

    def __post_init__(self) -> None:
        self._row = torch.zeros((), device=self.device)
        self._broken_at = torch.full((), -1.0, device=self.device)

    def see(self, loss: Tensor, norm: Tensor, step: int) -> Tensor:
        """Note step number ``step``; returns 1.0 where it must be skipped, () float32."""
        bad = 1.0 - torch.isfinite(loss.float() + norm).float()
        self._row = (self._row + bad) * bad
        broken = (self._row > self.tolerated) & (self._broken_at < 0)
        self._broken_at = torch.where(broken, float(step), self._broken_at)
        return bad

    def broken_at(self) -> int | None:
        """The step at which training broke, or None. Waits for the device."""
        step = int(self._broken_at.item())
        return None if step < 0 else step


def guarded_step(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, bad: Tensor, fused: bool) -> None:
    """One optimiser step, skipped where ``bad`` is 1. The loss scale, when there is one, learns from it."""
    if scaler.is_enabled():  # unscaled before; the scaler passes its own flag on
        scaler.step(optimizer)
        scaler.update()
    elif fused:
        optimizer.found_inf = bad  # as GradScaler does; the fused kernel reads it  # pyrefly: ignore[missing-attribute]
        optimizer.step()
    elif not bad.item():
        optimizer.step()
