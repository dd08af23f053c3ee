"""What a training run tells. The loop yields these; progress bars, logs and previews are loops over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Started:
    """The first event: what was decided by itself and why, and what the user should know about a resumed run."""

    step: int  # optimiser steps done before
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    resumed: Path | None = None
    losses: tuple[tuple[int, float], ...] = ()  # (step, loss) logged in earlier sessions


@dataclass(frozen=True)
class Logged:
    """The run at ``step`` (optimiser steps done)."""

    step: int
    loss: float  # mean over the steps since the last Logged and over all processes
    grad_norm: float  # of the last step, before clipping
    lr: float  # of the last step
    examples: int  # seen over all sessions
    examples_per_second: float  # over all processes since the last Logged; saves and previews do not count
    seconds: float  # in the loop over all sessions, saves and previews included
    memory: int  # bytes: peak resident memory of this process, on CUDA peak allocated memory of its device
    progress: float  # share of the run that is done, 1 at the end


@dataclass(frozen=True)
class Squeezed:
    """Memory ran out, and the micro-batch was made smaller; batch, data order and noise stay what they were."""

    step: int  # optimiser steps done
    micro_batch: int  # examples at once, from here on
    accumulate: int  # micro-batches of a step, from here on
    message: str


@dataclass(frozen=True)
class PreviewDue:
    """Time to look. ``denoiser`` is the averaged one, in eval mode; the next PreviewDue overwrites its weights."""

    step: int
    denoiser: Any


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Stopped:
    """The last event. ``reason`` is steps, images, minutes, interrupted or diverged; ``message`` says what to do."""

    step: int
    reason: str
    message: str = ""
    denoiser: Any = field(default=None, repr=False, compare=False)  # the averaged one, as in PreviewDue


Event = Started | Logged | Squeezed | PreviewDue | Saved | Stopped


@dataclass(frozen=True)
class FitResult:
    """What ``fit`` leaves behind."""

    denoiser: Any  # the average of the first profile in settings.ema, eval mode
    losses: tuple[tuple[int, float], ...]  # (step, loss) of every Logged, earlier sessions included as far as kept
    step: int
    stopped: Stopped
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
