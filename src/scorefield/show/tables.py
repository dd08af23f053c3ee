"""A table column by column: densities of numbers, shares of categories. Samples in colour, real data in grey."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from .canvas import Axes, Box, Canvas, fit, text_width
from .numbers import ticks
from .palette import ACCENT, DATA, INK, MUTED, mix

ACROSS, WIDE, HIGH = 4, 264.0, 232.0  # panels in a row, and the pixels of one
MOST_PANELS = 24  # columns that are drawn, the first ones
MOST_BARS = 7  # categories of a column that are drawn, the commonest ones
EDGE = 0.005  # share of the rows beyond either end of a histogram
_BARS = ((DATA, 3), (ACCENT, 8))  # colour of the data and of the samples before it, and how much narrower than its row


class Column(Protocol):
    """What must be known of a column; ``scorefield.data.schema.Column`` is one."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def kind(self) -> str:
        """number, category or date."""
        ...

    @property
    def categories(self) -> tuple[str, ...]:
        """The words that its codes stand for."""
        ...

    @property
    def label(self) -> bool:
        """Whether it holds the classes, which are not in x."""
        ...

    def cells(self, values: Iterable[float]) -> list[str]:
        """Numbers as the text of the file."""
        ...


def draw_table(
    x: np.ndarray, reference: np.ndarray | None, schema: Sequence[Column], title: str | None = None
) -> Image.Image:
    """One panel for each of the first 24 columns. x (N, C) and reference (M, C) hold NaN where a value is missing."""
    columns = [column for column in schema if not column.label][:MOST_PANELS]
    across = min(ACROSS, len(columns))
    top = 64.0 if title or reference is not None else 20.0
    canvas = Canvas(round(across * WIDE + 32), round(top + math.ceil(len(columns) / across) * HIGH + 28))
    if title:
        canvas.text((24, 40), fit(title, 24, across * WIDE - 260), 24, INK, "ls")
    if reference is not None:
        canvas.text((across * WIDE + 8, 40), "samples", 18, ACCENT, "rs")
        canvas.text((across * WIDE - 84, 40), "data", 18, MUTED, "rs")
    for index, column in enumerate(columns):
        row, place = divmod(index, across)
        left, above = 24 + place * WIDE, top + row * HIGH
        box = (left, above + 26, left + WIDE - 28, above + HIGH - 40)
        real = None if reference is None else reference[:, index].astype(np.float64)
        own = x[:, index].astype(np.float64)
        gaps = _gaps(own, real)
        canvas.text((left, above), fit(column.name, 17, WIDE - 36 - text_width(gaps, 13)), 17, INK)
        canvas.text((box[2], above + 2), gaps, 13, MUTED, "ra")
        _PANELS.get(column.kind, _density)(canvas, box, column, own, real)
    left_out = sum(not column.label for column in schema) - len(columns)
    if left_out:
        canvas.text((across * WIDE + 8, canvas.size[1] - 8), f"and {left_out} more columns", 16, MUTED, "rs")
    return canvas.finish()


def _density(canvas: Canvas, box: Box, column: Column, own: np.ndarray, real: np.ndarray | None) -> None:
    """Real data filled grey, samples as an outline, filled where they stand alone; what lies beyond goes to the end."""
    known = [part[np.isfinite(part)] for part in (own, *(() if real is None else (real,)))]
    ends = [np.quantile(part, (EDGE, 1 - EDGE)) for part in known[-1:] if part.size] or [np.array([0.0, 1.0])]
    low, high = float(ends[0][0]), float(ends[0][1])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low, high, 25)
    heights = [np.histogram(np.clip(part, low, high), edges)[0] / max(part.size, 1) for part in known]
    axes = Axes(canvas, box, (low, high), (0.0, 1.1 * max(float(h.max()) for h in heights) or 1.0))
    axes.grid(ticks(low, high, 3), [])
    if real is None:
        canvas.area(_steps(axes, edges, heights[0]), mix(ACCENT, 0.35))
    else:
        canvas.area(_steps(axes, edges, heights[1]), mix(DATA, 0.6))
    canvas.line(_steps(axes, edges, heights[0]), ACCENT, 1.8)
    _name_ends(axes, column, low, high)


def _name_ends(axes: Axes, column: Column, low: float, high: float) -> None:
    if column.kind == "number":
        axes.number(ticks(low, high, 3), [], 14)
        return
    left, _, right, bottom = axes.box
    first, last = column.cells([low, high])
    axes.canvas.text((left, bottom + 6), fit(first, 14, 110), 14, MUTED, "la")
    axes.canvas.text((right, bottom + 6), fit(last, 14, 110), 14, MUTED, "ra")


def _steps(axes: Axes, edges: np.ndarray, heights: np.ndarray) -> np.ndarray:
    return axes.place(np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]]))


def _shares(canvas: Canvas, box: Box, column: Column, own: np.ndarray, real: np.ndarray | None) -> None:
    """A bar for each of the commonest categories: the share of the samples, in grey that of the data."""
    parts = [own, *(() if real is None else (real,))]
    count = len(column.categories)
    shares = [np.bincount(part[np.isfinite(part)].astype(int), minlength=count) / max(part.size, 1) for part in parts]
    order = np.argsort(-shares[-1], kind="stable")[:MOST_BARS]
    most = max(float(share[order].max()) for share in shares) or 1.0
    left, top, right, bottom = box
    high = (bottom + 24 - top) / MOST_BARS
    for row, code in enumerate(order):
        y, start = top + row * high, left + 104
        canvas.text((left, y + high / 2), fit(column.categories[code], 13, 98), 13, MUTED, "lm")
        for share, (colour, inset) in zip(shares[::-1], _BARS[-len(shares) :], strict=True):
            end = start + (right - start) * float(share[code]) / most
            canvas.rectangle((start, y + inset, end, y + high - inset), colour)
    rest = count - len(order)
    if rest:
        canvas.text((right, bottom + 36), f"and {rest} more", 13, MUTED, "rs")


def _gaps(own: np.ndarray, real: np.ndarray | None) -> str:
    """How many values are missing, in the samples and in the data; nothing where none is."""
    shares = [float(np.isnan(part).mean()) for part in (own, *(() if real is None else (real,)))]
    return "missing " + " / ".join(f"{share:.1%}" for share in shares) if any(shares) else ""


_PANELS = {"number": _density, "date": _density, "category": _shares}
