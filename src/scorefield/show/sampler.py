"""A sampler's table as a picture: where it evaluates, and what each row mixes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from .canvas import Axes, Canvas, fit
from .numbers import log_ticks, short, ticks
from .palette import ACCENT, INK, MUTED, categories

WIDTH, HEIGHT = 1000, 760
UPPER, LOWER = (96.0, 92.0, 820.0, 330.0), (96.0, 420.0, 820.0, 690.0)


def table_picture(levels: Sequence[float], columns: Mapping[str, Sequence[float]], title: str) -> Image.Image:
    """Above: σ/α of every evaluation (``levels``, n; logarithmic, what is not finite is left out). Below: each of the
    ``columns`` (n numbers each) over the evaluations."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((UPPER[0], 44), fit(title, 24, WIDTH - UPPER[0] - 24), 24, INK, "ls")
    canvas.text((UPPER[0], UPPER[1] - 14), "noise level (sigma/alpha) of each evaluation", 19, INK, "ls")
    canvas.text((LOWER[0], LOWER[1] - 14), "coefficients of each row", 19, INK, "ls")
    canvas.text(((LOWER[0] + LOWER[2]) / 2, LOWER[3] + 34), "evaluation", 19, INK, "ma")
    n = len(levels)
    across = (-0.5, n - 0.5)
    seen = [(i, math.log10(level)) for i, level in enumerate(levels) if 0 < level < math.inf]
    if seen:
        heights = [height for _, height in seen]
        air = 0.08 * (max(heights) - min(heights)) or 0.5
        upper = Axes(canvas, UPPER, across, (min(heights) - air, max(heights) + air))
        marks = log_ticks(10 ** upper.ylim[0], 10 ** upper.ylim[1], 5)
        upper.grid([], [math.log10(mark) for mark in marks])
        for mark in marks:
            y = float(upper.place(np.array([across[0]]), np.array([math.log10(mark)]))[0, 1])
            canvas.text((UPPER[0] - 10, y), short(mark), 17, MUTED, "rm")
        path = upper.place(np.array([i for i, _ in seen], np.float64), np.array(heights))
        _course(canvas, UPPER, path, ACCENT)
    values = [value for column in columns.values() for value in column] or [0.0]
    low, high = min(*values, 0.0), max(*values, 0.0)
    air = 0.06 * (high - low) or 0.5
    lower = Axes(canvas, LOWER, across, (low - air, high + air))
    steps = [i for i in range(n) if n <= 12 or i % math.ceil(n / 12) == 0]
    lower.grid([], ticks(*lower.ylim, 5))
    lower.number([float(i) for i in steps], ticks(*lower.ylim, 5), 17)
    for place, ((name, column), colour) in enumerate(zip(columns.items(), categories(len(columns)), strict=True)):
        path = lower.place(np.arange(n, dtype=np.float64), np.array(column, np.float64))
        _course(canvas, LOWER, path, colour)
        canvas.text((LOWER[2] + 18, LOWER[1] + 14 + 28 * place), fit(name, 18, WIDTH - LOWER[2] - 30), 18, colour, "lm")
    return canvas.finish()


def _course(canvas: Canvas, box: tuple[float, float, float, float], path: np.ndarray, colour: tuple) -> None:
    if len(path) > 1:
        canvas.line(path, colour, 2.2)
    canvas.dots(box, path, np.tile(np.array(colour, np.float64), (len(path), 1)), 5.0, 1.0)
