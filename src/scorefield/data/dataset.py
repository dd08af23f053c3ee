"""What every source of data becomes: one tensor, its labels, and an honest account of how it was made."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorefield.errors import UserError

Progress = Callable[[int, int], None]

MOST_HELD_OUT = 2000
FEWEST_TO_SPLIT = 20
MOST_HELD = 2**30  # bytes


@dataclass(frozen=True)
class Broken:
    """A file that could not be used, and why; the reason completes the sentence "'path' ..."."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to learn from, so that training, metrics and pictures never ask where they came from.

    ``x`` is (N, *D): uint8 (N, C, H, W) for ``kind="images"``, float32 (N, D) for ``"vectors"``, float32
    (N, C, L) for ``"signals"`` and float64 (N, C) for ``"table"``, whose ``schema`` says what its columns hold; int64
    (N, L) for ``"text"`` and uint8 (N, H, W) for ``"categories"``, whose ``coded`` is the config of the codec that
    knows their alphabet or palette. It may lie on a private memory map, or be a ``Lazy`` that answers ``len``,
    ``shape``, ``dtype`` and ``[…]`` as a tensor does, but reads. ``labels`` is (N,) int64 with −1 for "no class".
    ``rate`` is the number of samples a second, for sound.
    ``conditions`` (N, V) are float32 numbers as stored, NaN where not known, called ``condition_names``.
    ``notes`` are sentences: every conversion that was made on the way in. ``key`` names the content where hashing it
    would mean reading a large map from end to end.
    """

    name: str
    kind: str
    x: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    captions: tuple[str, ...] | None = None
    conditions: Tensor | None = None
    condition_names: tuple[str, ...] = ()
    held_out: Dataset | None = None
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    flip_ok: bool = False
    key: str | None = None
    rate: int | None = None
    schema: tuple[Any, ...] = ()
    coded: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        shape = "×".join(str(edge) for edge in self.shape)
        classes = f", {len(self.classes)} classes" if self.classes else ""
        held_out = f", {len(self.held_out):,} held out" if self.held_out else ""
        return f"Dataset({self.name}: {len(self):,} {self.kind} of {shape}{classes}{held_out})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The event shape D of one example."""
        return tuple(self.x.shape[1:])

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """The examples at ``index`` (B,) int64, raw: x (B, *D) as stored and, where there are any, label (B,) and
        condition (B, V)."""
        chosen = {"x": self.x, "label": self.labels, "condition": self.conditions}
        return {name: values[index] for name, values in chosen.items() if values is not None}

    def in_memory(self, most: int, seed: int = 0) -> Dataset:
        """The same data; of those that lie on disk at most ``most``, and 1 GiB, at random and in their own order."""
        if torch.is_tensor(self.x):
            return self
        most = min(most, max(1, MOST_HELD // max(1, math.prod(self.shape) * self.x.dtype.itemsize)))
        chosen = np.sort(np.random.default_rng([seed, len(self)]).permutation(len(self))[:most])
        return replace(self, x=self.x[torch.from_numpy(chosen)], key=None, **beside(self, chosen))

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that change when the training examples or their labels do: resume compares them."""
        digest = hashlib.blake2b(repr((self.kind, self.x.dtype, tuple(self.x.shape))).encode(), digest_size=16)
        digest.update(_bytes(self.x) if self.key is None else self.key.encode())
        if self.labels is not None:
            digest.update(_bytes(self.labels))
        if self.conditions is not None:
            digest.update(_bytes(self.conditions))
        return digest.hexdigest()


def beside(dataset: Dataset, index: np.ndarray) -> dict[str, Any]:
    """What there is for each example beside x, for the examples at ``index`` (B,) int64: the fields that go where
    their example goes."""
    rows = torch.from_numpy(index)
    fields = {name: getattr(dataset, name) for name in ("labels", "conditions")}
    taken = {name: None if value is None else value[rows] for name, value in fields.items()}
    return taken | {"captions": None if dataset.captions is None else tuple(dataset.captions[i] for i in index)}


def _bytes(x: Tensor) -> memoryview:
    return np.ascontiguousarray(x.numpy()).data.cast("B")


def hold_out(dataset: Dataset, fraction: float | None, seed: int) -> Dataset:
    """Sets examples aside that training never sees, because without them copying cannot be told from learning.

    ``fraction`` None takes a tenth, at most 2,000 and at least 1, and none of fewer than 20 examples. The choice
    depends on (``seed``, N) alone. A tensor ``dataset.x`` is rearranged in place, which its reader allows: only the
    rows held out and those that take their place move, so a memory map of any size stays a map. Of a ``Lazy`` only the
    index changes.

    Raises ``UserError`` for a fraction outside [0, 1) or one that leaves nothing to train on.
    """
    total = len(dataset)
    count = _held_out_count(total, fraction)
    if not count:
        return dataset
    cut = total - count
    order = _order(total, count, seed)
    first, last = _split(dataset.x, order, cut)
    key = None if dataset.key is None else f"{dataset.key}/{count}/{seed}"

    def part(x: Tensor, index: np.ndarray, mark: str) -> Dataset:
        return replace(dataset, x=x, key=None if key is None else key + mark, **beside(dataset, index))

    aside = replace(part(last, order[cut:], "/held-out"), name=f"{dataset.name} (held out)", broken=(), notes=())
    return replace(part(first, order[:cut], "/train"), held_out=aside)


def _split(x: Tensor, order: np.ndarray, cut: int) -> tuple[Tensor, Tensor]:
    """The rows of ``x`` in ``order``, parted at ``cut``."""
    if not torch.is_tensor(x):
        return x.part(order[:cut]).as_tensor(), x.part(order[cut:]).as_tensor()
    moved = np.flatnonzero(order != np.arange(len(x)))
    x[moved] = x[order[moved]]
    return x[:cut], x[cut:]


def _held_out_count(total: int, fraction: float | None) -> int:
    if fraction is None:
        return 0 if total < FEWEST_TO_SPLIT else max(1, min(MOST_HELD_OUT, round(total * 0.1)))
    if not 0 <= fraction < 1:
        raise UserError(f"holdout is a fraction, at least 0 and below 1, got {fraction}. holdout=0.1 is usual.")
    count = round(total * fraction)
    if count and count >= total:
        raise UserError(f"holdout={fraction} of {total} examples leaves nothing to train on. Write a smaller fraction.")
    return count


def _order(total: int, count: int, seed: int) -> np.ndarray:
    """A permutation that ends in the ``count`` chosen rows and leaves every other row where it can stay."""
    chosen = np.random.default_rng([seed, total]).permutation(total)[:count]
    is_chosen = np.zeros(total, bool)
    is_chosen[chosen] = True
    cut = total - count
    leaving = np.flatnonzero(is_chosen[:cut])
    arriving = cut + np.flatnonzero(~is_chosen[cut:])
    order = np.arange(total)
    order[leaving], order[arriving] = arriving, leaving
    return order
