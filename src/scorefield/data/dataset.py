"""What every source of data becomes: one tensor, its labels, and an honest account of how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from scorefield.errors import UserError

Progress = Callable[[int, int], None]

MOST_HELD_OUT = 2000
FEWEST_TO_SPLIT = 20


@dataclass(frozen=True)
class Broken:
    """A file that could not be used, and why; the reason completes the sentence "'path' ..."."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to learn from, so that training, metrics and pictures never ask where they came from.

    ``x`` is (N, *D): uint8 (N, C, H, W) for ``kind="images"``, float32 (N, D) for ``"vectors"`` and float32
    (N, C, L) for ``"signals"``. It may lie on a private memory map. ``labels`` is (N,) int64 with −1 for "no class".
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
    held_out: Dataset | None = None
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    flip_ok: bool = False
    key: str | None = None

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
        """The examples at ``index`` (B,) int64, raw: x (B, *D) as stored and, where there are labels, label (B,)."""
        chosen = {"x": self.x[index]}
        return chosen if self.labels is None else {**chosen, "label": self.labels[index]}

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that change when the training examples or their labels do: resume compares them."""
        digest = hashlib.blake2b(repr((self.kind, self.x.dtype, tuple(self.x.shape))).encode(), digest_size=16)
        digest.update(_bytes(self.x) if self.key is None else self.key.encode())
        if self.labels is not None:
            digest.update(_bytes(self.labels))
        return digest.hexdigest()


def _bytes(x: Tensor) -> memoryview:
    return np.ascontiguousarray(x.numpy()).data.cast("B")


def hold_out(dataset: Dataset, fraction: float | None, seed: int) -> Dataset:
    """Sets examples aside that training never sees, because without them copying cannot be told from learning.

    ``fraction`` None takes a tenth, at most 2,000 and at least 1, and none of fewer than 20 examples. The choice
    depends on (``seed``, N) alone. ``dataset.x`` is rearranged in place, which its reader allows: only the rows held
    out and those that take their place move, so a memory map of any size stays a map.

    Raises ``UserError`` for a fraction outside [0, 1) or one that leaves nothing to train on.
    """
    total = len(dataset)
    count = _held_out_count(total, fraction)
    if not count:
        return dataset
    cut = total - count
    order = _order(total, count, seed)
    moved = np.flatnonzero(order != np.arange(total))
    dataset.x[moved] = dataset.x[order[moved]]
    labels = None if dataset.labels is None else dataset.labels[torch.from_numpy(order)]
    captions = None if dataset.captions is None else tuple(dataset.captions[i] for i in order)
    key = None if dataset.key is None else f"{dataset.key}/{count}/{seed}"

    def part(rows: slice, mark: str) -> Dataset:
        return replace(
            dataset,
            x=dataset.x[rows],
            labels=None if labels is None else labels[rows],
            captions=None if captions is None else captions[rows],
            key=None if key is None else key + mark,
        )

    aside = replace(part(slice(cut, None), "/held-out"), name=f"{dataset.name} (held out)", broken=(), notes=())
    return replace(part(slice(0, cut), "/train"), held_out=aside)


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
