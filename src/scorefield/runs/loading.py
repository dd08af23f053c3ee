"""A trained run, ready to use: ``load("runs/digits").sample(16)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scorefield.core import Codec, Solver
from scorefield.errors import UserError
from scorefield.runs import build, weights
from scorefield.runs.folder import RUNS, Found, RunFolder, find
from scorefield.training import choose_device
from scorefield.training.checkpoint import Checkpoint, newest
from scorefield.training.checkpoint import read as read_checkpoint


@dataclass(eq=False)
class Run:
    """A denoiser with its codec, its solver and what is known about its data.

    ``denoiser`` has the averaged weights and is in eval mode; ``folder`` is None for a weights file on its own.
    """

    config: dict[str, Any]
    denoiser: Any  # a torch module that is a Denoiser
    codec: Codec
    folder: RunFolder | None = None
    step: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    ema: float | None = None  # σ_rel of the averaged weights

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.shape))
        return f"Run({self.name}: {self.kind} of {shape}, step {self.step:,}, {self.denoiser.net})"

    @property
    def name(self) -> str:
        """The run's name; that of its data for a weights file on its own."""
        return self.folder.name if self.folder else self.data_name

    @property
    def _found(self) -> dict[str, Any]:
        return self.config["data"]["found"]

    @property
    def data_name(self) -> str:
        """What the data are called."""
        return self._found["name"]

    @property
    def kind(self) -> str:
        """``images``, ``vectors`` or ``signals``."""
        return self._found["kind"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The event shape D of one example, as stored."""
        return tuple(self._found["shape"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be asked for; empty for an unconditional run."""
        return tuple(self._found["classes"]) if self.config["net"].get("classes") else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of vectors; empty for other data."""
        return tuple(self._found["columns"])

    @property
    def process(self) -> Any:
        """The noise it was trained with."""
        return self.denoiser.process

    @property
    def solver(self) -> Solver:
        """The solver that ``sample`` uses unless told otherwise."""
        return build.solver(self.config["sample"]["solver"])

    @property
    def stopped(self) -> dict[str, Any]:
        """Why training stopped, {"step", "reason", "message"}; empty while nobody knows."""
        records = self.folder.history() if self.folder else []
        return next((r for r in reversed(records) if r.get("event") == "stopped"), {})

    def sample(self, n: int = 16, **options: Any) -> Any:
        """New samples, decoded: see ``scorefield.runs.sample.sample`` for the options."""
        from scorefield.runs.sample import sample

        return sample(self, n, **options)

    def preview(self, most: int | None = None, **options: Any) -> Any:
        """The few samples that pictures of this run show: always the same seed, as many as take seconds."""
        from scorefield.runs.recipes import pictured
        from scorefield.runs.sample import PREVIEW_SEED, sample

        count = pictured(self.kind, self.shape, self.device.type)
        count = min(count, most or count)
        whole = count - count % max(1, len(self.classes))  # every class as often as the others
        return sample(self, whole or count, seed=PREVIEW_SEED, table="no", **options)

    def tune(self, steps: int | Sequence[int], **options: Any) -> Any:
        """Fit samplers of few steps to this network and keep them in the run folder, where ``sample`` finds them: see
        ``scorefield.runs.tune.tune`` for the options."""
        from scorefield.runs.tune import tune

        return tune(self, steps, **options)

    def compare(self, *args: Any, **options: Any) -> Any:
        """Solvers against each other on this network: see ``scorefield.runs.compare.compare`` for the options."""
        from scorefield.runs.compare import compare

        return compare(self, *args, **options)

    def evaluate(self, against: Any = None, **options: Any) -> Any:
        """Measure samples against held-out data: see ``scorefield.runs.evaluate.evaluate`` for the options."""
        from scorefield.runs.evaluate import evaluate

        return evaluate(self, against, **options)

    def report(self, path: str | Path | None = None) -> Path:
        """Write report.html and the model card again; returns the path of the report."""
        from scorefield.runs.report import report

        return report(self, path)

    def dataset(self) -> Any:
        """The data it was trained on. Raises UserError where they are not here."""
        from scorefield.runs.source import reopen

        if self.folder is None:
            raise UserError(
                f"{self.data_name!r} cannot be opened from a weights file alone. Give data: against=PATH, or load the "
                "whole run folder."
            )
        return reopen(self.folder, self.config)


def load(run: str | Path, *, runs: str | Path = RUNS, ema: float | None = None, device: str = "auto") -> Run:
    """The trained model of a run, to sample and measure.

    ``run`` is a run folder, its final/, one of its checkpoints, any .safetensors file that scorefield wrote, ``last``,
    or a unique prefix of the name of a run in ``runs``. ``ema`` picks another of the averages the run kept (σ_rel).
    Raises UserError: no such run, no weights yet, a damaged or foreign file, a config this version cannot build.
    """
    found = find(run, runs)
    file, step = _weights_of(found, ema)
    stored = weights.read(file)
    config = found.folder.config() if found.folder else stored.config
    where = choose_device(device or "auto")
    denoiser = build.denoiser(config)
    weights.fill(denoiser, stored.tensors, file)
    denoiser = denoiser.to(where).eval().requires_grad_(False)
    width = ema or next(iter(config["train"].get("ema") or ()), None)
    return Run(config, denoiser, build.codec(config), found.folder, step or stored.step, where, width)


def _weights_of(found: Found, ema: float | None) -> tuple[Path, int]:
    """The file to read, and its step where that is known from outside."""
    if found.weights is not None and ema is None:
        return found.weights, 0
    if found.folder is None:
        raise UserError(f"ema={ema:g} picks one of the averages that a run folder keeps; this is a single file.")
    checkpoint = _checkpoint(found)
    final = found.folder.weights_file
    if found.checkpoint is None and ema is None and final.is_file():
        trained_on = checkpoint is not None and weights.read_step(final) < checkpoint.step
        return (_average(checkpoint, None), checkpoint.step) if checkpoint and trained_on else (final, 0)
    if checkpoint is None:
        raise UserError(f"{found.folder.path} has no weights yet: no checkpoint was saved. Train on, then try again.")
    return _average(checkpoint, ema), checkpoint.step


def _checkpoint(found: Found) -> Checkpoint | None:
    if found.checkpoint is None:
        return newest(found.folder.checkpoints) if found.folder else None
    checkpoint, fault = read_checkpoint(found.checkpoint)
    if checkpoint is None:
        raise UserError(f"{found.checkpoint} cannot be used: {fault}. Load the run folder: it takes the last good one.")
    return checkpoint


def averages(checkpoint: Checkpoint) -> dict[float, Path]:
    """σ_rel → file, in the order of training's settings: the first is the one that is sampled."""
    files = {width: checkpoint.path / f"ema-{width:.3f}.safetensors" for width in checkpoint.state["settings"]["ema"]}
    return {width: file for width, file in files.items() if file.is_file()}


def _average(checkpoint: Checkpoint, ema: float | None) -> Path:
    kept = averages(checkpoint)
    if ema is None:
        return next(iter(kept.values()), checkpoint.path / "model.safetensors")
    if f"{ema:.3f}" not in {f"{width:.3f}" for width in kept}:
        known = ", ".join(f"{width:g}" for width in kept) or "none"
        raise UserError(f"ema={ema:g} was not kept by this run. Kept: {known}. Train with ema={ema:g} to have it.")
    return checkpoint.path / f"ema-{ema:.3f}.safetensors"


def final_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The averaged weights that become the final model."""
    return checkpoint.tensors(_average(checkpoint, None).name.removesuffix(".safetensors"))
