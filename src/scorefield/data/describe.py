"""What would be trained on, in numbers: the account behind ``scorefield data``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorefield.data.dataset import Dataset

CHUNK = 1024


def describe(dataset: Dataset) -> dict[str, Any]:
    """A JSON-able account of the training part: counts, shape, range, moments per channel or column, classes.

    ``duplicates`` counts the examples equal to an earlier one, byte for byte; ``shared_with_held_out`` the held-out
    examples that also occur in training, where a low distance would not mean copying.
    """
    seen = set(_digests(dataset.x))
    mean, std = moments(dataset.x)
    held_out = dataset.held_out
    return {
        "name": dataset.name,
        "source": dataset.source,
        "kind": dataset.kind,
        "count": len(dataset),
        "held_out": 0 if held_out is None else len(held_out),
        "shape": list(dataset.shape),
        "dtype": str(dataset.x.dtype).removeprefix("torch."),
        "range": [float(min(c.min() for c in _chunks(dataset.x))), float(max(c.max() for c in _chunks(dataset.x)))],
        "mean": mean.tolist(),
        "std": std.tolist(),
        "columns": list(dataset.columns),
        "classes": _class_counts(dataset),
        "unlabelled": 0 if dataset.labels is None else int((dataset.labels < 0).sum()),
        "captions": [] if dataset.captions is None else list(dataset.captions[:3]),
        "duplicates": len(dataset) - len(seen),
        "shared_with_held_out": 0 if held_out is None else sum(digest in seen for digest in _digests(held_out.x)),
        "flip_ok": dataset.flip_ok,
        "fingerprint": dataset.fingerprint,
        "broken": [{"path": file.path, "reason": file.reason} for file in dataset.broken],
        "notes": list(dataset.notes),
    }


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
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))


def _digests(x: Tensor) -> Iterator[bytes]:
    for chunk in _chunks(x):
        rows = np.ascontiguousarray(chunk.numpy()).reshape(len(chunk), -1)
        yield from (hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)


def _class_counts(dataset: Dataset) -> dict[str, int]:
    if dataset.labels is None:
        return {}
    counts = torch.bincount(dataset.labels[dataset.labels >= 0], minlength=len(dataset.classes))
    return dict(zip(dataset.classes, counts.tolist(), strict=True))
