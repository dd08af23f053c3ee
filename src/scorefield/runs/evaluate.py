"""Measuring a run: fresh samples against data it never saw, each figure beside what real data reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from scorefield.data import EMBEDDED, Dataset, conform, open_data
from scorefield.errors import UserError
from scorefield.metrics import Evaluation
from scorefield.runs import judging, likelihood, measuring, sets
from scorefield.runs.conditions import usual
from scorefield.runs.disk import write_json
from scorefield.runs.sample import Progress
from scorefield.runs.spread import sharing

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

APART = ("table", "devices")  # options of sampling that the record names otherwise, or that change nothing


def evaluate(
    run: Run,
    against: Any = None,
    *,
    n: int | None = None,
    metrics: Sequence[str] | None = None,
    features: Any = None,
    reference: str | Path | None = None,
    save_stats: str | Path | None = None,
    seed: int = 0,
    bits_per_dim: bool = False,
    judge: Any = None,
    keep: bool = True,
    progress: Progress | None = None,
    **walk: Any,
) -> Evaluation:
    """Draw ``n`` samples and compare them with ``against``: data of any source, by default the run's held-out part.

    A run on text is measured by its bound on held-out text, and its samples by an n-gram model (docs/text.md).
    ``n`` None is as many as there are to compare with, at most what the device does in about a minute; ``walk`` are
    options of ``sample`` (steps, solver, guidance ...). Classes are asked for as often as the data hold them, so that
    class frequencies never count as a fault. ``features`` and ``metrics`` as in ``scorefield.evaluate``; ``reference``
    is a .npz with mu and sigma, ``save_stats`` one to write about the training data (or ``against``), in the same
    features. ``bits_per_dim`` measures the likelihood of ``n`` examples instead, and draws no samples.
    ``judge``, another run on the same text, bounds the bits of the samples of a run on text.
    ``keep`` stores evaluation.json (or likelihood.json) in the run folder.
    Raises UserError: nothing was held out, ``against`` is of another kind or shape, too few examples; before anything
    is drawn also for unknown metrics or features and for statistics that do not fit them.
    """
    began = time.monotonic()
    real, train = _own(run) if against is None else (other(run, against), None)
    if bits_per_dim:
        given = {"metrics": metrics, "features": features, "reference": reference, "save_stats": save_stats}
        return likelihood.bits_per_dim(run, real, train, n, seed, keep, given | walk)
    wanted = measuring.Wanted(run, real, train, metrics, features, reference, seed, judge=judging.judge(run, judge))
    measured = measuring.of(wanted)
    world = sharing(walk.get("devices"), run.device)
    if save_stats is not None and world.main:
        measured.save(save_stats)
    count = n or wanted.most
    samples = None
    if measured.samples:
        shown = sets.held(real) if run.classes or run.conditions is not None else real
        wanted.label = _asked(run, shown, count)
        told = {"label": wanted.label} | usual(run, count, replace(shown, held_out=None)) | walk
        samples = run.sample(count, seed=seed, progress=progress, **told)
    scores = world.first(lambda: measured(samples))
    if samples is not None and samples.note:
        scores = replace(scores, notes=(*scores.notes, samples.note))
    record = {
        "step": run.step,
        "ema": run.ema,
        "n": 0 if samples is None else count,
        "nfe": 0 if samples is None else samples.nfe,
        "seed": seed,
        "against": real.name,
        "sampling": {key: value for key, value in walk.items() if value is not None and key not in APART},
        "table": (samples.table or None) if samples is not None else None,
        "seconds": round(time.monotonic() - began, 2),
        "evaluation": scores.to_json(),
    }
    if keep and run.folder is not None and world.main:
        write_json(run.folder.evaluation_file, record)
    return scores


def _own(run: Run) -> tuple[Dataset, Dataset]:
    """(held out, trained on)."""
    dataset = run.dataset()
    if dataset.held_out is None:
        raise UserError(
            f"Nothing of {run.data_name} was held out, so there is nothing unseen to compare with. "
            "Give other data (against=PATH), or train with holdout=0.1."
        )
    return dataset.held_out, dataset


def other(run: Run, against: Any) -> Dataset:
    """Data of any source in the form of the run's. Raises UserError for another kind or shape."""
    own = str(against) in EMBEDDED  # these come in their own form
    reading = READINGS[run.kind](run) if run.kind in READINGS and not own else {}
    reading |= conform.reading(run.schema) if run.schema else {}
    dataset = open_data(against, holdout=0, **reading)
    dataset = conform.conformed(dataset, run.schema) if run.schema and dataset.schema else dataset
    if (dataset.kind, dataset.shape) != (run.kind, run.shape):
        raise UserError(
            f"{dataset.name} holds {dataset.kind} of {'×'.join(map(str, dataset.shape))}, but this run makes "
            f"{run.kind} of {'×'.join(map(str, run.shape))}. Give data of the same shape."
        )
    return dataset


def _as_text(run: Run) -> dict[str, Any]:
    """Windows side by side, in what the run's text is made of."""
    section = run.config["data"]
    lines, codec = section.get("lines", False), section.get("codec") or run.config["codec"]["type"]
    return {"length": run.shape[0], "lines": lines, "codec": codec} | ({} if lines else {"stride": run.shape[0]})


READINGS: dict[str, Callable[[Run], dict[str, Any]]] = {  # how other data are brought to the form of the run's
    "images": lambda run: {"size": run.shape[-1], "color": {1: "gray"}.get(run.shape[0], "rgb")},
    "categories": lambda run: {"size": run.shape[-1], "codec": run.config["codec"]["type"]},
    "text": _as_text,
}


def _asked(run: Run, real: Dataset, count: int) -> Tensor | None:
    """(count,) classes in the proportions of ``real``; None where the run has no classes."""
    if not run.classes or real.labels is None or tuple(real.classes) != run.classes:
        return None
    return real.labels.repeat(-(-count // len(real.labels)))[:count]
