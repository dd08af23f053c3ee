"""Files are decoded once, by a pool of threads, in order; what cannot be decoded is listed with its reason."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from scorefield.data.cache import Rows
from scorefield.data.dataset import Broken, Progress
from scorefield.data.files import Files, Opener

AHEAD = 512  # examples that wait decoded or to be decoded
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Decoded:
    """The values of one file, an image (C, S, S) uint8 or a sound (C, L) float32, or None and the reason why there are
    none. ``steps`` name what was done to it."""

    values: np.ndarray | None
    gray: bool = True
    steps: tuple[str, ...] = ()
    reason: str = ""


def threads() -> ThreadPoolExecutor:
    """As many as help: Pillow, NumPy and libsndfile compute outside Python's lock."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1))


def parallel(pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A]) -> Generator[B]:
    """``function`` of each item, in order, a bounded number ahead; closing it cancels what has not begun."""
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def decode(
    files: Files,
    names: Sequence[str],
    read: Callable[[Opener], Decoded],
    rows: Rows,
    pool: ThreadPoolExecutor,
    progress: Progress | None,
    gray_only: bool = False,
) -> tuple[tuple[Broken, ...], Counter[str]] | None:
    """Every file's values into ``rows``; the files that have none, and how often each step was needed.

    None if one has colour and ``gray_only`` was asked for."""
    broken, steps = [], Counter[str]()
    # Closing cancels what is still queued: Ctrl-C and a change of mind need not wait for it.
    with closing(parallel(pool, read, files.each(names))) as decoded:
        for done, (name, one) in enumerate(zip(names, decoded, strict=True), 1):
            if one.values is None:
                broken.append(Broken(name, one.reason))
            elif gray_only and not one.gray:
                return None
            else:
                rows.append(one.values)
                steps.update(one.steps)
            if progress is not None:
                progress(done, len(names))
    return tuple(broken), steps
