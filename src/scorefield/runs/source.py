"""The data of a run: opened from what the user gave, and again, years later, from the run folder alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from scorefield.data import EMBEDDED, Dataset, open_data
from scorefield.data.arrays import CONDITION
from scorefield.data.conform import same_table
from scorefield.data.schema import Column
from scorefield.data.trees import HUB, name_of
from scorefield.errors import UserError
from scorefield.runs import coding
from scorefield.runs.disk import explained
from scorefield.runs.folder import RunFolder

Progress = Callable[[int, int], None]
# Options that ``open_data`` takes.
READING = (
    *("size", "color", "label", "condition", "columns", "categories", "holdout", "strict", "cache"),
    *("rate", "seconds", "window", "stride", "split", "config", "streaming", "examples", "length", "lines", "codec"),
)
ARRAYS = "data.npz"  # the source of a run that was given arrays: a file in its own folder
SPLIT_SEED = 0  # of the held-out part and of procedural sets: runs of different seeds are compared on the same data


class Source(NamedTuple):
    """What was given as DATA: ``identity`` tells it from other data, ``name`` names its runs; arrays carry values."""

    given: Any
    identity: str
    name: str
    labels: Any = None
    conditions: Any = None

    @property
    def in_memory(self) -> bool:
        """Whether the values themselves were given, so that the run must keep them."""
        return not isinstance(self.given, str | Path)


def source_of(data: Any, labels: Any = None, conditions: Any = None) -> Source:
    """Where the data come from. An array is identified by its content, a path by its absolute form.

    Raises UserError for an array that cannot be learned, and for nothing at all."""
    if data is None or (isinstance(data, str | Path) and not str(data)):
        raise UserError("No data were given. Write an embedded set such as digits, a folder of images, or a file.")
    if not isinstance(data, str | Path):
        opened = open_data(data, label=labels, condition=conditions, holdout=0)
        return Source(data, f"array {opened.fingerprint}", "array", labels, conditions)
    if str(data) in EMBEDDED:
        return Source(str(data), str(data), str(data))
    identity = str(data) if str(data).startswith(HUB) else str(Path(data).expanduser().resolve())
    return Source(str(data), identity, name_of(str(data)))


def open_source(source: Source, options: dict[str, Any], progress: Progress | None = None) -> Dataset:
    """The dataset that ``options`` make of a source; ``label=none`` leaves its classes out."""
    asked = coding.reading(options)
    reading = {name: asked[name] for name in READING if asked.get(name) is not None}
    if source.labels is not None:
        reading["label"] = source.labels
    if source.conditions is not None:
        reading["condition"] = source.conditions
    return _opened(source.given, reading, progress)


def reopen(folder: RunFolder, config: dict[str, Any], progress: Progress | None = None) -> Dataset:
    """The dataset of a run, from its config. Raises UserError where the data have gone or have another shape."""
    section = config["data"]
    foreign = ("codec",) if coding.quantised(config) else ()
    reading = {name: section[name] for name in READING if section.get(name) is not None and name not in foreign}
    given = str(folder.data_file) if section["source"] == ARRAYS else section["source"]
    if section["source"] == ARRAYS and section["found"].get("conditions"):
        reading["condition"] = CONDITION
    dataset = _opened(given, reading, progress)
    found = section["found"]
    if dataset.schema and not same_table(dataset, [Column.from_dict(column) for column in found.get("schema", ())]):
        raise UserError(
            f"{section['source']} now holds other columns or categories than those that {folder.path} was trained on. "
            "Give the data back, or train a new run with fresh=yes."
        )
    if (dataset.kind, list(dataset.shape)) != (found["kind"], list(found["shape"])):
        raise UserError(
            f"{section['source']} now holds {dataset.kind} of {_by(dataset.shape)}, but {folder.path} was trained on "
            f"{found['kind']} of {_by(found['shape'])}. Give the data back, or train a new run with fresh=yes."
        )
    return replace(dataset, name=found["name"])


def keep_arrays(folder: RunFolder, source: Source) -> None:
    """Store arrays in the run folder, so that the run can be resumed and evaluated.

    Raises UserError on a full disk."""
    arrays = {"x": _numpy(source.given)} | ({} if source.labels is None else {"y": _numpy(source.labels)})
    arrays |= {} if source.conditions is None else {CONDITION: _numpy(source.conditions)}
    with explained(folder.data_file):
        np.savez(folder.data_file, **arrays)  # pyrefly: ignore[bad-argument-type]


def _opened(given: Any, reading: dict[str, Any], progress: Progress | None) -> Dataset:
    unlabelled = isinstance(reading.get("label"), str) and reading["label"] == "none"
    reading = {k: v for k, v in reading.items() if k != "label"} if unlabelled else reading
    dataset = open_data(given, seed=SPLIT_SEED, progress=progress, **reading)
    return without_labels(dataset) if unlabelled else dataset


def without_labels(dataset: Dataset) -> Dataset:
    """The same examples, of which no class is known."""
    held_out = None if dataset.held_out is None else without_labels(dataset.held_out)
    return replace(dataset, labels=None, classes=(), held_out=held_out)


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if torch.is_tensor(values) else values)


def _by(shape: Any) -> str:
    return "×".join(map(str, shape))
