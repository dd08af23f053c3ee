"""What would be trained on, in numbers: the account behind ``scorefield data``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorefield.data.conditions import Scale
from scorefield.data.dataset import Dataset
from scorefield.data.schema import Column, learned
from scorefield.registry import from_config

CHUNK = 1024
COMMONEST = 8  # categories that are named
MOST_READ = 2**25  # numbers of a set that lies on disk from which its statistics are taken


def describe(dataset: Dataset) -> dict[str, Any]:
    """A JSON-able account of the training part: counts, shape, range, moments per channel or column, classes.

    ``duplicates`` counts the examples equal to an earlier one, byte for byte; ``shared_with_held_out`` the held-out
    examples that also occur in training, where a low distance would not mean copying. Of data that do not fit into
    memory, range, moments and repetitions are those of examples spread evenly over them, and a note says how many.
    """
    seen = set(_digests(dataset.x))
    numbers = not dataset.schema and dataset.coded is None  # whose range and moments mean something
    mean, std = (part.tolist() for part in moments(dataset.x)) if numbers else ([], [])
    held_out, looked = dataset.held_out, looked_at(dataset.x)
    counted = "Range, mean, deviation and duplicates" if numbers else "Duplicates"
    part = f"{counted} are those of {looked:,} examples, spread evenly."
    return {
        "name": dataset.name,
        "source": dataset.source,
        "kind": dataset.kind,
        "count": len(dataset),
        "held_out": 0 if held_out is None else len(held_out),
        "shape": list(dataset.shape),
        "dtype": str(dataset.x.dtype).removeprefix("torch."),
        "range": _range(dataset.x) if numbers else [],
        "mean": mean,
        "std": std,
        "columns": list(dataset.columns),
        "table": [_column(column, dataset.x[:, j]) for j, column in enumerate(learned(dataset.schema))],
        "categories": _categories(dataset),
        "classes": _class_counts(dataset),
        "conditions": _conditions(dataset),
        "unlabelled": 0 if dataset.labels is None else int((dataset.labels < 0).sum()),
        "captions": [] if dataset.captions is None else list(dataset.captions[:3]),
        "duplicates": looked - len(seen),
        "shared_with_held_out": 0 if held_out is None else sum(digest in seen for digest in _digests(held_out.x)),
        "flip_ok": dataset.flip_ok,
        "fingerprint": dataset.fingerprint,
        "broken": [{"path": file.path, "reason": file.reason} for file in dataset.broken],
        "rate": dataset.rate,
        "notes": [*dataset.notes, *([part] if looked < len(dataset) else [])],
    }


def _categories(dataset: Dataset) -> dict[str, Any]:
    """What stands at each place of text or of images of categories: the codec, how many there are to choose from, how
    many occur, the commonest with their shares, and the entropy of one alone, in bits; of text the first examples."""
    if dataset.coded is None:
        return {}
    codec = from_config(dataset.coded, "codec", "dataset.coded")
    counts = sum(torch.bincount(codec.encode(chunk).flatten(), minlength=codec.classes) for chunk in _chunks(dataset.x))
    assert torch.is_tensor(counts)
    share = counts.double() / counts.sum()
    common = share.argsort(descending=True, stable=True)[:COMMONEST]
    return {
        "codec": dataset.coded["type"],
        "count": codec.classes,
        "occurring": int((counts > 0).sum()),
        "common": {codec.name(int(z)): float(share[z]) for z in common if counts[z]},
        "entropy": float(-torch.xlogy(share, share).sum() / math.log(2)),
        "shown": codec.text(codec.encode(dataset.x[: min(3, len(dataset))])) if dataset.kind == "text" else [],
    }


def _range(x: Tensor) -> list[float]:
    return [float(min(chunk.min() for chunk in _chunks(x))), float(max(chunk.max() for chunk in _chunks(x)))]


def _column(column: Column, values: Tensor) -> dict[str, Any]:
    """One column of a table: its type, how many values are missing, and its range and mean or its categories."""
    known = values[~values.isnan()]
    account = {"name": column.name, "kind": column.kind, "dtype": column.dtype, "missing": len(values) - len(known)}
    if column.categories:
        counts = torch.bincount(known.long(), minlength=len(column.categories))
        order = counts.argsort(descending=True, stable=True).tolist()
        return account | {"categories": {column.categories[code]: int(counts[code]) for code in order}}
    if not len(known):
        return account
    low, high = column.cells([float(known.min()), float(known.max())])
    moments = {"mean": float(known.mean()), "std": float(known.std(correction=0))} if column.kind == "number" else {}
    return account | {"low": low, "high": high, "distinct": len(known.unique())} | moments


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (divisor N) over all but axis 1, (C,) float64 each, a chunk at a time.

    Chunks are merged by Chan, Golub and LeVeque (1983, eq. 2.1): no cancellation, and a memory map stays a map.
    """
    count, mean, scatter = 0, torch.zeros(x.shape[1], dtype=torch.float64), torch.zeros(x.shape[1], dtype=torch.float64)
    for chunk in _chunks(x):
        columns = chunk.double().transpose(0, 1).flatten(1)
        more, centre = columns.shape[1], columns.mean(1)
        shift, total = centre - mean, count + more
        scatter += columns.sub(centre[:, None]).square().sum(1) + shift.square() * (count * more / total)
        mean += shift * (more / total)
        count = total
    return mean, (scatter / max(count, 1)).sqrt()


def _chunks(x: Tensor) -> Iterator[Tensor]:
    rows = _rows(x)
    return (x[start : start + rows] for start in _starts(x))


def _rows(x: Tensor) -> int:
    """Rows of a chunk: fewer where an example is long."""
    return max(1, min(CHUNK, 2**32 // (CHUNK * max(1, math.prod(x.shape[1:])))))


def _starts(x: Tensor) -> list[int]:
    """Where chunks begin: all of them, or as many as may be read, spread evenly over data that are read from disk."""
    rows = _rows(x)
    starts = range(0, len(x), rows)
    most = max(1, MOST_READ // (rows * max(1, math.prod(x.shape[1:]))))
    if torch.is_tensor(x) or len(starts) <= most:
        return list(starts)
    return [starts[i] for i in np.linspace(0, len(starts) - 1, most).round().astype(int)]


def looked_at(x: Tensor) -> int:
    """From how many of the examples statistics are taken."""
    return sum(min(_rows(x), len(x) - start) for start in _starts(x))


def _digests(x: Tensor) -> Iterator[bytes]:
    for chunk in _chunks(x):
        rows = np.ascontiguousarray(chunk.numpy()).reshape(len(chunk), -1)
        yield from (hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)


def _conditions(dataset: Dataset) -> dict[str, dict[str, float]]:
    """name → range, mean, deviation and how many examples lack it."""
    if dataset.conditions is None:
        return {}
    scale = Scale.of(dataset.conditions, dataset.condition_names)
    numbers = zip(scale.names, scale.low, scale.high, scale.mean, scale.std, strict=True)
    unknown = dataset.conditions.isnan().sum(0).tolist()
    return {
        name: {"low": low, "high": high, "mean": mean, "std": std, "unknown": missing}
        for (name, low, high, mean, std), missing in zip(numbers, unknown, strict=True)
    }


def _class_counts(dataset: Dataset) -> dict[str, int]:
    if dataset.labels is None:
        return {}
    counts = torch.bincount(dataset.labels[dataset.labels >= 0], minlength=len(dataset.classes))
    return dict(zip(dataset.classes, counts.tolist(), strict=True))
