"""Which width of the averaged weights is best: each is rebuilt and measured under the same noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from scorefield.data import Dataset
from scorefield.errors import UserError, suggest
from scorefield.options.ema import WIDTHS
from scorefield.runs import averages, build
from scorefield.runs.disk import write_json
from scorefield.runs.ema_measures import measure_of
from scorefield.runs.sample import Progress
from scorefield.runs.tokens import refuse
from scorefield.training.checkpoint import Checkpoint, folder_of, newest
from scorefield.training.checkpoint import read as read_checkpoint

if TYPE_CHECKING:
    from PIL.Image import Image

    from scorefield.runs.folder import RunFolder
    from scorefield.runs.loading import Run

LAST = 0.0  # the width of no average: the weights of the last step
WORDS = {
    "loss": "denoising loss on held-out data",
    "energy": "energy distance to held-out data",
    "frechet": "Fréchet distance to held-out data",
}


@dataclass(frozen=True)
class Entry:
    """One width (0: the last weights) and its figure with standard error; ``worse`` is how much worse than the best,
    with the standard error of that difference, which is small because all widths meet the same noise;
    ``profile_error`` is how well its profile could be rebuilt."""

    width: float
    value: float
    se: float
    worse: float
    worse_se: float
    profile_error: float

    @property
    def tied(self) -> bool:
        """Whether the best cannot be told from it: within two standard errors of the difference."""
        return self.worse <= 2 * self.worse_se


@dataclass(frozen=True)
class Sweep:
    """The figures of a sweep; lower is better. ``n`` are noised examples (of ``real`` different ones) or samples a
    width, ``left_out`` sentences about widths that could not be rebuilt."""

    run: str
    step: int
    metric: str
    entries: tuple[Entry, ...]
    n: int
    real: int
    seed: int
    left_out: tuple[str, ...] = ()

    @property
    def best(self) -> Entry:
        """The lowest figure."""
        return min(self.entries, key=lambda entry: entry.value)

    @property
    def verdict(self) -> str:
        """What may be said, and no more."""
        others = [name_of(e.width) for e in self.entries if e.tied and e is not self.best]
        told = f"Lowest: {name_of(self.best.width)}."
        if others:
            told += f" Within two standard errors of it, so not to be told apart here: {', '.join(others)}."
        else:
            told += " All others are worse by more than two standard errors."
        return f"{told} This is one training run; the lowest of several noisy figures is a little flattered."

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        tied = [entry.width for entry in self.entries if entry.tied]
        return asdict(self) | {"best": self.best.width, "tied": tied, "verdict": self.verdict}

    def picture(self) -> Image:
        """How much worse than the best each width is, with two standard errors."""
        from scorefield.show.widths import width_chart

        return width_chart(
            [(e.width, e.worse, 2 * e.worse_se) for e in self.entries],
            title=f"{self.run}: averages of the weights, step {self.step:,}",
            y_label=f"{WORDS[self.metric]}, above the lowest, ± 2 standard errors (paired)",
        )


def name_of(width: float) -> str:
    """``ema=0.08``, or ``the last weights``."""
    return f"ema={width:g}" if width else "the last weights"


def sweep(
    run: Run,
    widths: Sequence[float] = WIDTHS,
    *,
    metric: str = "loss",
    n: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    keep: bool = True,
    progress: Progress | None = None,
    **walk: Any,
) -> Sweep:
    """Every width, and the last weights, measured on the held-out data of the run under the same noise.

    ``metric`` loss is the run's own objective on ``n`` noised held-out examples; energy and frechet are distances of
    ``n`` samples, drawn by ``walk`` (steps, solver, guidance, …). Standard errors: over examples for the loss, by a
    jackknife over 20 groups of samples and examples for a distance. ``keep`` stores ema.json and ema.png in the run.
    A width that cannot be rebuilt is left out with a sentence. Raises UserError: no run folder or checkpoint, nothing
    held out, a metric that does not exist, no width that can be rebuilt.
    """
    if metric not in WORDS:
        raise UserError(f"no metric of a sweep is called {metric!r}.{suggest(metric, WORDS)}")
    if metric != "loss":
        refuse(run, f"metric={metric} compares numbers", "Leave metric out: the loss is measured.")
    if metric == "loss" and walk:
        raise UserError(f"metric=loss draws no samples, so it has no use for {', '.join(walk)}: leave that out.")
    checkpoint = _checkpoint(run)
    fits, left_out = _fits(checkpoint, widths)
    measure, count, real = measure_of(run, _held_out(run), metric, n, seed, batch, walk)
    tell = progress or (lambda done, total: None)
    shares = [(k, len(fits) + 1) for k in range(len(fits) + 1)]
    module = build.denoiser(run.config).to(run.device).eval().requires_grad_(False)
    found: dict[float, tuple[float, Tensor]] = {}
    for width, share in zip([LAST, *fits], shares, strict=True):
        _fill(module, checkpoint, width)
        candidate = replace(run, denoiser=module, ema=width or None)
        found[width] = measure(candidate, lambda done, total, s=share: tell(s[0] * total + done, s[1] * total))
    entries = _entries(found, {LAST: 0.0} | fits)
    result = Sweep(run.name, checkpoint.step, metric, entries, count, real, seed, left_out)
    if keep and run.folder is not None:
        _store(run.folder, result)
    return result


def _checkpoint(run: Run) -> Checkpoint:
    if run.folder is None:
        raise UserError(f"Averages are rebuilt from a run folder, and this is the weights file of {run.name} alone.")
    latest = newest(run.folder.checkpoints)
    if latest is not None and latest.step == run.step:
        return latest
    checkpoint, _ = read_checkpoint(folder_of(run.folder.checkpoints, run.step))
    if checkpoint is None:
        raise UserError(
            f"{run.folder.path} has no checkpoint of step {run.step:,}, which the averages of that step are rebuilt "
            "from. Train it on, or load one of its checkpoints/."
        )
    return checkpoint


def _fits(checkpoint: Checkpoint, widths: Sequence[float]) -> tuple[dict[float, float], tuple[str, ...]]:
    """Width → profile error, and sentences about those that cannot be had."""
    fits, left_out = {}, []
    for width in sorted(set(widths)):
        averages.check_width(width)
        try:
            own = averages.nearest(checkpoint, width)
            fits[width] = 0.0 if own is not None else averages.fitted(checkpoint, width).error
        except UserError as error:
            left_out.append(str(error))
    if not fits or (left_out and not averages.snapshots(checkpoint)):
        raise UserError(left_out[0] if left_out else "widths names no width. Write some, such as widths=0.05,0.1.")
    return fits, tuple(left_out)


def _fill(module: nn.Module, checkpoint: Checkpoint, width: float) -> None:
    """Put the average of ``width`` into the denoiser."""
    own = averages.nearest(checkpoint, width)
    if own is not None:
        module.load_state_dict(checkpoint.tensors(averages.kept(checkpoint)[own].stem))
        return
    tensors = checkpoint.tensors("model")
    module.load_state_dict(tensors if width == LAST else tensors | averages.rebuilt(checkpoint, width).tensors)


def _held_out(run: Run) -> Dataset:
    dataset = run.dataset()
    if dataset.held_out is None:
        raise UserError(f"Nothing of {run.data_name} was held out to measure averages on. Train with holdout=0.1.")
    return dataset.held_out


def _entries(found: dict[float, tuple[float, Tensor]], errors: dict[float, float]) -> tuple[Entry, ...]:
    low, best = min(found.values(), key=lambda pair: pair[0])
    return tuple(
        Entry(width, value, _jackknife(left), value - low, _jackknife(left - best), errors[width])
        for width, (value, left) in found.items()
    )


def _jackknife(left: Tensor) -> float:
    """The standard error from R values without one part each: ((R − 1) · var)^½ (Efron and Stein 1981)."""
    return math.sqrt((len(left) - 1) * left.var(correction=0).item())


def _store(folder: RunFolder, result: Sweep) -> Path:
    from scorefield.show.film import save_picture

    save_picture(folder.average_picture, result.picture())
    return write_json(folder.average_file, result.to_json())
