"""Measuring a run: fresh samples against data it never saw, each figure beside what real data reach."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from scorefield.data import Dataset, conform, open_data
from scorefield.errors import UserError
from scorefield.metrics import Evaluation
from scorefield.metrics import evaluate as measure
from scorefield.runs import recipes, sets
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
    keep: bool = True,
    progress: Progress | None = None,
    **walk: Any,
) -> Evaluation:
    """Draw ``n`` samples and compare them with ``against``: data of any source, by default the run's held-out part.

    ``n`` None is as many as there are to compare with, at most what the device does in about a minute; ``walk`` are
    options of ``sample`` (steps, solver, guidance ...). Classes are asked for as often as the data hold them, so that
    class frequencies never count as a fault. ``features`` and ``metrics`` as in ``scorefield.evaluate``; ``reference``
    is a .npz with mu and sigma, ``save_stats`` one to write about the training data (or ``against``), in the same
    features. ``keep`` stores evaluation.json in the run folder.
    Raises UserError: nothing was held out, ``against`` is of another kind or shape, too few examples; before anything
    is drawn also for unknown metrics or features and for statistics that do not fit them.
    """
    began = time.monotonic()
    real, train = _own(run) if against is None else (_other(run, against), None)
    chosen = sets.Chosen.of(features or _features(run), reference, train or real, run.device.type)
    sets.rehearse(real, chosen, metrics, train)
    world = sharing(walk.get("devices"), run.device)
    if save_stats is not None and world.main:
        sets.write_statistics(save_stats, train or real, chosen)
    real, train = sets.held(real), None if train is None else sets.held(train)
    count = n or min(len(real), recipes.evaluated(run.shape, run.device.type))
    asked = _asked(run, real, count)
    told = {"label": asked} | usual(run, count, replace(real, held_out=None)) | walk
    samples = run.sample(count, seed=seed, progress=progress, **told)
    scores = world.first(
        lambda: measure(
            samples.x,
            real.x,
            train=None if train is None else train.x,
            features=chosen.features,
            metrics=metrics,
            reference=chosen.reference,
            device=chosen.device,
            labels=asked if asked is not None and bool((asked >= 0).all()) else None,
            real_labels=real.labels,
            train_labels=None if train is None else train.labels,
            seed=seed,
            schema=run.schema or None,
            rate=real.rate,
        )
    )
    if samples.note:
        scores = replace(scores, notes=(*scores.notes, samples.note))
    record = {
        "step": run.step,
        "ema": run.ema,
        "n": count,
        "nfe": samples.nfe,
        "seed": seed,
        "against": real.name,
        "sampling": {key: value for key, value in walk.items() if value is not None and key not in APART},
        "table": samples.table or None,
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


def _other(run: Run, against: Any) -> Dataset:
    images = run.kind == "images"
    reading: dict[str, Any] = {"size": run.shape[-1], "color": {1: "gray"}.get(run.shape[0], "rgb")} if images else {}
    reading |= conform.reading(run.schema) if run.schema else {}
    dataset = open_data(against, holdout=0, **reading)
    dataset = conform.conformed(dataset, run.schema) if run.schema and dataset.schema else dataset
    if (dataset.kind, dataset.shape) != (run.kind, run.shape):
        raise UserError(
            f"{dataset.name} holds {dataset.kind} of {'×'.join(map(str, dataset.shape))}, but this run makes "
            f"{run.kind} of {'×'.join(map(str, run.shape))}. Give data of the same shape."
        )
    return dataset


def _features(run: Run) -> Any:
    """What metrics compare unless told otherwise: of a table its rows as the network sees them, missing values too."""

    def encoded(x: Tensor) -> Tensor:
        return run.codec.encode(x)

    return encoded if run.schema else "auto"


def _asked(run: Run, real: Dataset, count: int) -> Tensor | None:
    """(count,) classes in the proportions of ``real``; None where the run has no classes."""
    if not run.classes or real.labels is None or tuple(real.classes) != run.classes:
        return None
    return real.labels.repeat(-(-count // len(real.labels)))[:count]
