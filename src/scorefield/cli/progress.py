"""A count that grows on one line of the terminal and leaves no trace: files read, solver steps done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scorefield.cli.console import Console
from scorefield.cli.figures import bar, clock

PATIENCE = 0.5  # seconds before a count is worth showing
EVERY = 0.1  # seconds between redraws
LABEL = 8


@contextmanager
def counting(console: Console, label: str) -> Iterator[Callable[[int, int], None]]:
    """A ``progress(done, total)`` that draws a bar on a terminal after half a second, and nothing elsewhere."""
    shown = False
    began = drawn = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal shown, drawn
        now = time.monotonic()
        if console.plain or now - began < PATIENCE or now - drawn < EVERY:
            return
        shown, drawn = True, now
        share = done / max(total, 1)
        full, rest = bar(share, 32)
        left = (now - began) * (1 - share) / share if share else float("inf")
        console.overwrite(f"{label:<{LABEL}}{full}{console.dim(rest)}  {done:,}/{total:,}  {clock(left)} left")

    try:
        yield progress
    finally:
        if shown:
            console.overwrite("")
