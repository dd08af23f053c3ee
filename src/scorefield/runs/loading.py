"""A trained run, ready to use: ``load("runs/digits").sample(16)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scorefield.core import Solver
from scorefield.data.schema import Column
from scorefield.errors import UserError
from scorefield.runs import averages, build, classifying, coding, weights
from scorefield.runs.conditions import scale_of, usual
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
    codec: Any  # a Codec; that of tokens also knows their ``classes``, and ``text`` or ``pictures`` of them
    folder: RunFolder | None = None
    step: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    ema: float | None = None  # σ_rel of the averaged weights
    note: str = ""  # what should be known about these weights: an average that was rebuilt inexactly

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
        """``images``, ``vectors``, ``signals``, ``table``, ``text`` or ``categories``."""
        return self._found["kind"]

    @property
    def family(self) -> str:
        """What its noise does: ``gaussian`` noise is added to numbers, other noise replaces ``tokens``."""
        return build.family(self.config)

    @property
    def tokens(self) -> Any:
        """The codec of the categories, where there are some: of an argmax flow the one inside it."""
        return getattr(self.codec, "inner", self.codec)

    @property
    def shape(self) -> tuple[int, ...]:
        """The event shape D of one example, as stored."""
        return tuple(self._found["shape"])

    @property
    def encoded(self) -> tuple[int, ...]:
        """The event shape of what is diffused; for tables it is not that of a row."""
        return build.encoded_shape(self.config)

    @property
    def width(self) -> tuple[int, ...]:
        """What an example is counted as where batches are cut: its numbers; of tokens, a sixteenth of its logits."""
        return (*self.encoded, max(1, getattr(self.codec, "classes", 1) // 16))

    @property
    def schema(self) -> tuple[Column, ...]:
        """What the columns of a table hold, the column of classes included; empty for other data."""
        return tuple(Column.from_dict(column) for column in self._found.get("schema", ()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be asked for; empty for an unconditional run."""
        return tuple(self._found["classes"]) if self.config["net"].get("classes") else ()

    @property
    def conditions(self) -> Any:
        """Names, moments and ranges of the numbers it is conditioned on (``scorefield.data.conditions.Scale``); None
        where there are none."""
        return scale_of(self.config)

    @property
    def rate(self) -> int | None:
        """Samples a second of sounds; None for other data."""
        return self._found.get("rate")

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
        classifying.refuse(self, "sample")
        from scorefield.runs.sample import sample

        return sample(self, n, **options)

    def edit(self, given: Any, n: int = 1, **options: Any) -> Any:
        """Fill in what is left open of ``given``, a text with blanks or its beginning: see
        ``scorefield.runs.edit.edit`` for the options."""
        classifying.refuse(self, "edit")
        from scorefield.runs.edit import edit

        return edit(self, given, n, **options)

    def calibrate(self, **options: Any) -> Any:
        """Whether draws given a measurement are calibrated: see ``scorefield.runs.calibrating.calibrate``."""
        classifying.refuse(self, "calibrate")
        from scorefield.runs.calibrating import calibrate

        return calibrate(self, **options)

    def preview(self, most: int | None = None, data: Any = None, **options: Any) -> Any:
        """The few samples that pictures of this run show: always the same seed, as many as take seconds. Their
        conditions are those of held-out examples of ``data``, the run's dataset, where it has some."""
        classifying.refuse(self, "draw")
        from scorefield.runs.recipes import pictured
        from scorefield.runs.sample import PREVIEW_SEED, sample

        count = pictured(self.kind, self.shape, self.device.type)
        count = min(count, most or count)
        whole = count - count % max(1, len(self.classes))  # every class as often as the others
        told = usual(self, whole or count, data)
        return sample(self, whole or count, seed=PREVIEW_SEED, table="no", **told | options)

    def sweep(self, widths: Sequence[float] | None = None, **options: Any) -> Any:
        """Which width of the averaged weights is best: see ``scorefield.runs.ema.sweep`` for the options."""
        classifying.refuse(self, "average")
        from scorefield.runs.ema import WIDTHS, sweep

        return sweep(self, WIDTHS if widths is None else widths, **options)

    def export(self, to: str = "pt2", what: str = "denoiser", **options: Any) -> Any:
        """Write the model as a program that runs without scorefield: see ``scorefield.runs.export.export``."""
        classifying.refuse(self, "export")
        from scorefield.runs.export import export

        return export(self, to, what, **options)

    def tune(self, steps: int | Sequence[int], **options: Any) -> Any:
        """Fit samplers of few steps to this network and keep them in the run folder, where ``sample`` finds them: see
        ``scorefield.runs.tune.tune`` for the options."""
        classifying.refuse(self, "tune")
        from scorefield.runs.tune import tune

        return tune(self, steps, **options)

    def compare(self, *args: Any, **options: Any) -> Any:
        """Solvers against each other on this network: see ``scorefield.runs.compare.compare`` for the options."""
        classifying.refuse(self, "compare")
        from scorefield.runs.compare import compare
        from scorefield.runs.tokens import refuse, refuse_mixed

        refuse_mixed(self, "compare measures where walks of numbers end")
        refuse(self, "compare measures where walks of numbers end", "Measure solvers by `evaluate`: solver=, steps=.")
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
    or a unique prefix of the name of a run in ``runs``. ``ema`` is the width σ_rel of the average, in (0, 0.28]: one
    that the run kept, or any other, rebuilt from its snapshots (docs/ema.md; ``Run.note`` says where it is inexact).
    Raises UserError: no such run, no weights yet, a damaged or foreign file, a config this version cannot build, an
    average that cannot be rebuilt.
    """
    if ema is not None:
        averages.check_width(ema)
    found = find(run, runs)
    chosen = _weights_of(found, ema)
    stored = weights.read(chosen.file)
    config = found.folder.config() if found.folder else stored.config
    where = choose_device(device or "auto")
    denoiser = build.denoiser(config)
    weights.fill(denoiser, coding.of_network(stored.tensors) | dict(chosen.tensors), chosen.file)
    denoiser = denoiser.to(where).eval().requires_grad_(False)
    width = chosen.width or next(iter(config["train"].get("ema") or ()), None)
    step = chosen.step or stored.step
    codec = coding.load(config, found.folder, stored.tensors, where)
    return Run(config, denoiser, codec, found.folder, step, where, width, chosen.note)


class _Chosen(NamedTuple):
    """The file to read, its step where that is known from outside, and what replaces some of its tensors."""

    file: Path
    step: int = 0
    width: float | None = None
    tensors: Mapping[str, Tensor] = MappingProxyType({})
    note: str = ""


def _weights_of(found: Found, ema: float | None) -> _Chosen:
    """What ``load`` reads."""
    if found.weights is not None and ema is None:
        return _Chosen(found.weights)
    if found.folder is None:
        raise UserError(f"ema={ema:g} picks one of the averages that a run folder keeps; this is a single file.")
    checkpoint = _checkpoint(found)
    final = found.folder.weights_file
    if found.checkpoint is None and ema is None and final.is_file():
        trained_on = checkpoint is not None and weights.read_step(final) < checkpoint.step
        return _Chosen(_first(checkpoint), checkpoint.step) if checkpoint and trained_on else _Chosen(final)
    if checkpoint is None:
        raise UserError(f"{found.folder.path} has no weights yet: no checkpoint was saved. Train on, then try again.")
    if ema is None:
        return _Chosen(_first(checkpoint), checkpoint.step)
    if (own := averages.nearest(checkpoint, ema)) is not None:
        return _Chosen(averages.kept(checkpoint)[own], checkpoint.step, own)
    built = averages.rebuilt(checkpoint, ema)
    return _Chosen(_first(checkpoint), checkpoint.step, ema, built.tensors, built.note)


def _checkpoint(found: Found) -> Checkpoint | None:
    if found.checkpoint is None:
        return newest(found.folder.checkpoints) if found.folder else None
    checkpoint, fault = read_checkpoint(found.checkpoint)
    if checkpoint is None:
        raise UserError(f"{found.checkpoint} cannot be used: {fault}. Load the run folder: it takes the last good one.")
    return checkpoint


def _first(checkpoint: Checkpoint) -> Path:
    """The average that is sampled unless another is asked for; the weights themselves where none was kept."""
    return next(iter(averages.kept(checkpoint).values()), checkpoint.path / "model.safetensors")


def final_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The averaged weights that become the final model."""
    return checkpoint.tensors(_first(checkpoint).name.removesuffix(".safetensors"))
