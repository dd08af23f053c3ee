"""Everything a training run can be told. The command line, a recipe and ``fit`` share this one list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal

from ..errors import UserError, suggest
from .ema import WIDEST
from .optim import DECAYS
from .precision import DTYPES

Switch = bool | Literal["auto"]


@dataclass(frozen=True)
class Settings:
    """The options of ``fit`` and ``training_steps``. ``batch`` counts the examples of one optimiser step, over all
    processes and micro-batches; every ``*_every`` counts optimiser steps, 0 means never.

    At least one of ``steps``, ``images`` and ``minutes`` must be given; the one reached first ends the run. All
    three count over every session of the run: a resumed run goes on counting.

    Raises UserError when a value cannot be used.
    """

    steps: int | None = None  # optimiser steps
    images: int | None = None  # examples seen, repeats counted
    minutes: float | None = None  # wall-clock spent in the loop, previews and saves included
    batch: int = 128
    accumulate: int = 1  # micro-batches per step and process
    lr: float = 2e-4  # peak learning rate of AdamW
    warmup: int | None = None  # steps of linear warm-up; None: a twentieth of the run, at most 500 steps
    decay: str = "cosine"  # constant, cosine (to 0 at the end) or rsqrt
    decay_after: int | None = None  # rsqrt only: steps before the decay begins, None: as many as the warm-up has
    weight_decay: float = 0.0  # only on weights of two or more dimensions
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = 1.0  # global gradient norm, None: no clipping
    ema: Sequence[float] = (0.05, 0.10)  # σ_rel of each profile; the first is the one that is sampled
    snapshots: int = 0  # of these averages, spread over the run: any other width can then be rebuilt from them
    precision: str = "auto"  # auto, fp32, bf16 or fp16
    compile: Switch = "auto"
    channels_last: Switch = "auto"
    shard: Switch = "auto"  # each process holds a part of every weight (FSDP2)
    recompute: Switch = "auto"  # activations again in the backward pass instead of keeping them
    seed: int = 0
    log_every: int = 50
    save_every: int = 1000
    save_minutes: float = 10.0  # a checkpoint at least this often, 0: only by save_every
    preview_every: int = 0
    logs: int = 0  # that many more, spread evenly over a run however it is limited
    previews: int = 0
    keep: int = 2  # checkpoints kept
    flip: bool = False  # mirror half of the images left to right

    def __post_init__(self) -> None:
        if self.steps is None and self.images is None and self.minutes is None:
            raise UserError("Nothing says when to stop. Give steps=, images= or minutes=, for example steps=2000.")
        for name in ("steps", "images", "batch", "accumulate", "keep"):
            _whole(name, getattr(self, name), 1)
        for name in ("warmup", "decay_after", "log_every", "save_every", "preview_every", "logs", "previews"):
            _whole(name, getattr(self, name), 0)
        _whole("snapshots", self.snapshots, 0)
        for name in ("minutes", "lr", "clip"):
            _number(name, getattr(self, name), above_zero=True)
        for name in ("weight_decay", "save_minutes"):
            _number(name, getattr(self, name), above_zero=False)
        _word("decay", self.decay, DECAYS)
        _word("precision", self.precision, ("auto", *DTYPES))
        for name in ("compile", "channels_last", "shard", "recompute"):
            if getattr(self, name) not in ("auto", True, False):
                raise UserError(f"{name} must be auto, yes or no, got {getattr(self, name)!r}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"betas must be two numbers from 0 to below 1, got {self.betas}.")
        if not all(0 < width <= WIDEST for width in self.ema) or len({f"{width:.3f}" for width in self.ema}) != len(
            self.ema
        ):
            raise UserError(f"ema must be different widths σ_rel above 0 and up to {WIDEST}, got {tuple(self.ema)}.")

    def progress(self, steps: int, images: int, seconds: float) -> tuple[float, str]:
        """How far the run is, in [0, 1] and beyond, and the name of the limit that is nearest."""
        shares = {
            "steps": (steps, self.steps),
            "images": (images, self.images),
            "minutes": (seconds / 60, self.minutes),
        }
        return max((done / limit, name) for name, (done, limit) in shares.items() if limit is not None)

    def micro_batch(self, processes: int) -> int:
        """Examples of one forward pass. Raises UserError when ``batch`` cannot be shared out evenly."""
        share = processes * self.accumulate
        if self.batch % share == 0:
            return self.batch // share
        below, above = self.batch // share * share, -(-self.batch // share) * share
        near = f"batch={below} or batch={above}" if below else f"batch={above}"
        raise UserError(
            f"batch={self.batch} cannot be shared evenly by {processes} process(es) × {self.accumulate} "
            f"micro-batch(es): it must be a multiple of {share}. Use {near}."
        )

    def changed(self, before: dict[str, object]) -> list[str]:
        """Sentences about what differs from the settings of an earlier session and changes the numbers."""
        watched = [f.name for f in fields(self) if f.name in ("batch", "accumulate", "seed", "flip", "lr", "decay")]
        return [
            f"{name} was {before[name]} and is {getattr(self, name)} from here on."
            for name in watched
            if name in before and before[name] != getattr(self, name)
        ]


def _whole(name: str, value: int | None, least: int) -> None:
    if value is not None and (value != int(value) or value < least):
        raise UserError(f"{name} must be a whole number of at least {least}, got {value}.")


def _number(name: str, value: float | None, above_zero: bool) -> None:
    if value is None or (isfinite(value) and (value > 0 or (value == 0 and not above_zero))):
        return
    raise UserError(f"{name} must be {'greater than 0' if above_zero else 'at least 0'}, got {value}.")


def _word(name: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UserError(f"{name} has no choice {value!r}.{suggest(value, known)}")
